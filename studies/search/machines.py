"""Where evaluations run: in processes of this machine, or as tasks of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.devices.device import device_kind, find_device
from nas.devices.machine import default_count, default_devices
from nas.errors import InputError
from nas.evaluation.jobs import EvaluationContext, at_once, evaluate_job, memory_ended
from nas.proxy import Proxy
from nas.training.precision import resolved
from nas.workers.process_pool import Workers
from nas.workers.protocol import Allowance, Pool, check_allowance
from nas.workers.thread_pool import Threads

RAY = "ray"


@dataclass(frozen=True)
class Means:
    """What a process brings to a study; nothing of it changes results but the kind of device."""

    workers: int | str | None = None
    """Processes of this machine, or "ray", or "ray:N" for N evaluations at once."""
    device: str = "auto"
    lockstep: bool = False
    """Whether a GPU trains candidates side by side, their steps as CUDA graphs."""
    time_limit: float | None = None
    """Seconds that an evaluation may take."""
    memory_limit: int | None = None
    """Bytes that the process of an evaluation may allocate."""
    ray_address: str | None = None
    """Of a cluster; None starts Ray on this machine."""
    ray_cpus: float = 1.0
    """Processors that an evaluation occupies."""
    ray_gpus: float | None = None
    """GPUs that an evaluation occupies, also a fraction; by default one, if it uses any."""

    @property
    def on_ray(self) -> bool:
        return isinstance(self.workers, str)

    @property
    def count(self) -> int | None:
        """Evaluations at once, where the number was given."""
        if isinstance(self.workers, str):
            _, _, number = self.workers.partition(":")
            return int(number) if number else None
        return self.workers

    def check(self, lag: int) -> None:
        """Raises InputError for what cannot be."""
        check_allowance(Allowance(self.time_limit, self.memory_limit))
        if self.on_ray:
            name, colon, number = str(self.workers).partition(":")
            if name != RAY or (colon and not number.isdecimal()):
                raise InputError(f"--workers {self.workers}: a number, ray, or ray:N")
            if not self.ray_cpus > 0:
                raise InputError(f"--ray-cpus {self.ray_cpus:g}: it must be above 0")
            gpus = self.ray_gpus or 0.0
            if not 0 <= gpus < float("inf") or (gpus > 1 and gpus != int(gpus)):
                raise InputError(f"--ray-gpus {gpus:g}: a fraction of one GPU, or a whole number")
        elif self.ray_address:
            raise InputError(f"--ray-address {self.ray_address}: it goes with --workers ray")
        if self.count is not None and self.count < 1:
            raise InputError(f"--workers {self.workers}: it must be at least 1")
        if self.count is not None and self.count > lag:
            raise InputError(
                f"--workers {self.workers} is more than --lag {lag}: proposals wait for results, "
                "so further workers would stand idle; a larger --lag is another study"
            )


@dataclass(frozen=True)
class Machine:
    """What trains: the kind of its devices, their names, and the proxies as they are there."""

    kind: Mapping[str, str]
    devices: tuple[str, ...]
    proxies: tuple[Proxy, ...]


def machine(device: str, skeleton: AnySkeleton, proxies: Sequence[Proxy]) -> Machine:
    """This machine.

    Raises:
        InputError: no such device, or devices of several kinds.
    """
    found, devices = find_device(device), default_devices(device)
    kinds = [device_kind(find_device(name), skeleton.widths) for name in devices]
    if any(kind != kinds[0] for kind in kinds):
        models = ", ".join(kind.get("model", kind["type"]) for kind in kinds)
        raise InputError(f"devices of several kinds ({models}): choose with --device, as cuda:0")
    there = tuple(resolved(proxy, skeleton, found) for proxy in proxies)
    return Machine(kinds[0], devices, there)


def connection(means: Means) -> AbstractContextManager[Any]:
    """The connection to Ray that a search needs from its beginning on, if it needs one."""
    if not means.on_ray:
        return nullcontext()
    from nas.workers.ray_cluster import connected

    return connected(means.ray_address, means.count and means.count * means.ray_cpus)


def find_machine(means: Means) -> Callable[[AnySkeleton, Sequence[Proxy]], Machine]:
    """What finds out about the machine that trains, by its skeleton and proxies."""
    if not means.on_ray:
        return lambda skeleton, proxies: machine(means.device, skeleton, proxies)
    from nas.workers.ray_cluster import ask_node, room

    gpus = 1.0 if means.ray_gpus is None else means.ray_gpus
    wanted = means.device.startswith("cuda") or (means.device == "auto" and room(gpus=1.0) > 0)
    on_gpu = wanted and gpus > 0
    name = "cuda:0" if on_gpu else "cpu"
    return lambda skeleton, proxies: ask_node(
        machine, name, skeleton, proxies, cpus=means.ray_cpus, gpus=gpus if on_gpu else 0.0
    )


@contextmanager
def open_pool(
    means: Means, context: EvaluationContext, kind: Mapping[str, str], lag: int
) -> Iterator[tuple[Pool, int]]:
    """The workers of a search, and how many evaluations they do at once."""
    allowance = Allowance(means.time_limit, means.memory_limit)
    context = replace(context, lockstep=means.lockstep)
    if context.table:  # which answers at once, so that processes would cost more than they do
        yield Threads(evaluate_job, context, means.count or 1), means.count or 1
        return
    if not means.on_ray:
        count = means.count or min(default_count(context.devices), lag)
        pack = at_once(context, count, lag)
        with Workers(evaluate_job, context, count, pack, allowance, memory_ended) as workers:
            yield workers, count
        return
    from nas.workers.ray_cluster import room
    from nas.workers.ray_pool import RayWorkers

    cpus, gpus = means.ray_cpus, means.ray_gpus
    share = float(kind["type"] == "cuda") if gpus is None else gpus
    count = means.count or max(1, min(room(cpus, share), lag))
    pack = at_once(context, count, lag)
    with RayWorkers(
        evaluate_job, context.for_cluster(kind), count, pack, allowance, memory_ended,
        address=means.ray_address, cpus=cpus, gpus=share,
    ) as tasks:  # fmt: skip
        yield tasks, count

"""One candidate's evidence: compile, train, score, measure. No torch until `evaluate` is called."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.genome import Genome
from nas.plan import plan
from nas.proxy import Proxy
from nas.skeleton import Skeleton

if TYPE_CHECKING:
    import torch

    from nas.data import Data
    from nas.inheritance import Inherited
    from nas.network import Network


@dataclass(frozen=True)
class Evaluation:
    """The result of training one genome.

    Accuracies, losses, gradient norms and status are a function of genome, skeleton, proxy, seed,
    data and kind of device; seconds, memory and latency are measurements.
    """

    genome: Genome
    seed: int
    status: str
    """ok, pruned, diverged, out of memory, or failed."""
    why: str
    accuracy: float
    """Of the last epoch that was trained; 0 unless the status is ok or pruned."""
    accuracies: tuple[float, ...]
    losses: tuple[float, ...]
    """Mean training loss of every epoch."""
    gradients: tuple[tuple[float, float], ...]
    """L2 norms of the first and last layer's gradient at the last step of every epoch."""
    params: int
    macs: int
    """For one image of the skeleton's input shape."""
    seconds: float
    peak_bytes: int | None
    """Peak memory: of the process on a CPU (None where the system cannot say), allocated on a GPU."""
    latency_1: float | None = None
    """Seconds of a forward pass of one image, where it was asked for."""
    latency_full: float | None = None
    """Seconds of a forward pass of a whole batch of the proxy, where it was asked for."""
    inherited: Inherited | None = None
    """What it started with of another network's weights."""


def evaluate(
    genome: Genome,
    skeleton: Skeleton,
    proxy: Proxy,
    seed: int,
    data: Data,
    device: str = "auto",
    *,
    part: str = "validation",
    fast: bool = False,
    latencies: bool = False,
    on_epoch: Callable[[int, float], bool | None] | None = None,
    start: Mapping[str, torch.Tensor] | None = None,
    keep: Callable[[Network], None] | None = None,
) -> Evaluation:
    """Trains a genome by the proxy and scores it.

    On a CPU it runs on one thread, on a GPU with deterministic algorithms unless `fast`. What goes
    wrong in the candidate itself (divergence, memory) is a status, not an exception.

    Args:
        seed: fixes weights, batches and augmentation.
        device: "auto", "cpu", "cuda" or "cuda:N".
        part: "validation" (scored every epoch) or "test" (scored once, at the end).
        latencies: whether to measure latency after the training.
        on_epoch: called with (epoch from 1, accuracy) after every score; True prunes the candidate.
        start: weights by name to start from, where names and shapes agree.
        keep: called with the trained network, unless it was pruned or diverged.

    Raises:
        InputError: the arguments do not fit together.
    """
    from nas.device import find_device, one_thread, reproducible
    from nas.inheritance import inherit
    from nas.network import compile_network
    from nas.training import Curves, train

    where = find_device(device)
    planned = plan(genome, skeleton)
    started, peak = time.perf_counter(), PeakMemory(where)
    curves, status, why = Curves(), "ok", ""
    single = full = inherited = None
    proxy = proxy.resolved(where.type)
    with one_thread(where), reproducible(where, not fast), _out_of_memory() as problem:
        import torch

        network = compile_network(genome, skeleton, seed)
        if start is not None:
            inherited = inherit(network, start)
        network = network.to(where).to(memory_format=torch.channels_last)
        curves = train(network, data, proxy, seed, where, part, part != "test", on_epoch)
        if keep and not (curves.diverged or curves.stopped):
            keep(network)
        if latencies:
            from nas.latency import latency

            single = latency(network, skeleton.input_shape, 1, proxy, where)
            full = latency(network, skeleton.input_shape, proxy.batch, proxy, where)
    if problem:
        status, why = "out of memory", problem[0]
    elif curves.diverged:
        status, why = "diverged", curves.diverged
    elif curves.stopped:
        status, why = "pruned", f"after epoch {len(curves.accuracies)} of {proxy.epochs}"
    return Evaluation(
        genome=genome,
        seed=seed,
        status=status,
        why=why,
        accuracy=curves.accuracies[-1] if status in ("ok", "pruned") else 0.0,
        accuracies=tuple(curves.accuracies),
        losses=tuple(curves.losses),
        gradients=tuple(curves.gradients),
        params=planned.params,
        macs=planned.macs,
        seconds=time.perf_counter() - started,
        peak_bytes=peak.read(),
        latency_1=single,
        latency_full=full,
        inherited=inherited,
    )


def failed(genome: Genome, skeleton: Skeleton, seed: int, why: str) -> Evaluation:
    """The evaluation of a candidate whose training raised an error or lost its process."""
    planned = plan(genome, skeleton)
    return Evaluation(
        genome, seed, "failed", why, 0.0, (), (), (), planned.params, planned.macs, 0.0, None
    )


class PeakMemory:
    """Peak memory from its making on; the process's peak never falls by itself, so it is reset."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            import torch

            torch.cuda.init()  # a device with an index does not initialise CUDA by itself
            torch.cuda.reset_peak_memory_stats(device)
        else:
            self._reset = _write("/proc/self/clear_refs", "5")

    def read(self) -> int | None:
        if self.device.type == "cuda":
            import torch

            return torch.cuda.max_memory_allocated(self.device)
        if not self._reset:
            return None
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
        return None


def _write(path: str, text: str) -> bool:
    try:
        Path(path).write_text(text)
    except OSError:
        return False
    return True


@contextmanager
def _out_of_memory() -> Iterator[list[str]]:
    """Catches what PyTorch raises when memory ends; the list then holds the message."""
    import torch

    problem: list[str] = []
    try:
        yield problem
    except (MemoryError, torch.OutOfMemoryError) as error:
        problem.append(str(error).splitlines()[0] if str(error) else "out of memory")
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):
            raise
        problem.append(str(error).splitlines()[0])

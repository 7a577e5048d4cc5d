"""Ray itself: connecting to a cluster, its room, and what a node says of itself. Ray is imported here alone."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from nas.errors import InputError
from nas.workers.protocol import (
    ENVIRONMENT,
)

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_niceness": "0",  # evaluations are all that it is started for
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # its messages about dead processes are reported as reasons
}
"""Environment variables for Ray, where the user has not set them."""
KEEP_GPUS_VISIBLE = {"RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}
"""Otherwise Ray would hide GPUs from processes that have begun to use others already."""
CONNECT_SECONDS = 5.0


def room(cpus: float = 1.0, gpus: float = 0.0) -> int:
    """How many tasks with these resources the nodes of the connected cluster run at once."""
    asked = {"CPU": cpus, "GPU": gpus}
    return sum(
        min(int(node["Resources"].get(name, 0) / share) for name, share in asked.items() if share)
        for node in ray_library().nodes()
        if node["Alive"]
    )


def check_room(cpus: float, gpus: float) -> None:
    """Raises InputError if no node has these resources."""
    if room(cpus, gpus):
        return
    nodes = [node["Resources"] for node in ray_library().nodes() if node["Alive"]]
    most = [f"{max(n.get(name, 0) for n in nodes):g} {name}s" for name in ("CPU", "GPU")]
    raise InputError(
        f"an evaluation asks for {cpus:g} CPUs and {gpus:g} GPUs of one node; "
        f"the {len(nodes)} of this Ray cluster have up to {' and '.join(most)}"
    )


def ask_node(function: Callable[..., Any], *arguments: Any, cpus: float, gpus: float) -> Any:
    """What a function returns on a node of the connected cluster that has these resources.

    Raises:
        InputError: no node has them, or the function raises it.
    """
    ray = ray_library()
    check_room(cpus, gpus)
    options = {
        "num_cpus": cpus,
        "num_gpus": gpus,
        "runtime_env": {"env_vars": worker_environment()},
    }
    try:
        return ray.get(ray.remote(**options)(function).remote(*arguments))
    except ray.exceptions.RayTaskError as error:
        raise InputError(first_line(error.cause)) from None
    except ray.exceptions.RayError as error:
        raise InputError(f"Ray has failed: {first_line(error)}") from None


@contextlib.contextmanager
def connected(address: str | None = None, cpus: float | None = None) -> Iterator[None]:
    """Ray for what runs inside; a connection that this process has already is used and kept.

    With host:port this machine must be a node of the cluster itself. Where a cluster asks for a
    token, RAY_AUTH_MODE=token is to be set here, too.

    Args:
        address: "auto", host:port or ray://host:port of a cluster; None starts Ray on this machine.
        cpus: what a Ray on this machine is told to have; None is what there is.

    Raises:
        InputError: Ray is not installed, or there is no cluster at the address.
    """
    ray = ray_library()
    if ray.is_initialized():
        yield
        return
    try:
        with _handlers_kept():
            _init(ray, address, cpus)
    except (OSError, RuntimeError, ValueError, SystemExit) as error:  # Ray exits after a minute
        ray.shutdown()
        where = "on this machine" if address is None else f"at {address}"
        raise InputError(f"no Ray cluster {where}: {first_line(error)}") from None
    try:
        yield
    finally:
        ray.shutdown()


def ray_library() -> Any:
    """The module, once it is needed: it is an extra."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise InputError('--workers ray needs Ray: pip install "skipnas[ray]"') from None
    return ray


def _init(ray: Any, address: str | None, cpus: float | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        count = None if cpus is None else math.ceil(cpus)
        ray.init("local", num_cpus=count, include_dashboard=False, **quiet)
    else:
        _knock(address)
        ray.init(address, **quiet)


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Ray puts a handler of its own in the place of SIGTERM's, which ends the process at once."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def worker_environment() -> dict[str, str]:
    """Variables of worker processes; what the user has set stays, and is the same on all nodes."""
    return {name: os.environ.get(name, value) for name, value in ENVIRONMENT.items()} | (
        KEEP_GPUS_VISIBLE
    )


def _knock(address: str) -> None:
    """Tries a host:port, as Ray itself takes more than a minute to find nobody there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

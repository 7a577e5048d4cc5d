"""What a machine has: its devices, how many processes they occupy, its memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from nas.errors import InputError

MAX_WORKERS = 1024
GIB = 1 << 30
MOST_BYTES = 32 * GIB
"""Of images or weights, on any machine."""


def default_devices(device: str) -> tuple[str, ...]:
    """The devices of a pool: all GPUs for "auto" or "cuda", else the one that is named."""
    import torch

    from nas.devices.device import find_device

    found = find_device(device)
    if found.type == "cuda" and found.index is None:
        return tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))
    return (str(found),)


def default_count(devices: Sequence[str]) -> int:
    """Workers for these devices: one a core on a CPU, else one a device."""
    if devices[0] != "cpu":
        return len(devices)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_bytes(what: str, needed: int) -> None:
    """Raises InputError for more bytes than half of the memory that is free."""
    most = min(MOST_BYTES, free_bytes() // 2)
    if needed > most:
        raise InputError(
            f"{what}: needs {needed / GIB:.1f} GiB of memory; at most {most / GIB:.1f} GiB are taken"
        )


def free_bytes() -> int:
    """Memory that is free on this machine."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

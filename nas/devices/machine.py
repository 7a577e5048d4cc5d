"""What a machine has: its devices, how many processes they occupy, its memory."""

from __future__ import annotations

import os
from collections.abc import Sequence

MAX_WORKERS = 1024


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

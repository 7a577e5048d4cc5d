"""Random numbers that a network draws while it is trained, such as dropout's, as a function of a seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Inside, PyTorch's generators of the CPU and the device begin at a seed; then they are as before."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed % (1 << 63))
        if devices:
            torch.cuda.manual_seed(seed % (1 << 63))
        elif device.type == "mps":
            torch.mps.manual_seed(seed % (1 << 63))
        yield

"""Memory: what is free, what was used at most, and whether it has ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def free_gpu_bytes(device: torch.device) -> int:
    """Memory of a GPU that nobody has, or that PyTorch holds in reserve."""
    import torch

    reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + reserve


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
def out_of_memory() -> Iterator[list[str]]:
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

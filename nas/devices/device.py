"""Which device, how it is made reproducible, and what kind it is."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache

import torch
from torch import Tensor
from torch.utils import deterministic

from nas.errors import InputError
from nas.kernels.library import variant


def find_device(name: str = "auto") -> torch.device:
    """The device of a name: "auto" is the first GPU, or the CPU where there is none.

    AMD's GPUs are "cuda" to PyTorch, too; Apple's are "mps", which "auto" does not choose.

    Raises:
        InputError: an unknown name, or a GPU that is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "mps":
        if not torch.backends.mps.is_available():
            raise InputError("device 'mps' is not there: PyTorch finds no GPU of Apple's")
        return torch.device(name)
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()) or name.endswith(":"):
        raise InputError(
            f"unknown device {name!r}: allowed: auto, cpu, mps, cuda, cuda:0, cuda:1, …"
        )
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"device {name!r} is not there: this machine has {torch.cuda.device_count()} CUDA "
            "devices that PyTorch can use; --device auto takes what there is"
        )
    return torch.device(name)


def device_kind(device: torch.device, widths: Iterable[int] = ()) -> dict[str, str]:
    """What results depend on: model, instruction set and versions. Same kind, same results.

    Args:
        widths: of a network's stages, by which the kernels may be chosen.
    """
    kind = {"type": device.type, "torch": torch.__version__}
    if device.type == "cuda":
        version = torch.version.cuda or torch.version.hip
        return kind | {"model": torch.cuda.get_device_name(device), "cuda": str(version)}
    if device.type == "mps":
        return kind | {"model": platform.processor()}
    return kind | {
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "bf16": "yes" if computes_bf16(device) else "no",
        "kernels": variant(widths) or "no",
    }


def computes_bf16(device: torch.device) -> bool:
    """Whether the processor multiplies bf16 numbers by itself; PyTorch can also imitate it, slowly."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device.type == "cpu" and bool(native())


def with_float64(tensor: Tensor) -> Tensor:
    """The tensor where float64 can be computed: on the CPU if it is on a GPU of Apple's."""
    return tensor.cpu() if tensor.device.type == "mps" else tensor


@cache
def say_once(text: str) -> None:
    """Tells the user, on standard error, what this process does otherwise than was asked."""
    logging.getLogger("skipnas").warning(text)


def on_device(device: torch.device) -> AbstractContextManager:
    """Makes a GPU the current one, on which streams and graphs are made."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


@contextmanager
def one_thread(device: torch.device) -> Iterator[None]:
    """One thread for work on a CPU: the number of threads changes sums, and so results."""
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def refuses_determinism(error: RuntimeError) -> bool:
    """Whether PyTorch has no deterministic algorithm for an operation; then it takes another one.

    Results of this process need not repeat to the bit from then on, which the user is told.
    """
    if "deterministic" not in str(error) or not torch.are_deterministic_algorithms_enabled():
        return False
    say_once(f"results may not repeat to the bit: {str(error).splitlines()[0]}")
    torch.use_deterministic_algorithms(True, warn_only=True)
    return True


@contextmanager
def reproducible(device: torch.device, wanted: bool) -> Iterator[None]:
    """Deterministic algorithms on a GPU; otherwise cuDNN may choose by timing."""
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    filled = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(wanted)
    # filling would be one more kernel for every new tensor, and all of them are written
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not wanted
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = before[1]

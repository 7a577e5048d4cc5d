"""The compiled kernels: which of them this processor can run, and their steps."""

from __future__ import annotations

import ctypes
from ctypes import c_float, c_long, c_void_p
from enum import IntEnum
from functools import cache
from pathlib import Path

import torch

FOLDER = Path(__file__).parent


class Conv(ctypes.Structure):
    """A convolution's sizes: see kernels.c."""

    _fields_ = [
        (name, c_long)
        for name in ("images", "height", "width", "parts", "channels", "out", "side", "stride")
    ]


class Step(ctypes.Structure):
    """A step of a program: see kernels.c. Addresses are None where there is nothing."""

    _fields_ = [
        *((name, c_long) for name in ("kind", "form", "bf", "relu", "exact", "trained")),
        ("conv", Conv),
        ("pixels", c_long), ("channels", c_long),
        ("inputs", c_void_p), ("count", c_long), ("strengths", c_void_p),
        *((name, c_void_p) for name in ("branch", "factor", "output", "before", "weight", "bias")),
        ("bias_bf", c_long),
        *((name, c_void_p) for name in (
            "gamma", "beta", "mean", "rstd", "running_mean", "running_var", "momentum",
        )),
        ("eps", c_float),
        *((name, c_void_p) for name in (
            "gradient", "to_before", "to_inputs", "adds", "to_branch",
        )),
        ("add_branch", c_long),
        *((name, c_void_p) for name in (
            "to_weight", "to_bias", "to_gamma", "to_beta", "to_factor", "expand", "expand_bias",
            "to_expand", "to_expand_bias", "squeezed", "reduced",
        )),
    ]  # fmt: skip


class Kind(IntEnum):
    """Kinds of steps, as in kernels.c."""

    CONV, NORM, MERGE, EXCITE, SQUEEZE, FOLD = range(6)


class Form(IntEnum):
    """Forms of merges, as in kernels.c."""

    SUM, ADD, SCALE, CHANNEL, GATED, HIGHWAY = range(6)


WORKS = ("convolutions, forward", "convolutions, backward", "batch norm", "activations and sums")
"""Kinds of work whose seconds can be counted, as in kernels.c."""


class Library:
    """The functions of kernels.c."""

    def __init__(self, path: Path) -> None:
        loaded = ctypes.CDLL(str(path))
        self.forward, self.backward = loaded.skipnas_forward, loaded.skipnas_backward
        for function in (self.forward, self.backward):
            function.argtypes, function.restype = (c_void_p, c_long, c_long), None
        self._time = loaded.skipnas_time
        self._time.argtypes, self._time.restype = (ctypes.c_int, ctypes.c_double * len(WORKS)), None
        self.lanes: int = loaded.skipnas_lanes()
        """Numbers of a vector, of which channels are a multiple."""
        self.max_taps: int = loaded.skipnas_max_taps()
        if loaded.skipnas_step_bytes() != ctypes.sizeof(Step):
            raise ImportError(f"{path} was compiled from another kernels.c")

    def time(self, on: bool) -> dict[str, float]:
        """Starts or ends the counting of seconds by kind of work; returns what was counted."""
        spent = (ctypes.c_double * len(WORKS))()
        self._time(on, spent)
        return dict(zip(WORKS, spent, strict=True))


def variant() -> str:
    """What is loaded here: "bf16" (with AVX-512), "avx512", "avx2", or "" where PyTorch's are used.

    Follows PyTorch's own choice of instructions, which ATEN_CPU_CAPABILITY can lower.
    """
    capability = torch.backends.cpu.get_cpu_capability()
    wanted = {"AVX512": "avx512", "AVX2": "avx2"}.get(capability, "")
    if wanted == "avx512" and getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)():
        wanted = "bf16"
    return wanted if wanted and (FOLDER / f"kernels-{wanted}.so").exists() else ""


@cache
def library() -> Library | None:
    """The kernels for this processor; None where none were compiled for it."""
    name = variant()
    return Library(FOLDER / f"kernels-{name}.so") if name else None

"""The compiled kernels: which of them this processor can run, and their steps."""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Iterable
from ctypes import c_float, c_long, c_void_p
from enum import IntEnum
from functools import cache
from pathlib import Path

import torch

from nas.kernels.build import source_hash

FOLDER = Path(__file__).parent
NARROW = 8
"""Numbers of an AVX2 vector."""


class ConvSizes(ctypes.Structure):
    """A convolution's sizes: see kernels.c."""

    _fields_ = [
        (name, c_long)
        for name in ("images", "height", "width", "parts", "channels", "out", "side", "stride")
    ]


class Step(ctypes.Structure):
    """A step of a program: see kernels.c. Addresses are None where there is nothing."""

    _fields_ = [
        *((name, c_long) for name in ("kind", "form", "bf", "relu", "exact", "trained")),
        ("conv", ConvSizes),
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
        self.name = path.stem.removeprefix("kernels-")
        self.lanes: int = loaded.skipnas_lanes()
        """Numbers of a vector, of which channels are a multiple."""
        self.max_taps: int = loaded.skipnas_max_taps()
        self.bf16 = bool(loaded.skipnas_bf16())
        """Whether it computes in bf16."""
        loaded.skipnas_source.restype = ctypes.c_char_p
        if loaded.skipnas_source().decode() != source_hash(FOLDER):
            raise ImportError("it was compiled from another kernels.c")

    def time(self, on: bool) -> dict[str, float]:
        """Starts or ends the counting of seconds by kind of work; returns what was counted."""
        spent = (ctypes.c_double * len(WORKS))()
        self._time(on, spent)
        return dict(zip(WORKS, spent, strict=True))


@cache
def library() -> Library | None:
    """The kernels for this processor; None, and PyTorch's are used, where there are none.

    Follows PyTorch's own choice of instructions, which ATEN_CPU_CAPABILITY can lower.
    """
    capability = torch.backends.cpu.get_cpu_capability()
    wanted = {"AVX512": "avx512", "AVX2": "avx2"}.get(capability, "")
    if wanted == "avx512" and getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)():
        wanted = "bf16"
    return _load(wanted)


@cache
def narrow() -> Library | None:
    """AVX2's kernels on a processor with wider vectors, for widths that do not fill those; else None."""
    wide = library()
    return _load("avx2") if wide and wide.lanes > NARROW else None


def _load(name: str) -> Library | None:
    path = FOLDER / f"kernels-{name}.so"
    if not path.exists():
        return None
    try:
        return Library(path)
    except (OSError, AttributeError, ImportError) as error:
        warnings.warn(f"{path} is not used: {error}; install skipnas again", stacklevel=2)
        return None


def variant(widths: Iterable[int] = ()) -> str:
    """What is used here, as studies record it: "bf16" (with AVX-512), "avx512", "avx2" or "".

    Args:
        widths: of a network's stages; "bf16+avx2" is where those do not fill the wider vectors.
    """
    found = library()
    if found is None:
        return ""
    filled = all(width % found.lanes == 0 for width in widths)
    return found.name if filled or narrow() is None else f"{found.name}+avx2"

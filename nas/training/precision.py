"""The number format of a training, and whose kernels: rules over measured shapes, never a timing.

A timing at the start would make results depend on it. The rules follow from the tables in
docs/speed.md, which tests/benchmarks/precision.py measures: bf16 against fp32, and the kernels of
nas/kernels against PyTorch's, for steps and scores of nine basic blocks.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.errors import InputError, unknown
from nas.proxy import Proxy

if TYPE_CHECKING:
    import torch

BF16_VALUES = 64 * 16 * 14 * 14
"""Values of a batch after the stem from which a CPU computes in bf16.

From there on it is faster by a fifth with PyTorch's kernels too. Smaller evaluations take fractions of
a second either way; in fp32 they agree with those of processors without bf16.
"""


def resolved(proxy: Proxy, skeleton: AnySkeleton, device: torch.device) -> Proxy:
    """The proxy with "auto" replaced by what is faster for these shapes on this kind of device.

    Raises:
        InputError: the skeleton's networks cannot be trained in the proxy's number format or resolution.
    """
    if proxy.resolution not in (None, skeleton.side) and not skeleton.any_size:
        raise InputError(
            f"proxy: resolution {proxy.resolution}: networks of {skeleton.title} read pictures with a side of "
            f"{skeleton.side} alone"
        )
    formats = skeleton.formats
    if proxy.precision not in ("auto", *formats):
        raise unknown("precision", proxy.precision, ("auto", *formats), place=skeleton.title)
    if proxy.precision != "auto" or len(formats) == 1:
        return replace(proxy, precision=formats[0]) if len(formats) == 1 else proxy
    from nas.devices.device import computes_bf16

    pays = computes_bf16(device) and (
        device.type == "cuda" or _values(proxy, skeleton) >= BF16_VALUES
    )
    return replace(proxy, precision="bf16" if pays else "fp32")


def _values(proxy: Proxy, skeleton: AnySkeleton) -> int:
    """Values of a batch after the stem."""
    side = skeleton.side
    share = (proxy.resolution or side) / side
    return int(proxy.batch * prod(skeleton.shapes[0]) * share**2)

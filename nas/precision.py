"""The number format of a training: a rule over measured shapes, never a timing at the start.

bf16 against fp32 on one core of a processor with AVX-512 and bf16 instructions, as
`python tests/benchmarks/precision.py` measured it for nine basic blocks at a batch of 64:

| pixels of a side | width 8 | 16 | 32 | 64 |
|---|---|---|---|---|
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nas.plan import node_shapes
from nas.proxy import Proxy
from nas.skeleton import Skeleton

if TYPE_CHECKING:
    import torch

BF16_VALUES = 64 * 16 * 14 * 14
"""Values of a batch after the stem from which bf16 pays on a CPU."""


def resolved(proxy: Proxy, skeleton: Skeleton, device: torch.device) -> Proxy:
    """The proxy with "auto" replaced by what is faster for these shapes on this kind of device."""
    if proxy.precision != "auto":
        return proxy
    from nas.device import computes_bf16

    pays = computes_bf16(device) and (
        device.type == "cuda" or _values(proxy, skeleton) >= BF16_VALUES
    )
    return replace(proxy, precision="bf16" if pays else "fp32")


def _values(proxy: Proxy, skeleton: Skeleton) -> int:
    """Values of a batch after the stem."""
    channels, height, width = node_shapes(skeleton)[0][0]
    side = min(skeleton.input_shape[1:])
    share = (proxy.resolution or side) / side
    return int(proxy.batch * channels * height * width * share**2)

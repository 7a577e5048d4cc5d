"""The number format of a training: a rule over measured shapes, never a timing at the start.

How much faster bf16 is than fp32 on one core with AVX-512 and bf16 instructions, for a step of
training and for a score of nine basic blocks at a batch of 64 (tests/benchmarks/precision.py):

| pixels of a side | width 8 | 16 | 32 | 64 |
|---|---|---|---|---|
| 8 | 1.01, 1.03 | 1.08, 1.14 | 1.29, 1.33 | 1.48, 1.73 |
| 14 | 1.04, 1.07 | 1.23, 1.36 | 1.44, 1.51 | 1.62, 1.88 |
| 16 | 1.07, 1.17 | 1.26, 1.34 | 1.46, 1.59 | 1.69, 1.90 |
| 28 | 1.20, 1.38 | 1.40, 1.59 | 1.70, 1.82 | 1.76, 1.87 |
| 32 | 1.19, 1.41 | 1.49, 1.67 | 1.73, 1.87 | 1.77, 1.87 |
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
"""Values of a batch after the stem from which bf16 is faster by a fifth on a CPU, by the table."""


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

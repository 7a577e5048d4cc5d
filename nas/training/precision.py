"""The number format of a training, and whose kernels: rules over measured shapes, never a timing.

A timing at the start would make results depend on it. Measured for a step of training and for a score
of nine basic blocks at a batch of 64, on one core with AVX-512 and bf16 instructions
(tests/benchmarks/precision.py). How much faster bf16 is than fp32 with the kernels of nas/kernels:

| pixels of a side | width 16 | 32 | 64 |
|---|---|---|---|
| 8 | 1.55, 1.63 | 1.82, 1.94 | 1.93, 2.07 |
| 14 | 1.71, 1.75 | 1.97, 2.01 | 2.18, 2.19 |
| 16 | 1.73, 1.75 | 1.97, 2.02 | 2.17, 2.25 |
| 28 | 1.87, 1.80 | 2.14, 2.21 | 2.11, 2.26 |
| 32 | 1.87, 1.86 | 2.12, 2.13 | 2.14, 2.36 |

and with PyTorch's, for what those do not have:

| pixels of a side | width 8 | 16 | 32 | 64 |
|---|---|---|---|---|
| 8 | 1.00, 1.03 | 1.09, 1.12 | 1.24, 1.33 | 1.41, 1.66 |
| 14 | 1.06, 1.13 | 1.21, 1.32 | 1.42, 1.53 | 1.65, 1.87 |
| 16 | 1.08, 1.16 | 1.25, 1.36 | 1.48, 1.55 | 1.73, 1.90 |
| 28 | 1.16, 1.38 | 1.42, 1.56 | 1.67, 1.75 | 1.73, 1.85 |
| 32 | 1.18, 1.34 | 1.43, 1.59 | 1.67, 1.79 | 1.85, 1.87 |

How much faster the kernels are than PyTorch's, in fp32:

| pixels of a side | width 16 | 32 | 64 |
|---|---|---|---|
| 8 | 2.54, 3.40 | 1.79, 1.91 | 1.58, 1.62 |
| 14 | 1.61, 1.77 | 1.21, 1.17 | 1.09, 1.03 |
| 16 | 1.54, 1.67 | 1.17, 1.15 | 1.04, 1.00 |
| 28 | 1.27, 1.23 | 1.05, 1.02 | 0.90, 0.84 |
| 32 | 1.21, 1.15 | 1.01, 0.98 | 0.94, 0.85 |

and in bf16:

| pixels of a side | width 16 | 32 | 64 |
|---|---|---|---|
| 8 | 3.64, 5.17 | 2.55, 2.81 | 2.20, 1.91 |
| 14 | 2.30, 2.36 | 1.72, 1.59 | 1.39, 1.24 |
| 16 | 2.12, 2.24 | 1.56, 1.45 | 1.31, 1.22 |
| 28 | 1.67, 1.50 | 1.32, 1.20 | 1.11, 1.10 |
| 32 | 1.57, 1.38 | 1.25, 1.12 | 1.06, 1.08 |
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nas.architecture.skeletons.convolutional import Skeleton, node_shapes
from nas.proxy import Proxy

if TYPE_CHECKING:
    import torch

BF16_VALUES = 64 * 16 * 14 * 14
"""Values of a batch after the stem from which a CPU computes in bf16.

From there on it is faster by a fifth with PyTorch's kernels too. Smaller evaluations take fractions of
a second either way; in fp32 they agree with those of processors without bf16.
"""


def resolved(proxy: Proxy, skeleton: Skeleton, device: torch.device) -> Proxy:
    """The proxy with "auto" replaced by what is faster for these shapes on this kind of device."""
    if proxy.precision != "auto":
        return proxy
    from nas.devices.device import computes_bf16

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

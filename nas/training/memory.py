"""How much memory a training needs, predicted from the plan, and how many fit side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod

from nas.architecture.map_parts import Halve, PatchConv, UpConv, Upsample
from nas.architecture.parts import Chain, Conv, Gelu, Norm, Part, Piece, Project, Sigmoid
from nas.architecture.plan import Plan
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.architecture.token_parts import Attend, TanhGelu
from nas.proxy import Proxy

MARGIN = 1.5
"""What is reserved for a predicted byte: fragments, temporary gradients, a graph's own pool."""
WORKSPACE_BYTES = 96 << 20
"""What cuDNN, cuBLAS and a captured graph take for a network beside its tensors."""
SHARE = 0.8
"""Of a device's free memory, what is planned with."""
KEPT = (
    Conv, Norm, Project, Sigmoid, Gelu, PatchConv, Halve, Upsample, UpConv, TanhGelu
)  # fmt: skip
"""Parts whose output is kept for the backward pass."""
VALUE_BYTES = {"fp32": 4, "bf16": 2}


def training_bytes(planned: Plan, proxy: Proxy, skeleton: AnySkeleton) -> int:
    """Bytes that one training step keeps: tensors saved for the backward pass, and parameters.

    Saved are the inputs of convolutions and norms, and what activations and merges give.

    Args:
        proxy: with its precision resolved.
        skeleton: the one that was planned on; the proxy may train on smaller pictures.
    """
    side = skeleton.side
    scale = ((proxy.resolution or side) / side) ** 2
    value = VALUE_BYTES[proxy.precision]
    saved = sum(map(_kept, _parts(planned)))
    for layer in planned.layers:
        # the merged tensor, and each skip once more where it is weighted or summed
        saved += prod(layer.shape) * (1 + max(0, len(layer.skips) - 1))
    rounded = 2 * value if value < 4 else 0  # values and gradients in which the network computes
    moments = 2 if proxy.optimizer == "adamw" else 1
    parameters = planned.params * (
        (2 + moments) * 4 + rounded
    )  # and fp32 values, gradients, moments
    return int(proxy.batch * saved * value * scale) + parameters


def _parts(planned: Plan) -> Iterator[Part]:
    yield from _flat([planned.stem, planned.head])
    for layer in planned.layers:
        yield from _flat(layer.parts())


def _flat(parts: Iterable[Part]) -> Iterator[Part]:
    for part in parts:
        if isinstance(part, Chain):
            yield from _flat(part for _, part in part)
        else:
            yield part


def _kept(part: Part) -> int:
    """Values of an image that a part's output adds to what is kept; ReLU works in place."""
    if isinstance(part, Piece):
        return part.kept
    if isinstance(part, Attend):
        # the output once more with its heads side by side, and queries and keys once more when turned
        return (2 + 2 * part.rotary) * prod(part.shape)
    return prod(part.shape) if isinstance(part, KEPT) else 0


def side_by_side(needs: list[int], free: int) -> list[int]:
    """Sizes of the packs into which trainings are split, in order, so that each pack fits.

    Args:
        needs: bytes of each training.
        free: bytes that are there.

    Returns:
        Sizes that add up to `len(needs)`; one that fits nowhere is alone and may fail.
    """
    sizes: list[int] = []
    left = 0.0
    for need in needs:
        reserved = MARGIN * need + WORKSPACE_BYTES
        if not sizes or reserved > left:
            sizes.append(0)
            left = SHARE * free
        sizes[-1] += 1
        left -= reserved
    return sizes

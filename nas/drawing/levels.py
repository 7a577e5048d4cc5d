"""How deep the nodes of a network stand that goes down and up again, as a U-Net does."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from nas.architecture.parts import Shape


def levels(shapes: Sequence[Shape]) -> list[int]:
    """The level of every node, 0 the highest; all are 0 where no map is larger than the one before it."""
    pixels = [shape[1:] if len(shape) == 3 else () for shape in shapes]
    if all(later <= before for before, later in pairwise(pixels)):
        return [0] * len(shapes)
    ranks = {sides: rank for rank, sides in enumerate(sorted(set(pixels), reverse=True))}
    return [ranks[sides] for sides in pixels]

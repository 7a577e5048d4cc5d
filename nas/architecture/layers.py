"""A layer of a genome: the skips that end in it, and the merge that combines them with its branch."""

from __future__ import annotations

import sys
from collections.abc import Container, Sequence
from dataclasses import dataclass

from nas.architecture.merges import MERGES
from nas.errors import InputError, brief, unknown

MAX_STRENGTH = sys.float_info.max
MAX_PERIOD = 64
"""Of a motif that is looked for in a genome."""


@dataclass(frozen=True, order=True)
class Skip:
    """An edge from the node `distance` before the layer's output, multiplied by `strength` > 0."""

    distance: int
    strength: float = 1.0

    def __str__(self) -> str:
        return (
            f"{self.distance}" if self.strength == 1 else f"{self.distance}@{number(self.strength)}"
        )


@dataclass(frozen=True)
class Layer:
    """One layer's skips and their merge; a plain layer has neither (`Layer()`)."""

    merge: str | None = None
    skips: tuple[Skip, ...] = ()

    def __str__(self) -> str:
        return f"{self.merge}({','.join(map(str, self.skips))})" if self.skips else "-"

    def within(self, most: int) -> Layer:
        """The layer without the skips that are longer; it is plain where none is left."""
        if not self.skips or self.skips[-1].distance <= most:
            return self
        return self.among(range(1, most + 1))

    def among(self, distances: Container[int]) -> Layer:
        """The layer with the skips of these distances alone; it is plain where none is left."""
        skips = tuple(skip for skip in self.skips if skip.distance in distances)
        return Layer(self.merge, skips) if skips else Layer()


def tiled(motif: Sequence[Layer], count: int) -> tuple[Layer, ...]:
    """So many layers of a motif again and again, less the skips that reach before the stem."""
    return tuple(motif[index % len(motif)].within(index + 1) for index in range(count))


def period_of(layers: Sequence[Layer], least: int = 1) -> int | None:
    """The shortest period from `least` on, of at most half of the layers, whose tiling these are."""
    for period in range(least, min(len(layers) // 2, MAX_PERIOD) + 1):
        motif = last_tile(layers, period)
        if all(
            layer == motif[index % period].within(index + 1) for index, layer in enumerate(layers)
        ):
            return period
    return None


def last_tile(layers: Sequence[Layer], period: int) -> tuple[Layer, ...]:
    """The motif of this period by the last layers, where fewest skips are left out."""
    start = len(layers) - period
    return tuple(layers[start + (place - start) % period] for place in range(period))


def number(strength: float) -> str:
    return repr(strength).removesuffix(".0")


def check_layer(layer: Layer, index: int, most: int) -> None:
    """Raises InputError, naming the layer, the value and what is allowed, for an impossible layer.

    Args:
        index: of the layer, from 1.
        most: the greatest distance.
    """
    if not layer.skips:
        if layer.merge is not None:
            raise InputError(
                f"layer {index}: merge {layer.merge!r} has no skips; a plain layer has no merge"
            )
        return
    if layer.merge not in MERGES:
        raise unknown("merge", layer.merge, MERGES, place=_where(layer, index))
    previous = 0
    for skip in layer.skips:
        d, s = skip.distance, skip.strength
        if not isinstance(d, int) or isinstance(d, bool) or d < 1:
            raise InputError(
                f"layer {index}: distance {brief(d)} is not a whole number from 1 to {most}"
            )
        if d > most:
            raise InputError(
                f"{_where(layer, index)}: distance {d} reaches before the stem; at most {most} here"
            )
        if d <= previous:
            raise InputError(
                f"{_where(layer, index)}: distances must be distinct and in rising order"
            )
        if (
            isinstance(s, bool) or not isinstance(s, int | float) or not 0 < s <= MAX_STRENGTH
        ):  # not so for nan
            raise InputError(f"layer {index}: strength {brief(s)} is not a finite number above 0")
        previous = d


def _where(layer: Layer, index: int) -> str:
    return f"layer {index} {brief(str(layer))}"

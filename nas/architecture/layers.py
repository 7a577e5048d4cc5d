"""A layer of a genome: the skips that end in it, and the merge that combines them with its branch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Literal, TypeVar, get_args

from nas.architecture.merges import MERGES
from nas.errors import InputError, brief, unknown

T = TypeVar("T")
MAX_STRENGTH = sys.float_info.max
MAX_PERIOD = 64
"""Of a motif that is looked for in a genome."""
STEM, MIRROR = 0, -1
"""What `Skip.distance` is for the sources by name, which are the same node in a deeper network."""
NAMES: dict[int, tuple[str, str]] = {STEM: ("0", "the stem"), MIRROR: ("m", "the mirrored node")}
"""How each is written in a notation, and said in words."""
Source = Literal["0", "m"]
SOURCES: tuple[Source, ...] = get_args(Source)


@dataclass(frozen=True)
class Skip:
    """An edge from the node `distance` before the layer's output, or from a node by its name,
    multiplied by `strength` > 0."""

    distance: int
    """From 1; or STEM, or MIRROR."""
    strength: float = 1.0

    def __lt__(self, other: Skip) -> bool:
        return rank(self.distance) < rank(other.distance)

    def __str__(self) -> str:
        start = start_text(self.distance)
        return start if self.strength == 1 else f"{start}@{number(self.strength)}"


def rank(distance: int) -> tuple[bool, int]:
    """By which a layer's skips are in order: rising distances, then the names."""
    return distance < 1, abs(distance)


def named(text: str) -> int:
    """The distance that stands for a name.

    Raises:
        InputError: an unknown name.
    """
    names = {known: distance for distance, (known, _) in NAMES.items()}
    if text not in names:
        raise unknown("source by name", text, names)
    return names[text]


def start_text(distance: int) -> str:
    """Where a skip starts, in a notation: `3`, `0` or `m`."""
    return NAMES[distance][0] if distance in NAMES else str(distance)


def gene_text(distance: int) -> str:
    """How a skip's gene ends: `d3`, `s0` or `sm`."""
    return f"{'s' if distance in NAMES else 'd'}{start_text(distance)}"


def start_said(distance: int) -> str:
    """Where a skip starts, in words: `distance 3`, `the stem`."""
    return NAMES[distance][1] if distance in NAMES else f"distance {distance}"


def skip_said(distance: int) -> str:
    """A skip in words: `skip 3`, `skip from the stem`."""
    return f"skip from {NAMES[distance][1]}" if distance in NAMES else f"skip {distance}"


def source_without_skeleton(index: int, distance: int) -> int | None:
    """The node at which a skip into layer `index` starts; None before the stem.

    The mirrored node, which only a skeleton knows, is MIRROR.
    """
    if distance in NAMES:
        return distance  # the stem is node 0
    return index - distance if distance <= index else None


@dataclass(frozen=True)
class Layer:
    """One layer's skips and their merge; a plain layer has neither (`Layer()`)."""

    merge: str | None = None
    skips: tuple[Skip, ...] = ()

    def __str__(self) -> str:
        return f"{self.merge}({','.join(map(str, self.skips))})" if self.skips else "-"

    def within(self, index: int) -> Layer:
        """The layer as layer `index` of a network: without the skips that reach before the stem, and
        the name of a node that it reads by its distance."""
        if not self.skips or 0 < self.skips[-1].distance <= index:
            return self
        return self.reading(lambda distance: source_without_skeleton(index, distance))

    def reading(self, source: Callable[[int], int | None]) -> Layer:
        """The layer with the skips alone whose distance has a source, the first from each node."""
        nodes = [source(skip.distance) for skip in self.skips]
        first = [node is not None and node not in nodes[:i] for i, node in enumerate(nodes)]
        if all(first):
            return self
        skips = tuple(skip for skip, kept in zip(self.skips, first, strict=True) if kept)
        return Layer(self.merge, skips) if skips else Layer()

    def among(self, distances: Container[int]) -> Layer:
        """The layer with the skips of these distances alone; it is plain where none is left."""
        skips = tuple(skip for skip in self.skips if skip.distance in distances)
        if len(skips) == len(self.skips):
            return self
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


def count_sets(strengths: int, places: Sequence[Mapping[int, int]]) -> int:
    """How many sets of skips a searched layer can have that make different networks.

    They are all but those with a name that is left out wherever the layer stands, since other skips
    read its node.

    Args:
        places: where the layer stands, the node of every distance and name there.
    """
    starts = {start for place in places for start in place}
    names = sorted(starts & {*NAMES}, key=rank)
    distances, count = len(starts) - len(names), 0
    for chosen in subsets(names):
        found = (_hiding(name, chosen, places) for name in chosen)
        hiding = [needed for needed in found if needed is not None]
        for some in subsets(hiding):  # inclusion and exclusion
            there = len(set[int]().union(*some))
            free = strengths**there * (1 + strengths) ** (distances - there)
            count += (-1) ** len(some) * strengths ** len(chosen) * free
    return count


def _hiding(
    name: int, chosen: Sequence[int], places: Sequence[Mapping[int, int]]
) -> set[int] | None:
    """The distances that leave nothing of a name beside the chosen ones; None where none can."""
    needed = set[int]()
    for place in (place for place in places if name in place):
        same = {s for s in place if place[s] == place[name] and rank(s) < rank(name)}
        if same & {*chosen}:
            continue
        if not same - {*NAMES}:
            return None
        needed |= same - {*NAMES}
    return needed


def subsets(items: Sequence[T]) -> Iterator[tuple[T, ...]]:
    return chain.from_iterable(combinations(items, size) for size in range(len(items) + 1))


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
    previous: Skip | None = None
    for skip in layer.skips:
        d, s = skip.distance, skip.strength
        if not isinstance(d, int) or isinstance(d, bool) or d < min(NAMES):
            names = " or ".join(f"{value} ({said})" for value, (_, said) in NAMES.items())
            raise InputError(
                f"layer {index}: distance {brief(d)} is not a whole number from 1 to {most}, {names}"
            )
        if d > most:
            raise InputError(
                f"{_where(layer, index)}: distance {d} reaches before the stem; at most {most} here"
            )
        if previous is not None and not previous < skip:
            raise InputError(
                f"{_where(layer, index)}: distances must be distinct and in rising order, with "
                f"{' and '.join(text for text, _ in NAMES.values())} after them"
            )
        if (
            isinstance(s, bool) or not isinstance(s, int | float) or not 0 < s <= MAX_STRENGTH
        ):  # not so for nan
            raise InputError(f"layer {index}: strength {brief(s)} is not a finite number above 0")
        previous = skip
    distances = [skip.distance for skip in layer.skips]
    if STEM in distances and index == most and index in distances:
        raise InputError(
            f"{_where(layer, index)}: 0 is the stem, which distance {index} is here, too; one of "
            "both is allowed"
        )


def _where(layer: Layer, index: int) -> str:
    return f"layer {index} {brief(str(layer))}"

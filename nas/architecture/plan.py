"""The plan: a genome on a skeleton in plain integers: shapes, adapters, parameters, MACs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from nas.architecture.declared import parts_of
from nas.architecture.genome import Genome
from nas.architecture.layers import Layer, start_said
from nas.architecture.merges import MERGES
from nas.architecture.parts import Part, Shape
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.errors import InputError, own_name

KEPT_LAYERS = 200
"""Of the longest pattern whose plan is kept: a layer's takes some kilobytes."""


@dataclass(frozen=True)
class LayerPlan:
    """One layer: what it reads, what it is made of."""

    index: int
    stage: int
    shape: Shape
    token: str
    """The layer's notation."""
    merge: str | None
    branch: Part
    skips: tuple[tuple[int, float], ...]
    """(source node, strength) of every skip: distances from the nearest, then sources by name."""
    adapters: tuple[Part | None, ...]
    """What fits each skip's source to `shape`; None where it fits already."""
    learnt: tuple[tuple[str, Part], ...]
    """The merge's own parts."""
    after: Part | None
    """What follows the merge."""
    name: str = ""
    """What the layer does, where layers differ in that."""

    @property
    def params(self) -> int:
        return sum(part.params for part in self.parts())

    @property
    def macs(self) -> int:
        return sum(part.macs for part in self.parts())

    def parts(self) -> list[Part]:
        adapters = [adapter for adapter in self.adapters if adapter is not None]
        after = [self.after] if self.after else []
        return [self.branch, *adapters, *(part for _, part in self.learnt), *after]


@dataclass(frozen=True)
class Plan:
    """A whole network. `shapes[i]` is node i's; `last_use[i]` the last layer to read it."""

    stem: Part
    layers: tuple[LayerPlan, ...]
    head: Part
    shapes: tuple[Shape, ...]
    last_use: tuple[int, ...]
    genome: Genome

    @property
    def params(self) -> int:
        """Learnt parameters, as counted over the module's `parameters()`."""
        return sum(layer.params for layer in self.layers) + self.stem.params + self.head.params

    @property
    def macs(self) -> int:
        """Multiply-adds of convolutions and linear layers for one image."""
        return sum(layer.macs for layer in self.layers) + self.stem.macs + self.head.macs


def plan(genome: Genome, skeleton: AnySkeleton) -> Plan:
    """The plan of a genome on a skeleton.

    Raises:
        InputError: the genome has another number of layers than the skeleton, or a skip or a merge
            that the skeleton does not have.
    """
    return (_known if len(genome) <= KEPT_LAYERS else _made)(genome, skeleton)


def _made(genome: Genome, skeleton: AnySkeleton) -> Plan:
    if len(genome) != skeleton.layers:
        raise InputError(f"the genome has {len(genome)} layers, the skeleton {skeleton.layers}")
    layers, last_use = [], list(range(1, skeleton.layers + 2))
    for index, layer in enumerate(genome.layers, 1):
        planned = _layer(index, layer, skeleton)
        layers.append(planned)
        for source, _ in planned.skips:
            last_use[source] = max(last_use[source], index)
    return Plan(
        skeleton.stem_part, tuple(layers), skeleton.head_part, skeleton.shapes, tuple(last_use), genome
    )  # fmt: skip


def _layer(index: int, layer: Layer, skeleton: AnySkeleton) -> LayerPlan:
    skips, adapters, learnt = [], [], dict[str, Part]()
    for skip, source in zip(layer.skips, skeleton.read_by(index, layer), strict=True):
        try:
            adapters.append(skeleton.adapter_part(source, index))
        except InputError as error:
            raise InputError(
                f"layer {index} '{layer}': {start_said(skip.distance)}: {error}"
            ) from None
        skips.append((source, float(skip.strength)))
    if layer.merge:
        if why := skeleton.lacks(layer.merge, index):
            raise InputError(f"layer {index} '{layer}': {why}")
        learnt = parts_of(layer.merge, MERGES[layer.merge], skeleton.site(index, len(skips)))
    return LayerPlan(
        index, skeleton.stage(index), skeleton.shapes[index], str(layer), layer.merge,
        skeleton.branch(index), tuple(skips), tuple(adapters), tuple(learnt.items()),
        skeleton.after(index), skeleton.layer_name(index),
    )  # fmt: skip


def check_merges(names: Iterable[str], skeleton: AnySkeleton) -> None:
    """Raises InputError where the skeleton lacks a merge, or one of a user's own declares something
    wrong in a layer."""
    for index in range(1, skeleton.layers + 1):
        for name in names:
            if why := skeleton.lacks(name, index):
                raise InputError(f"layer {index}: {why}")
            if own_name(MERGES[name]):
                parts_of(name, MERGES[name], skeleton.site(index, 1))


_known = lru_cache(maxsize=256)(_made)

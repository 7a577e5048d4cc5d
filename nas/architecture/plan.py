"""The plan: a genome on a skeleton in plain integers: shapes, adapters, parameters, MACs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache, partial

from nas.architecture.declared import branch_of, parts_of
from nas.architecture.genome import Genome
from nas.architecture.merges import MERGES, Site
from nas.architecture.parts import Chain, Part, Shape
from nas.architecture.skeletons.convolutional import Skeleton, adapter, head, node_shapes
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
    branch: Chain
    skips: tuple[tuple[int, float], ...]
    """(source node, strength) of every skip, nearest first."""
    adapters: tuple[Part | None, ...]
    """What fits each skip's source to `shape`; None where it fits already."""
    learnt: tuple[tuple[str, Part], ...]
    """The merge's own parts."""

    @property
    def params(self) -> int:
        return sum(part.params for part in self.parts())

    @property
    def macs(self) -> int:
        return sum(part.macs for part in self.parts())

    def parts(self) -> list[Part]:
        adapters = [adapter for adapter in self.adapters if adapter is not None]
        return [self.branch, *adapters, *(part for _, part in self.learnt)]


@dataclass(frozen=True)
class Plan:
    """A whole network. `shapes[i]` is node i's (C, H, W); `last_use[i]` the last layer to read it."""

    stem: Chain
    layers: tuple[LayerPlan, ...]
    head: Chain
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


def plan(genome: Genome, skeleton: Skeleton) -> Plan:
    """The plan of a genome on a skeleton.

    Raises:
        InputError: the genome has another number of layers than the skeleton, or an option A
            adapter would have to shrink a width.
    """
    return (_known if len(genome) <= KEPT_LAYERS else _made)(genome, skeleton)


def _made(genome: Genome, skeleton: Skeleton) -> Plan:
    if len(genome) != skeleton.layers:
        raise InputError(f"the genome has {len(genome)} layers, the skeleton {skeleton.layers}")
    shapes, strides, stem = node_shapes(skeleton)
    layers, last_use = [], list(range(1, len(shapes) + 1))
    for index, (layer, block) in enumerate(zip(genome.layers, skeleton.blocks(), strict=True), 1):
        stage, width, stride = block
        inputs, shape = shapes[index - 1], shapes[index]

        def branch(inputs: Shape = inputs, width: int = width, stride: int = stride) -> Chain:
            return branch_of(
                skeleton.block,
                skeleton.kind,
                inputs,
                width,
                stride,
                skeleton.bias,
                skeleton.norm_of,
            )

        skips, adapters = [], []
        for skip in layer.skips:
            source = index - skip.distance
            step = strides[index] // strides[source]
            try:
                adapters.append(adapter(shapes[source], shape, step, skeleton))
            except InputError as error:
                raise InputError(
                    f"layer {index} '{layer}': distance {skip.distance}: {error}"
                ) from None
            skips.append((source, float(skip.strength)))
            last_use[source] = max(last_use[source], index)
        site = Site(inputs, shape, stride, len(skips), skeleton.bias, skeleton.norm_of, branch)
        learnt = parts_of(layer.merge, MERGES[layer.merge], site) if layer.merge else {}
        layers.append(
            LayerPlan(
                index, stage, shape, str(layer), layer.merge, branch(),
                tuple(skips), tuple(adapters), tuple(learnt.items()),
            )
        )  # fmt: skip
    return Plan(
        stem, tuple(layers), head(shapes[-1], skeleton), tuple(shapes), tuple(last_use), genome
    )  # fmt: skip


def check_merges(names: Iterable[str], skeleton: Skeleton) -> None:
    """Raises InputError where a merge of a user's own declares something wrong in a layer."""
    own = [name for name in names if own_name(MERGES[name])]
    if not own:
        return
    planned = plan(Genome.plain(skeleton.layers), skeleton)
    for layer, (_, _, stride) in zip(planned.layers, skeleton.blocks(), strict=True):
        site = Site(
            planned.shapes[layer.index - 1], layer.shape, stride, 1, skeleton.bias,
            skeleton.norm_of, partial(_same, layer.branch),
        )  # fmt: skip
        for name in own:
            parts_of(name, MERGES[name], site)


def _same(branch: Chain) -> Chain:
    return branch


_known = lru_cache(maxsize=256)(_made)

"""A pattern on a deeper skeleton of the same kind."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import groupby

from nas.architecture.genome import Genome
from nas.architecture.layers import Layer
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.errors import InputError


def deepened(skeleton: AnySkeleton, layers: int) -> AnySkeleton:
    """The skeleton with so many layers, every stage longer by the same factor.

    Raises:
        InputError: that is not a whole number of times its own layers.
    """
    factor, rest = divmod(layers, skeleton.layers)
    if rest or factor < 1:
        raise InputError(
            f"{layers} layers: the skeleton has {skeleton.layers}, and can be stretched to a multiple "
            f"of them, such as {2 * skeleton.layers}"
        )
    return skeleton.deepened(factor)


def stretched(genome: Genome, skeleton: AnySkeleton, layers: int) -> Genome:
    """The genome on the deepened skeleton: its motif tiled on, or each stage's layers repeated.

    Skips keep their distances, and those that reach before the stem are left out. Sources by name
    stay what they name: the stem, and the deeper skeleton's mirrored node; they are left out where
    there is none, or where a distance reaches the same node.

    Raises:
        InputError: the skeleton cannot be stretched so.
    """
    deeper = deepened(skeleton, layers)
    if motif := genome.motif:
        return fitted(motif.tiled(layers), deeper)
    factor, found, start = layers // skeleton.layers, list[Layer](), 0
    for _, stage in groupby(range(1, skeleton.layers + 1), skeleton.stage):
        end = start + len(list(stage))
        found += factor * genome.layers[start:end]
        start = end
    kept = (layer.within(index) for index, layer in enumerate(found, 1))
    return fitted(Genome(tuple(kept), genome.learning_rate), deeper)


def fitted(genome: Genome, skeleton: AnySkeleton) -> Genome:
    """The genome less the skips whose source the skeleton does not have, or has by another skip."""
    layers = enumerate(genome.layers, 1)
    kept = (layer.reading(partial(skeleton.source, index)) for index, layer in layers)
    return replace(genome, layers=tuple(kept))

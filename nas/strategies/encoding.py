"""Patterns as numbers for a model that predicts results: what is searched, and what follows from it.

The skips and merges of the searched layers say where a pattern differs from another. How a signal
passes the whole network is what they have in common: how many ways it has, how long the ways are,
and how it grows.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, log

import numpy as np
from numpy.typing import NDArray

from nas.architecture.genome import Genome
from nas.architecture.space import SearchSpace

KEPT = 2_000
"""Genomes whose numbers are kept."""
STRONG = 1e9
"""The greatest strength that is told from others in sums."""


@lru_cache(maxsize=KEPT)
def encode(genome: Genome, space: SearchSpace) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The numbers of a genome of this space, as many for all: those of its genes, and `structure`.

    A gene has one number for each of its choices, 1 for the one that the genome has and 0 for the
    others; the merge of a layer without skips has none.
    """
    layers = space.searched(genome).layers
    numbers = []
    for gene in space.genes:
        layer = layers[(gene.layer or 0) - 1]
        if gene.layer is None:
            found: str | float | None = genome.learning_rate
        elif gene.distance is None:
            found = layer.merge
        else:
            found = next((s.strength for s in layer.skips if s.distance == gene.distance), 0.0)
        numbers += [float(choice == found) for choice in gene.choices]
    return np.array(numbers), np.array(structure(genome, space))


def structure(genome: Genome, space: SearchSpace) -> list[float]:
    """How skips are used in the whole network, and how a signal passes it.

    Shares of the layers with each merge, with a skip of each distance, and of the plain ones; mean and
    greatest strength (logarithms); the ways from the stem to the last node (logarithm), branches on
    the shortest and on the average of them, by strength; variance of the last node and the greatest
    (logarithms), if every branch had 1 and nothing correlated.
    """
    merges = dict.fromkeys(space.merges, 0)
    starts = dict.fromkeys(space.starts, 0)
    ways, shortest, average, variance = [0.0], [0.0], [0.0], [0.0]
    for layer, nodes in zip(genome.layers, space.nodes, strict=True):
        if layer.merge:
            merges[layer.merge] += 1
        for skip in layer.skips:
            starts[skip.distance] += 1
        skips = [(nodes[skip.distance], min(skip.strength, STRONG)) for skip in layer.skips]
        ways.append(_log_sum([ways[-1], *(ways[node] for node, _ in skips)]))
        shortest.append(min([shortest[-1] + 1, *(shortest[node] for node, _ in skips)]))
        weighted = average[-1] + 1 + sum(s * average[node] for node, s in skips)
        average.append(weighted / (1 + sum(s for _, s in skips)))
        variance.append(_log_sum([0.0, *(variance[node] + 2 * log(s) for node, s in skips)]))
    strengths = [log(skip.strength) for layer in genome.layers for skip in layer.skips] or [0.0]
    counts = [*merges.values(), *starts.values(), sum(not layer.skips for layer in genome.layers)]
    return [
        *(count / len(genome) for count in counts),
        sum(strengths) / len(strengths), max(strengths),
        ways[-1], shortest[-1], average[-1], variance[-1], max(variance),
    ]  # fmt: skip


def _log_sum(logarithms: list[float]) -> float:
    """log Σ exp(x): the sums themselves overflow in deep networks."""
    greatest = max(logarithms)
    return greatest + log(sum(exp(x - greatest) for x in logarithms))

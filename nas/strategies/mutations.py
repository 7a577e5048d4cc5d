"""Changes to genomes that speak of skip patterns. All randomness comes from the given generator.

Each mutation is a function (genome, space, rng) -> genome over the layers that are searched: those of
the network, or of the motif (`space.sites` has their distances, and sources by name). What leaves the
space is undone; the result may be the genome itself where the mutation finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from random import Random

from nas.architecture.genome import Genome
from nas.architecture.layers import Layer, Skip
from nas.architecture.space import SearchSpace
from nas.errors import called, refuse

RETUNE = "learning rate"
"""The mutation that is drawn only where a space has learning rates."""
Mutation = Callable[[Genome, SearchSpace, Random], Genome]


def toggle(genome: Genome, space: SearchSpace, rng: Random) -> Genome:
    """Adds a skip that is not there, or takes away one that is."""
    index, distances = _layer_with(space.sites, rng)
    if index is None:
        return genome
    distance = rng.choice(distances)
    layer = genome.layers[index]
    kept = tuple(s for s in layer.skips if s.distance != distance)
    if len(kept) < len(layer.skips):
        return _put(genome, space, index, layer.merge, kept)
    merge = layer.merge or rng.choice(space.merges)
    return _put(genome, space, index, merge, (*kept, Skip(distance, rng.choice(space.strengths))))


def move(genome: Genome, space: SearchSpace, rng: Random) -> Genome:
    """Lets a skip start at another node: a new distance or name, the same strength."""
    options = [
        (index, skip, d)
        for index, layer in enumerate(genome.layers)
        for skip in layer.skips
        for d in space.sites[index]
        if all(d != other.distance for other in layer.skips)
    ]
    if not options:
        return genome
    index, skip, distance = rng.choice(options)
    layer = genome.layers[index]
    others = tuple(s for s in layer.skips if s is not skip)
    return _put(genome, space, index, layer.merge, (*others, Skip(distance, skip.strength)))


def restrength(genome: Genome, space: SearchSpace, rng: Random) -> Genome:
    """Gives a skip another strength."""
    options = [(index, skip) for index, layer in enumerate(genome.layers) for skip in layer.skips]
    if not options or len(space.strengths) < 2:
        return genome
    index, skip = rng.choice(options)
    strength = rng.choice([s for s in space.strengths if s != skip.strength])
    layer = genome.layers[index]
    others = tuple(s for s in layer.skips if s is not skip)
    return _put(genome, space, index, layer.merge, (*others, Skip(skip.distance, strength)))


def remerge(genome: Genome, space: SearchSpace, rng: Random) -> Genome:
    """Gives a layer another merge."""
    options = [index for index, layer in enumerate(genome.layers) if layer.skips]
    if not options or len(space.merges) < 2:
        return genome
    index = rng.choice(options)
    layer = genome.layers[index]
    merge = rng.choice([m for m in space.merges if m != layer.merge])
    return _put(genome, space, index, merge, layer.skips)


def copy_layer(genome: Genome, space: SearchSpace, rng: Random) -> Genome:
    """Copies a layer's pattern to a neighbour, less the skips that cannot be there."""
    if len(genome) < 2:
        return genome
    index = rng.randrange(len(genome))
    neighbour = rng.choice([i for i in (index - 1, index + 1) if 0 <= i < len(genome)])
    return _place(genome, [(neighbour, genome.layers[index])], space)


def shift(genome: Genome, space: SearchSpace, rng: Random) -> Genome:
    """Moves the patterns of a run of layers by one; the run's last place goes to its other end."""
    if len(genome) < 2:
        return genome
    first, last = sorted(rng.sample(range(len(genome)), 2))
    run = list(genome.layers[first : last + 1])
    run = run[-1:] + run[:-1] if rng.random() < 0.5 else run[1:] + run[:1]
    return _place(genome, list(enumerate(run, first)), space)


def retune(genome: Genome, space: SearchSpace, rng: Random) -> Genome:
    """Another learning rate."""
    others = [rate for rate in space.learning_rates if rate != genome.learning_rate]
    return genome.at(rng.choice(others)) if others else genome


MUTATIONS: dict[str, Mutation] = {
    "toggle": toggle,
    "move": move,
    "strength": restrength,
    "merge": remerge,
    "copy": copy_layer,
    "shift": shift,
    RETUNE: retune,
}


def mutate(genome: Genome, space: SearchSpace, rng: Random, times: int = 1) -> Genome:
    """`times` mutations, each drawn evenly from the table; one that leaves the space is undone."""
    names = [name for name in MUTATIONS if name != RETUNE or space.learning_rates]
    for _ in range(times):
        name = rng.choice(names)
        pattern = space.searched(genome)
        mutant = called(f"mutation {name!r}", MUTATIONS[name], pattern, space, rng)
        if not isinstance(mutant, Genome) or len(mutant) != len(pattern):
            wanted = f"a Genome of {len(pattern)} layers"
            refuse(f"mutation {name!r}", MUTATIONS[name], mutant, wanted)
        if (whole := space.whole(mutant.layers, mutant.learning_rate)) in space:
            genome = whole
    return genome


def crossover(first: Genome, second: Genome, space: SearchSpace, rng: Random) -> Genome:
    """Two-point crossover at layer boundaries: a run of the first's layers comes from the second."""
    one, other = (space.searched(genome).layers for genome in (first, second))
    start, end = sorted(rng.choices(range(len(one) + 1), k=2))
    return space.whole(one[:start] + other[start:end] + one[end:], first.learning_rate)


def _layer_with(
    reachable: Sequence[tuple[int, ...]], rng: Random
) -> tuple[int | None, tuple[int, ...]]:
    options = [index for index, distances in enumerate(reachable) if distances]
    if not options:
        return None, ()
    index = rng.choice(options)
    return index, reachable[index]


def _put(
    genome: Genome, space: SearchSpace, index: int, merge: str | None, skips: tuple[Skip, ...]
) -> Genome:
    layer = Layer(merge, tuple(sorted(skips))) if skips else Layer()
    if space.sources and space.period is None:  # a motif's layer stands in many places
        layer = layer.reading(partial(space.skeleton.source, index + 1))
    return replace(genome, layers=(*genome.layers[:index], layer, *genome.layers[index + 1 :]))


def _place(genome: Genome, layers: Sequence[tuple[int, Layer]], space: SearchSpace) -> Genome:
    for index, layer in layers:
        kept = layer.among(space.sites[index])
        genome = _put(genome, space, index, kept.merge, kept.skips)
    return genome

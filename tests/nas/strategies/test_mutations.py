"""Mutations stay in the space and do what their names say."""

import random
from dataclasses import replace

import pytest

from nas import Genome, SearchSpace, Skeleton, Stage
from nas.strategies import mutations
from nas.strategies.mutations import MUTATIONS, crossover, mutate


@pytest.fixture
def space():
    skeleton = Skeleton((1, 8, 8), 10, (Stage(3, 4), Stage(3, 8, 2)))
    return SearchSpace(skeleton, (1, 2, 4), ("add", "gate"), (0.5, 1.0))


@pytest.fixture
def motifs(space):
    return replace(space, period=3)


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_results_lie_in_the_space_and_mostly_differ(name, space):
    space = replace(space, learning_rates=(0.05, 0.1))
    rng = random.Random(0)
    changed = 0
    for _ in range(300):
        genome = space.sample(rng)
        child = MUTATIONS[name](genome, space, rng)
        assert child in space
        changed += child != genome
    assert changed > 150


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_motifs_stay_motifs(name, motifs, monkeypatch):
    rng = random.Random(0)
    motifs = replace(motifs, learning_rates=(0.05, 0.1))
    monkeypatch.setattr(mutations, "MUTATIONS", {name: MUTATIONS[name]})
    changed = 0
    for _ in range(300):
        genome = motifs.sample(rng)
        child = mutate(genome, motifs, rng)
        assert child in motifs
        changed += child != genome
    assert changed > 120


def test_children_of_motifs_are_motifs(motifs):
    rng = random.Random(0)
    for _ in range(100):
        first, second = motifs.sample(rng), motifs.sample(rng)
        child = crossover(first, second, motifs, rng)
        assert child in motifs
        parts = zip(*(motifs.searched(g).layers for g in (child, first, second)), strict=True)
        assert all(layer in parents for layer, *parents in parts)


def differing(a, b):
    return [i for i, (x, y) in enumerate(zip(a.layers, b.layers, strict=True)) if x != y]


@pytest.mark.parametrize("name", ["toggle", "move", "strength", "merge", "copy"])
def test_one_layer_changes_at_most(name, space):
    rng = random.Random(1)
    for _ in range(200):
        genome = space.sample(rng)
        assert len(differing(genome, MUTATIONS[name](genome, space, rng))) <= 1


def test_what_each_changes(space):
    rng = random.Random(2)
    genome = Genome.parse("- - - - - add(1,4@0.5)")
    for _ in range(50):
        layer = MUTATIONS["merge"](genome, space, rng).layers[5]
        assert str(layer) == "gate(1,4@0.5)"
        layer = MUTATIONS["strength"](genome, space, rng).layers[5]
        assert str(layer) in ("add(1@0.5,4@0.5)", "add(1,4)")
        layer = MUTATIONS["move"](genome, space, rng).layers[5]
        assert str(layer) in ("add(2,4@0.5)", "add(1,2@0.5)")
        toggled = MUTATIONS["toggle"](genome, space, rng)
        counts = [len(layer.skips) for layer in toggled.layers]
        assert abs(sum(counts) - 2) == 1


def test_shift_keeps_the_patterns_that_fit(space):
    rng = random.Random(3)
    genome = Genome.parse("- - add(1) gate(1) - -")
    found = {str(MUTATIONS["shift"](genome, space, rng)) for _ in range(300)}
    assert "-*3 add(1) gate(1) -" in found
    assert "- add(1) gate(1) -*3" in found


def test_crossover_takes_whole_layers_from_either(space):
    rng = random.Random(4)
    first, second = Genome.plain(6), Genome.residual(6)
    seen = set()
    for _ in range(200):
        child = crossover(first, second, space, rng)
        borders = differing(first, child)
        assert borders == list(range(borders[0], borders[-1] + 1)) if borders else True
        seen.add(str(child))
    assert len(seen) == 1 + 6 * 7 // 2


def test_every_genome_can_be_reached(space):
    """From plain, random mutations come to every layer having every distance and merge."""
    rng = random.Random(5)
    genome, seen = Genome.plain(6), set()
    for _ in range(4000):
        genome = mutate(genome, space, rng)
        seen.update(
            (i, layer.merge, s) for i, layer in enumerate(genome.layers) for s in layer.skips
        )
    reachable = sum(len(row) for row in space.reachable) * 2 * 2
    assert len(seen) == reachable

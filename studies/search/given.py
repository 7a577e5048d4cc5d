"""The patterns that no search found, and the best of those that it did."""

from __future__ import annotations

from nas.architecture.genome import Genome
from nas.architecture.plan import plan
from nas.architecture.space import SearchSpace
from nas.errors import InputError
from studies.search.settings import SearchSettings

HAND_MADE = {"plain": Genome.plain, "residual": Genome.residual, "dense": Genome.dense}
"""The patterns that every search evaluates first."""


def given_patterns(settings: SearchSettings) -> dict[str, Genome]:
    """The patterns that no search found: the hand-made ones, and what the search starts from.

    For very few layers some coincide, then the first name stays; what the skeleton's adapters
    cannot do is left out.
    """
    layers = settings.space.skeleton.layers
    wanted = {name: make(layers) for name, make in HAND_MADE.items()}
    if settings.start:
        wanted["start"] = settings.start
    patterns: dict[str, Genome] = {}
    for name, genome in wanted.items():
        if genome not in patterns.values() and _exists(genome, settings.space):
            patterns[name] = genome
    return patterns


def _exists(genome: Genome, space: SearchSpace) -> bool:
    """Whether it can be built: option A adapters cannot shrink a width."""
    try:
        plan(genome, space.skeleton)
    except InputError:
        return False
    return True

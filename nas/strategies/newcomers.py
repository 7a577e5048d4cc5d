"""Candidates that follow from no result: the first population, and random ones that are new."""

from __future__ import annotations

from random import Random

from nas.architecture.genome import Genome
from nas.strategies.mutations import mutate
from nas.strategies.problem import Exhausted, Problem

DRAWS = 300
"""Attempts of a strategy's own to find a candidate that is new and within the limits."""
ENUMERABLE = 100_000
"""Spaces up to this many vectors are searched to the last genome before they count as exhausted."""


def generator(seed: int, k: int, draw: int = 0) -> Random:
    """The source of all that is random in a draw of candidate k."""
    return Random(f"{seed}/{k}/{draw}" if draw else f"{seed}/{k}")


def newcomer(problem: Problem, seen: set[str], rng: Random) -> Genome:
    """One of the first population: a mutant of the starting genome, or a random genome.

    Raises:
        Exhausted: nothing new is left.
    """
    if problem.start:
        for _ in range(DRAWS):
            mutant = mutate(problem.start, problem.space, rng, rng.randint(1, 4))
            mutant = problem.limits.repair(mutant, problem.space, rng)
            if mutant.key not in seen and problem.limits.admit(mutant, problem.space):
                return mutant
    return fresh(problem, seen, rng)


def fresh(problem: Problem, seen: set[str], rng: Random) -> Genome:
    """A random genome that is new and within the limits (a uniform vector, repaired if need be).

    Raises:
        Exhausted: nothing new is left.
    """
    space = problem.space
    for _ in range(DRAWS):
        genome = problem.limits.repair(space.sample(rng), space, rng)
        if genome.key not in seen and problem.limits.admit(genome, space):
            return genome
    if space.size > ENUMERABLE:
        raise Exhausted(f"no new genome within the limits in {DRAWS} draws")
    left = sorted(
        {
            genome.key
            for genome in space.listed()
            if genome.key not in seen and problem.limits.admit(genome, space)
        }
    )
    if not left:
        raise Exhausted("every genome of the space within the limits has been evaluated")
    return Genome.parse(rng.choice(left))

"""How a population breeds: regularized evolution, mu + lambda, NSGA-II."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, TypeAlias

from nas.architecture.genome import Genome
from nas.strategies.mutations import crossover, mutate
from nas.strategies.problem import Problem, Proposal

if TYPE_CHECKING:
    from nas.strategies.population import Individual, Population

Breed: TypeAlias = "Callable[[Population, Problem, Random], Proposal]"


def regularized(population: Population, problem: Problem, rng: Random) -> Proposal:
    """Aging evolution: the youngest live, the best of a random few is mutated (Real et al. 2019)."""
    parent = _tournament(population.youngest(problem.population), problem.tournament, rng)
    return Proposal(_mutated(parent.genome, problem, rng), (parent.number,))


def mu_plus_lambda(population: Population, problem: Problem, rng: Random) -> Proposal:
    """(μ+1): the best μ of all live; two tournament winners are crossed or one is mutated."""
    best = population.best(problem.population)
    return _offspring(best, problem, rng, lambda: _tournament(best, 2, rng))


def nsga2(population: Population, problem: Problem, rng: Random) -> Proposal:
    """Steady-state NSGA-II: non-dominated sorting and crowding distance (Deb et al. 2002)."""
    ranks = population.survivors(problem.population)
    survivors = list(ranks)

    def winner() -> Individual:
        pair = rng.sample(survivors, min(2, len(survivors)))
        return min(pair, key=lambda p: (ranks[p], -p.fitness.crowding_dist, p.number))

    return _offspring(survivors, problem, rng, winner)


def _tournament(population: list[Individual], size: int, rng: Random) -> Individual:
    """The fittest of `size` drawn without replacement (DEAP's draws from the global generator)."""
    drawn = rng.sample(population, min(size, len(population)))
    return max(drawn, key=lambda p: (p.fitness.wvalues, -p.number))


def _mutated(genome: Genome, problem: Problem, rng: Random) -> Genome:
    """One mutation, sometimes two or three, so that a crowded neighbourhood can be left."""
    times = rng.choices((1, 2, 3), (6, 3, 1))[0]
    return problem.limits.repair(mutate(genome, problem.space, rng, times), problem.space, rng)


def _offspring(
    population: list[Individual],
    problem: Problem,
    rng: Random,
    select: Callable[[], Individual],
) -> Proposal:
    first, second = select(), select()
    if len(population) < 2 or first is second or rng.random() < 0.5:
        return Proposal(_mutated(first.genome, problem, rng), (first.number,))
    child = crossover(first.genome, second.genome, problem.space, rng)
    if rng.random() < 0.5:
        child = mutate(child, problem.space, rng)
    child = problem.limits.repair(child, problem.space, rng)
    return Proposal(child, (first.number, second.number))

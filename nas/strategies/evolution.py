"""How a population breeds: regularized evolution, mu + lambda, NSGA-II."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from nas.architecture.genome import Genome
from nas.strategies.mutations import crossover, mutate
from nas.strategies.population import Individual, Population
from nas.strategies.problem import Proposal, Setting

Breed = Callable[[Population, Setting, Random], Proposal]


def regularized(population: Population, setting: Setting, rng: Random) -> Proposal:
    """Aging evolution: the youngest live, the best of a random few is mutated (Real et al. 2019)."""
    parent = _tournament(population.youngest(setting.population), setting.tournament, rng)
    return Proposal(_mutated(parent.genome, setting, rng), (parent.number,))


def mu_plus_lambda(population: Population, setting: Setting, rng: Random) -> Proposal:
    """(μ+1): the best μ of all live; two tournament winners are crossed or one is mutated."""
    best = population.best(setting.population)
    return _offspring(best, setting, rng, lambda: _tournament(best, 2, rng))


def nsga2(population: Population, setting: Setting, rng: Random) -> Proposal:
    """Steady-state NSGA-II: non-dominated sorting and crowding distance (Deb et al. 2002)."""
    ranks = population.survivors(setting.population)
    survivors = list(ranks)

    def winner() -> Individual:
        pair = rng.sample(survivors, min(2, len(survivors)))
        return min(pair, key=lambda p: (ranks[p], -p.fitness.crowding_dist, p.number))

    return _offspring(survivors, setting, rng, winner)


def _tournament(population: list[Individual], size: int, rng: Random) -> Individual:
    """The fittest of `size` drawn without replacement (DEAP's draws from the global generator)."""
    drawn = rng.sample(population, min(size, len(population)))
    return max(drawn, key=lambda p: (p.fitness.wvalues, -p.number))


def _mutated(genome: Genome, setting: Setting, rng: Random) -> Genome:
    """One mutation, sometimes two or three, so that a crowded neighbourhood can be left."""
    times = rng.choices((1, 2, 3), (6, 3, 1))[0]
    return setting.limits.repair(mutate(genome, setting.space, rng, times), setting.space, rng)


def _offspring(
    population: list[Individual],
    setting: Setting,
    rng: Random,
    select: Callable[[], Individual],
) -> Proposal:
    first, second = select(), select()
    if len(population) < 2 or first is second or rng.random() < 0.5:
        return Proposal(_mutated(first.genome, setting, rng), (first.number,))
    child = crossover(first.genome, second.genome, rng)
    if rng.random() < 0.5:
        child = mutate(child, setting.space, rng)
    child = setting.limits.repair(child, setting.space, rng)
    return Proposal(child, (first.number, second.number))

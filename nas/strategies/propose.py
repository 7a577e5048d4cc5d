"""Strategies: how the next candidate follows from the evidence so far.

A strategy is a pure function of (seed, k, the history that proposal k may see): the same history
gives the same proposal, in any process, after any interruption. All strategies are steady-state,
one candidate at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from nas.architecture.genome import Genome, Layer
from nas.architecture.plan import plan
from nas.architecture.space import SearchSpace
from nas.errors import InputError
from nas.strategies.history import History, Individual, Population, Record
from nas.strategies.mutations import crossover, mutate

DRAWS = 300
"""Attempts of a strategy's own to find a candidate that is new and within the limits."""
ENUMERABLE = 100_000
"""Spaces up to this many vectors are searched to the last genome before they count as exhausted."""


class Exhausted(Exception):  # noqa: N818
    """No new genome is left (or was found) within the space and its limits."""


@dataclass(frozen=True)
class Limits:
    """What a candidate may cost; None is no limit."""

    max_params: int | None = None
    max_macs: int | None = None

    def admit(self, genome: Genome, space: SearchSpace) -> bool:
        if self.max_params is None and self.max_macs is None:
            return True
        planned = plan(genome, space.skeleton)
        return (self.max_params is None or planned.params <= self.max_params) and (
            self.max_macs is None or planned.macs <= self.max_macs
        )

    def check(self, space: SearchSpace) -> None:
        """Raises InputError if not even the plain pattern is within the limits."""
        plain = plan(Genome.plain(space.skeleton.layers), space.skeleton)
        for name, limit, least in (
            ("--max-params", self.max_params, plain.params),
            ("--max-macs", self.max_macs, plain.macs),
        ):
            if limit is not None and limit < least:
                raise InputError(
                    f"{name} {limit} is below the plain pattern's {least}, which no skip makes less"
                )

    def repair(self, genome: Genome, space: SearchSpace, rng: Random) -> Genome:
        """Makes layers plain, in random order, until the genome is within the limits.

        A space whose skips are always there has no plain layers; its genomes stay as they are.
        """
        if space.always:
            return genome
        order = [i for i, layer in enumerate(genome.layers) if layer.skips]
        rng.shuffle(order)
        layers = list(genome.layers)
        while order and not self.admit(Genome(tuple(layers)), space):
            layers[order.pop()] = Layer()
        return Genome(tuple(layers))


@dataclass(frozen=True)
class Proposal:
    genome: Genome
    parents: tuple[int, ...] = ()
    """Numbers of the trials it was made from."""
    memory: Mapping[str, Any] = field(default_factory=dict)
    """What the strategy wants to find in the history, as JSON values."""
    duplicates: int = 0
    """Candidates drawn before this one that the history has already; they are not trained again."""


@dataclass(frozen=True)
class Setting:
    """What a strategy needs to know besides the history."""

    space: SearchSpace
    weights: tuple[float, ...]
    """Of every objective: 1 is to be maximised, -1 minimised."""
    limits: Limits = Limits()
    population: int = 16
    """Individuals that can be parents at a time; as many random ones come first."""
    tournament: int = 4
    start: Genome | None = None
    """The genome whose mutants are the first population; None for random genomes."""


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


STRATEGIES: dict[str, Breed | None] = {
    "regularized": regularized,
    "mu-plus-lambda": mu_plus_lambda,
    "nsga2": nsga2,
    "random": None,
}
"""How each strategy breeds from a full population; None never does."""


def propose(
    strategy: str,
    setting: Setting,
    history: Sequence[Record],
    k: int,
    seed: int,
    drawn: Set[str] = frozenset(),
) -> Proposal:
    """Candidate k: new (no key of the history again) and within the limits.

    Args:
        history: trials 0 to k-1, with values only where proposal k may see them; one that grows
            with the search (`History`) saves going through all of them again.
        drawn: keys of candidates that have been drawn for k before; this is another.

    Raises:
        Exhausted: nothing new is left.
    """
    rng = generator(seed, k, len(drawn))
    if not isinstance(history, History):
        history = History(setting.weights, history)
    seen, parents, inside = history.keys, history.parents, history.inside
    breed = STRATEGIES[strategy]
    duplicates = 0
    if breed and parents and inside >= setting.population:
        for _ in range(DRAWS):
            proposal = breed(parents, setting, rng)
            known = proposal.genome.key in seen
            duplicates += known
            new = not known and proposal.genome.key not in drawn
            if new and setting.limits.admit(proposal.genome, setting.space):
                return replace(proposal, duplicates=duplicates)
    if breed and inside < setting.population:
        return Proposal(newcomer(setting, seen | drawn, rng))
    return Proposal(fresh(setting, seen | drawn, rng), duplicates=duplicates)


def generator(seed: int, k: int, draw: int = 0) -> Random:
    """The source of all that is random in a draw of candidate k."""
    return Random(f"{seed}/{k}/{draw}" if draw else f"{seed}/{k}")


def newcomer(setting: Setting, seen: set[str], rng: Random) -> Genome:
    """One of the first population: a mutant of the starting genome, or a random genome.

    Raises:
        Exhausted: nothing new is left.
    """
    if setting.start:
        for _ in range(DRAWS):
            mutant = mutate(setting.start, setting.space, rng, rng.randint(1, 4))
            mutant = setting.limits.repair(mutant, setting.space, rng)
            if mutant.key not in seen and setting.limits.admit(mutant, setting.space):
                return mutant
    return fresh(setting, seen, rng)


def fresh(setting: Setting, seen: set[str], rng: Random) -> Genome:
    """A random genome that is new and within the limits (a uniform vector, repaired if need be).

    Raises:
        Exhausted: nothing new is left.
    """
    space = setting.space
    for _ in range(DRAWS):
        genome = setting.limits.repair(space.sample(rng), space, rng)
        if genome.key not in seen and setting.limits.admit(genome, space):
            return genome
    if space.size > ENUMERABLE:
        raise Exhausted(f"no new genome within the limits in {DRAWS} draws")
    left = sorted(
        {
            genome.key
            for genome in map(space.decode, _vectors(space))
            if genome.key not in seen and setting.limits.admit(genome, space)
        }
    )
    if not left:
        raise Exhausted("every genome of the space within the limits has been evaluated")
    return Genome.parse(rng.choice(left))


def _vectors(space: SearchSpace) -> list[tuple[int, ...]]:
    vectors: list[tuple[int, ...]] = [()]
    for gene in space.genes:
        vectors = [(*v, value) for v in vectors for value in range(len(gene.choices))]
    return vectors


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

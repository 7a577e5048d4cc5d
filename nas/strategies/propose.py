"""Strategies: how the next candidate follows from the evidence so far.

A strategy is a pure function of (seed, k, the history that proposal k may see): the same history
gives the same proposal, in any process, after any interruption. All strategies are steady-state,
one candidate at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any

from nas.architecture.genome import Genome
from nas.errors import InputError, called, refuse, unknown, wrong
from nas.strategies.evolution import Breed, mu_plus_lambda, nsga2, regularized
from nas.strategies.history import History
from nas.strategies.mutations import mutate
from nas.strategies.problem import Exhausted, PastTrial, Problem, Proposal

DRAWS = 300
"""Attempts of a strategy's own to find a candidate that is new and within the limits."""
ENUMERABLE = 100_000
"""Spaces up to this many vectors are searched to the last genome before they count as exhausted."""


@dataclass(frozen=True)
class Strategy:
    """How candidates are proposed, and what can be asked of the strategy."""

    propose: Callable[[Problem, Sequence[PastTrial], int, int, Set[str], Genome | None], Proposal]
    """(problem, history, k, seed, drawn, given) -> candidate k, as the function `propose` says."""
    several: bool = False
    """Whether it can have several objectives."""
    default_objectives: tuple[str, ...] = ("accuracy",)
    parents: bool = False
    """Whether its candidates are made of trials before them, whose weights they can inherit."""


def propose(
    strategy: str,
    problem: Problem,
    history: Sequence[PastTrial],
    k: int,
    seed: int,
    drawn: Set[str] = frozenset(),
    given: Genome | None = None,
) -> Proposal:
    """Candidate k: new (no key of the history again) and within the limits, unless it is given.

    Args:
        strategy: a name in STRATEGIES.
        history: trials 0 to k-1, with values only where proposal k may see them; one that grows
            with the search (`History`) saves going through all of them again.
        drawn: keys of candidates that have been drawn for k before; this is another.
        given: a candidate that is set, about which the strategy may still keep something.

    Raises:
        Exhausted: nothing new is left.
    """
    own, what = find_strategy(strategy).propose, f"strategy {strategy!r}"
    proposal = called(what, own, problem, history, k, seed, drawn, given, but=(Exhausted,))
    if not isinstance(proposal, Proposal):
        refuse(what, own, proposal, "a Proposal")
    return proposal


def evolve(
    breed: Breed | None,
    problem: Problem,
    history: Sequence[PastTrial],
    k: int,
    seed: int,
    drawn: Set[str] = frozenset(),
    given: Genome | None = None,
) -> Proposal:
    """Candidate k of evolution: bred from a full population, random before that.

    Args:
        breed: how candidates come from a full population; None for random search.
    """
    if given:
        return Proposal(given)
    rng = generator(seed, k, len(drawn))
    if not isinstance(history, History):
        history = History(problem.weights, history)
    seen, parents, inside = history.keys, history.parents, history.inside
    duplicates = 0
    if breed and parents and inside >= problem.population:
        for _ in range(DRAWS):
            proposal = bred(breed, parents, problem, rng)
            known = proposal.genome.key in seen
            duplicates += known
            new = not known and proposal.genome.key not in drawn
            if new and problem.limits.admit(proposal.genome, problem.space):
                return replace(proposal, duplicates=duplicates)
    if breed and inside < problem.population:
        return Proposal(newcomer(problem, seen | drawn, rng))
    return Proposal(fresh(problem, seen | drawn, rng), duplicates=duplicates)


def bred(breed: Breed, parents: Any, problem: Problem, rng: Random) -> Proposal:
    """What a function breeds, which may be a user's own.

    Raises:
        InputError: it is no proposal of a genome with the skeleton's layers.
    """
    proposal = called("strategy", breed, parents, problem, rng, but=(Exhausted,))
    if not isinstance(proposal, Proposal) or not isinstance(proposal.genome, Genome):
        refuse("strategy", breed, proposal, "a Proposal with a Genome")
    layers = problem.space.skeleton.layers
    if len(proposal.genome) != layers:
        had = f"proposed a genome of {len(proposal.genome)} layers; {layers} are expected"
        wrong("strategy", breed, had)
    return proposal


STRATEGIES: dict[str, Strategy | Breed | None] = {
    "regularized": Strategy(partial(evolve, regularized), parents=True),
    "mu-plus-lambda": Strategy(partial(evolve, mu_plus_lambda), parents=True),
    "nsga2": Strategy(
        partial(evolve, nsga2), several=True, default_objectives=("accuracy", "params"),
        parents=True,
    ),
    "random": Strategy(partial(evolve, None), several=True),
}  # fmt: skip
"""All strategies by name. A plugin's entry may be a function that breeds, for one objective."""

GONE = {"nsga2-optuna": "nsga2", "random-optuna": "random"}
"""Strategies of earlier versions, with the one that searches in the same way."""


def find_strategy(name: str, place: str = "--strategy") -> Strategy:
    """The strategy of this name.

    Raises:
        InputError: there is none, or no longer; `place` says where the name was given.
    """
    if name in GONE:
        raise InputError(
            f"{place}: strategy {name} is gone, {GONE[name]} searches in the same way; a study that "
            "was searched with it can be shown and reported, but not continued"
        )
    if name not in STRATEGIES:
        raise unknown("strategy", name, STRATEGIES, place=place)
    found = STRATEGIES[name]
    if isinstance(found, Strategy):
        return found
    return Strategy(partial(evolve, found), parents=found is not None)


def has_parents(name: str) -> bool:
    """Whether candidates have parents; no for a strategy that is not here, such as a plugin's."""
    return name in STRATEGIES and find_strategy(name).parents


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

"""Optuna's samplers as strategies: over the same genes, evaluator and store as the DEAP ones.

A sampler is made anew for trial k, seeded with (seed, k), on a view of the trials that k may see;
what the sampler keeps in a trial (a generation's number) is recorded with it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from random import Random

import optuna
from optuna.samplers import (
    BaseGASampler,
    BaseSampler,
    GPSampler,
    NSGAIIISampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)

from nas.architecture.genome import Genome
from nas.architecture.space import SearchSpace
from nas.errors import InputError
from nas.strategies.mutations import mutate
from nas.strategies.problem import PastTrial, Problem, Proposal
from nas.strategies.propose import STRATEGIES, fresh, generator, newcomer
from studies.samplers.visible import VisibleStudy, seed_of
from studies.store.trial import distributions

DRAWS = 16
"""Samples taken before a known candidate is mutated into a new one."""
MUTATIONS = 100
GENERATION = ":generation"
"""How the names end under which Optuna's genetic samplers keep a trial's generation."""

SAMPLERS: dict[str, Callable[[int, Problem], BaseSampler]] = {
    "tpe": lambda seed, problem: TPESampler(seed=seed),
    "gp": lambda seed, problem: GPSampler(seed=seed),
    "nsga2-optuna": lambda seed, problem: NSGAIISampler(
        seed=seed, population_size=problem.population
    ),
    "nsga3": lambda seed, problem: NSGAIIISampler(seed=seed, population_size=problem.population),
    "random-optuna": lambda seed, problem: RandomSampler(seed=seed),
}
"""A sampler by its strategy's name, made from a seed. All of them can have several objectives."""

MULTI_OBJECTIVE = ("nsga2", "random", *SAMPLERS)
"""Strategies that can have several objectives."""
PARETO = ("nsga2", "nsga2-optuna", "nsga3")
"""Strategies that have two objectives unless they are told otherwise."""


def strategy_names() -> list[str]:
    return [*STRATEGIES, *SAMPLERS]


def check_parents(strategy: str) -> None:
    """Raises InputError for a strategy whose candidates have no parents to inherit weights from."""
    if STRATEGIES.get(strategy) is None:
        able = ", ".join(name for name, breed in STRATEGIES.items() if breed)
        raise InputError(
            f"--inherit: the candidates of strategy {strategy} have no parents; those of {able} have"
        )


def sample(
    strategy: str,
    problem: Problem,
    history: Sequence[PastTrial],
    k: int,
    seed: int,
    given: Genome | None = None,
    drawn: Set[str] = frozenset(),
) -> Proposal:
    """Candidate k of a sampler: new, and within the limits.

    The first population is the one of the DEAP strategies; `random-optuna` has none. Where the
    sampler keeps drawing what is known already, its draw is mutated until it is new.

    Args:
        history: trials 0 to k-1, with values only where proposal k may see them.
        given: a candidate that is set, about which the sampler may still keep something.
        drawn: keys of candidates that have been drawn for k before; this is another.

    Raises:
        Exhausted: nothing new is left.
    """
    import torch  # here, so that reading studies needs none

    from nas.devices.device import one_thread

    view = VisibleStudy(problem.weights)
    for record in history:
        if record.inside:
            view.add(record, problem.space)
    trial_id = view.begin()
    with warnings.catch_warnings(), one_thread(torch.device("cpu")):  # the Gaussian process's sums
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = SAMPLERS[strategy](seed_of(seed, k, len(drawn)), problem)
        sampler.before_trial(view.study, view.trial(trial_id))
        if isinstance(sampler, BaseGASampler):
            _parents(sampler, view, history)
        proposal = (
            Proposal(given)
            if given
            else _new(
                strategy, sampler, view, trial_id, problem, history,
                generator(seed, k, len(drawn)), drawn,
            )
        )  # fmt: skip
        memory = {}
        if isinstance(sampler, BaseGASampler) and proposal.genome in problem.space:
            sampler.get_trial_generation(view.study, view.trial(trial_id))
            attrs = view.trial(trial_id).system_attrs
            memory = {key: value for key, value in attrs.items() if key.endswith(GENERATION)}
    return replace(proposal, memory=memory)


def _parents(sampler: BaseGASampler, view: VisibleStudy, history: Sequence[PastTrial]) -> None:
    """Lets the sampler find the parents of every generation, the oldest first.

    It keeps them in the study, of which a view has nothing; asked for the newest alone it would
    descend to the oldest by recursion, which Python does not allow for hundreds of them.
    """
    generations = [
        value
        for record in history
        if record.values is not None
        for key, value in record.memory.items()
        if key.endswith(GENERATION)
    ]
    for generation in range(1, max(generations, default=0) + 1):
        sampler.get_parent_population(view.study, generation)


def _new(
    strategy: str,
    sampler: BaseSampler,
    view: VisibleStudy,
    trial_id: int,
    problem: Problem,
    history: Sequence[PastTrial],
    rng: Random,
    drawn: Set[str],
) -> Proposal:
    space, limits = problem.space, problem.limits
    seen = {record.genome.key for record in history}
    inside = sum(record.inside for record in history)
    if (inside < problem.population and strategy != "random-optuna") or not space.genes:
        return Proposal(newcomer(problem, seen | drawn, rng))
    duplicates = 0
    for draw in range(DRAWS + MUTATIONS):
        if draw < DRAWS:
            last = genome = _draw(sampler, view, trial_id, space)
        else:
            genome = mutate(last, space, rng, 1 + (draw - DRAWS) // 20)
        genome = limits.repair(genome, space, rng)
        known = genome.key in seen
        duplicates += known
        if not known and genome.key not in drawn and limits.admit(genome, space):
            return Proposal(genome, duplicates=duplicates)
    return Proposal(fresh(problem, seen | drawn, rng), duplicates=duplicates)


def _draw(sampler: BaseSampler, view: VisibleStudy, trial_id: int, space: SearchSpace) -> Genome:
    """One sample, taken as `Study.ask` takes it."""
    study, trial = view.study, view.trial(trial_id)
    relative = sampler.sample_relative(
        study, trial, sampler.infer_relative_search_space(study, trial)
    )
    choices = [
        relative[name]
        if name in relative
        else sampler.sample_independent(study, trial, name, distribution)
        for name, distribution in distributions(space).items()
    ]
    pairs = zip(space.genes, choices, strict=True)
    return space.decode([gene.choices.index(choice) for gene, choice in pairs])

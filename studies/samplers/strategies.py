"""Optuna's samplers as strategies: over the same genes, evaluator and store as the DEAP ones.

A sampler is made anew for trial k, seeded with (seed, k), on a view of the trials that k may see;
what the sampler keeps in a trial (a generation's number) is recorded with it. They join STRATEGIES
when this module is imported, so studies take the table and its functions from here.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence, Set
from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from nas.architecture.genome import Genome
from nas.architecture.space import SearchSpace
from nas.strategies.mutations import mutate
from nas.strategies.newcomers import fresh, generator, newcomer
from nas.strategies.problem import PastTrial, Problem, Proposal
from nas.strategies.propose import STRATEGIES, Strategy, find_strategy, has_parents, propose

if TYPE_CHECKING:
    from optuna.samplers import BaseGASampler, BaseSampler

    from studies.samplers.visible import VisibleStudy

__all__ = ["SAMPLERS", "STRATEGIES", "find_strategy", "has_parents", "make_sampler", "propose"]

DRAWS = 16
"""Samples taken before a known candidate is mutated into a new one."""
MUTATIONS = 100
GENERATION = ":generation"
"""How the names end under which Optuna's genetic samplers keep a trial's generation."""


def sample(
    sampler: str,
    problem: Problem,
    history: Sequence[PastTrial],
    k: int,
    seed: int,
    drawn: Set[str] = frozenset(),
    given: Genome | None = None,
) -> Proposal:
    """Candidate k of a sampler: new, and within the limits.

    The first population is that of evolution. Where the sampler keeps drawing what is known
    already, its draw is mutated until it is new.

    Args:
        sampler: its class in `optuna.samplers`, by name: importing Optuna takes half a second.
        history: trials 0 to k-1, with values only where proposal k may see them.
        drawn: keys of candidates that have been drawn for k before; this is another.
        given: a candidate that is set, about which the sampler may still keep something.

    Raises:
        Exhausted: nothing new is left.
    """
    import optuna
    import torch
    from optuna.samplers import BaseGASampler

    from nas.devices.device import one_thread
    from studies.samplers.visible import VisibleStudy, seed_of

    view = VisibleStudy(problem.weights)
    for record in history:
        if record.inside:
            view.add(record, problem.space)
    trial_id = view.begin()
    with warnings.catch_warnings(), one_thread(torch.device("cpu")):  # the Gaussian process's sums
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        made = make_sampler(sampler, seed_of(seed, k, len(drawn)), problem.population)
        made.before_trial(view.study, view.trial(trial_id))
        if isinstance(made, BaseGASampler):
            _parents(made, view, history)
        rng = generator(seed, k, len(drawn))
        proposal = (
            Proposal(given) if given else _new(made, view, trial_id, problem, history, rng, drawn)
        )
        memory = {}
        if isinstance(made, BaseGASampler) and proposal.genome in problem.space:
            made.get_trial_generation(view.study, view.trial(trial_id))
            attrs = view.trial(trial_id).system_attrs
            memory = {key: value for key, value in attrs.items() if key.endswith(GENERATION)}
    return replace(proposal, memory=memory)


SAMPLERS: dict[str, Strategy] = {
    "tpe": Strategy(partial(sample, "TPESampler"), several=True),
    "gp": Strategy(partial(sample, "GPSampler"), several=True),
    "nsga3": Strategy(
        partial(sample, "NSGAIIISampler"), several=True, default_objectives=("accuracy", "params")
    ),
}
"""Optuna's samplers among the strategies. They record no parents."""
STRATEGIES.update(SAMPLERS)


def make_sampler(name: str, seed: int, population: int) -> BaseSampler:
    """A sampler of a class in `optuna.samplers`; genetic ones have a population."""
    from optuna import samplers

    kind = getattr(samplers, name)
    genetic = issubclass(kind, samplers.BaseGASampler)
    return kind(seed=seed, population_size=population) if genetic else kind(seed=seed)


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
    if inside < problem.population or not space.genes:
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
    from studies.samplers.visible import distributions

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

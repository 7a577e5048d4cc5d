"""A trial: one recorded evaluation, as it is written to and read from an Optuna storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import inf
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from nas.architecture.genome import Genome
from nas.architecture.space import SearchSpace
from nas.evaluation.result import Evaluation
from studies.store.claims import CLAIM
from studies.store.names import GOAL_OF_TRIAL, HEEDS_PART, LOSS, MARK, MEANS, TUNED


@dataclass(frozen=True)
class Tuning:
    """What tuning found of a trial's pattern."""

    genome: Genome
    """At its best learning rate."""
    mean: float
    """Validation accuracy there, over fresh seeds."""


@dataclass(frozen=True)
class Trial:
    """One recorded evaluation."""

    number: int
    genome: Genome
    state: TrialState
    values: tuple[float, ...] | None
    attrs: Mapping[str, Any]
    curve: Mapping[int, float]
    """Accuracy by epoch, where the study has one objective."""
    genes: Mapping[str, Any]
    """Choices by gene name; empty for a pattern outside the space."""
    memory: Mapping[str, Any]
    """What the strategy kept with it (Optuna's system attributes)."""
    again: float | None = None
    """Mean accuracy over fresh seeds, where it was a contender (`studies.finals.contenders`)."""
    again_seeds: int = 0
    """How many those were, as far as that was noted; who had more seeds came further in the race."""
    tuned: Tuning | None = None
    """Its longer training at its best learning rate, where it was tuned (`studies.finals.tuning`)."""

    @property
    def key(self) -> str:
        """Equal keys are the same network."""
        return self.genome.key

    @property
    def complete(self) -> bool:
        return self.state == TrialState.COMPLETE

    @property
    def ok(self) -> bool:
        """Trained to the end: neither failed, pruned, diverged, nor out of memory."""
        return self.complete and self.attrs.get("status") == "ok"

    @property
    def rank(self) -> tuple:
        """Sorts trials that are `ok`, the best first: what was tuned leads, then contenders, those that
        came further in their race first, as luck tells less of them.

        Fewer parameters, then the elder, break ties.
        """
        score = self.attrs["accuracy"] if self.again is None else self.again
        if self.again is None and self.attrs.get(GOAL_OF_TRIAL) == LOSS:
            score = -self.attrs["scored_losses"][-1]
        tuned = -self.tuned.mean if self.tuned else inf
        race = self.again is None, -self.again_seeds
        return tuned, *race, -score, self.attrs["params"], self.number

    @property
    def best_genome(self) -> Genome:
        """The genome at its best learning rate, as far as that is known."""
        return self.tuned.genome if self.tuned else self.genome


@dataclass(frozen=True)
class Foreign:
    """A trial that another program put into the study, by Optuna's own calls."""

    number: int
    state: TrialState
    """Waiting, where it was enqueued and nobody has begun it."""
    values: tuple[float, ...] | None
    attrs: Mapping[str, Any]
    genes: Mapping[str, Any]
    """Parameters that were drawn for it."""
    memory: Mapping[str, Any]
    """Optuna's own attributes, among them the parameters that it was enqueued with."""


def further(trials: Sequence[Trial], notes: Mapping[str, Any]) -> list[Trial]:
    """The trials with what further trainings have found of the best.

    Args:
        notes: the study's.
    """
    means = {
        int(number): told if isinstance(told, list) else (told, 0)  # of versions before 0.3
        for number, told in notes.get(MEANS, {}).items()
    }
    tuned = {
        int(name.removeprefix("trial ")): Tuning(Genome.parse(notation), mean)
        for name, notation, mean, _ in notes.get(TUNED, {}).get("entries", ())
        if name.startswith("trial ")
    }
    found = []
    for trial in trials:
        again, seeds = means.get(trial.number, (None, 0))
        more = tuned.get(trial.number)
        found.append(replace(trial, again=again, again_seeds=seeds, tuned=more))
    return found


def made_trial(
    number: int,
    state: TrialState,
    values: tuple[float, ...] | None,
    attrs: Mapping[str, Any],
    curve: Mapping[int, float],
    genes: Mapping[str, Any],
    memory: Mapping[str, Any],
) -> Trial | Foreign:
    """A trial from what a storage has of it."""
    if MARK not in attrs:
        return Foreign(number, state, values, attrs, genes, memory)
    genome = Genome.parse(attrs["notation"])
    memory = {key: value for key, value in memory.items() if key != CLAIM}
    return Trial(number, genome, state, values, attrs, curve, genes, memory)


def measured(evaluation: Evaluation) -> dict[str, Any]:
    """What a finished evaluation adds to a trial's attributes."""
    first, last = evaluation.gradients[-1] if evaluation.gradients else (None, None)
    attrs = {
        "status": evaluation.status,
        "accuracy": evaluation.accuracy,
        "accuracies": list(evaluation.accuracies),
        "losses": list(evaluation.losses),
        "scored_losses": list(evaluation.scored_losses),
        "gradient_norm_first": first,
        "gradient_norm_last": last,
        "seconds": round(evaluation.seconds, 3),
        "peak_bytes": evaluation.peak_bytes,
    }
    more: dict[str, Any] = {
        "latency_1": evaluation.latency_1,
        "latency_full": evaluation.latency_full,
        "why": evaluation.why or None,
    }
    if evaluation.inherited:
        more["inherited_tensors"] = evaluation.inherited.tensors
        more["inherited_share"] = round(evaluation.inherited.share, 4)
    if evaluation.scores:
        more |= {"scores": dict(evaluation.scores), HEEDS_PART: evaluation.heeds_part}
    return attrs | {name: value for name, value in more.items() if value is not None}


@dataclass(frozen=True)
class Genes:
    """A trial's parameters as Optuna has them."""

    choices: dict[str, Any] = field(default_factory=dict)
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)

    @classmethod
    def of(cls, genome: Genome, space: SearchSpace) -> Genes:
        """Those of a genome that lies in the space."""
        return cls(space.params_of(genome), distributions(space))


def running_trial(
    genome: Genome, attrs: Mapping[str, Any], genes: Genes | None, memory: Mapping[str, Any] | None
) -> FrozenTrial:
    """A trial that begins, as Optuna has it; its number and id are the storage's concern."""
    genes = genes or Genes()
    return FrozenTrial(
        number=-1,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=datetime.now(),
        datetime_complete=None,
        params=genes.choices,
        distributions=genes.distributions,
        user_attrs={"notation": str(genome), **attrs},
        system_attrs=dict(memory or {}),
        intermediate_values={},
        trial_id=-1,
    )


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The space's genes as Optuna has them."""
    return {gene.name: CategoricalDistribution(gene.choices) for gene in space.genes}


STATUSES = ("ok", "pruned", "diverged", "out of memory", "failed", "unfinished")


def status_of(trial: Trial) -> str:
    """One of STATUSES; unfinished is running, or left over by a search that was killed."""
    if not trial.state.is_finished():
        return "unfinished"
    if trial.state == TrialState.PRUNED:
        return "pruned"
    return trial.attrs.get("status", "failed") if trial.complete else "failed"


def role_of(trial: Trial) -> str:
    """The name of a given pattern (plain, residual, dense, start), or nothing."""
    return trial.attrs.get("role", "")


def candidates(trials: Sequence[Trial], space: SearchSpace) -> list[Trial]:
    """The finished trials that the search proposed: inside the space, and no given patterns."""
    return [t for t in trials if t.state.is_finished() and not role_of(t) and t.genome in space]


def best_trials(
    trials: Sequence[Trial], space: SearchSpace, count: int | None = None
) -> list[Trial]:
    """The candidates that were trained to the end, in the order by which a search names its best."""
    found = (t for t in candidates(trials, space) if t.ok)
    return sorted(found, key=lambda t: t.rank)[:count]


def nondominated_values(values: np.ndarray, maximise: Sequence[bool]) -> np.ndarray:
    """Which rows (n, objectives) no other row dominates, (n,); equal rows stay."""
    import moocore

    return moocore.is_nondominated(values, maximise=list(maximise), keep_weakly=True)

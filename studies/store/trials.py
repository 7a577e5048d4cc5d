"""What the parts of a report ask about single trials."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.trial import TrialState

from nas.architecture.space import SearchSpace
from studies.store.store import Trial

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


def best_first(trials: Sequence[Trial]) -> list[Trial]:
    """Those trained to the end, in the order by which a search names its best."""
    return sorted((t for t in trials if t.ok), key=lambda t: t.rank)

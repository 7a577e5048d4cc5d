"""What the parts of a report ask about single trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optuna.trial import TrialState

from nas.errors import InputError
from nas.space import SearchSpace
from studies.store import Store, Trial

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
    done = [t for t in trials if t.ok]
    return sorted(done, key=lambda t: (-t.attrs["accuracy"], t.attrs["params"], t.number))


def searched(store: Store) -> dict[str, Any]:
    """The settings of a study, if it is a search's own and not one beside it.

    Raises:
        InputError: it holds finalists or the like; the message names the study to ask for.
    """
    settings = store.settings
    for key, value in settings.items():
        if key.endswith("_of"):
            what = key.removesuffix("_of").replace("_", " ")
            raise InputError(
                f"study {store.name!r} holds the {what} of study {value!r}, which has the report"
            )
    if "space" not in settings:
        raise InputError(f"study {store.name!r} is not a search's: it has no search space")
    return settings

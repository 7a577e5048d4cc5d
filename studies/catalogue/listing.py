"""What searches there are in a storage, and what has become of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import TrialState

from nas.errors import InputError
from nas.plugins import is_loaded
from studies.finals.finalists import trained
from studies.formatting import Score
from studies.search.settings import asked_evaluations, recorded_space
from studies.store.names import FINALISTS, SETTINGS, TABLE, beside_names, search_names
from studies.store.store import Store
from studies.store.trial import Trial, best_trials

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass(frozen=True)
class Listed:
    """A search in a few words."""

    name: str
    space: str
    data: str
    strategy: str
    objectives: tuple[str, ...]
    done: int
    """Trials that have ended."""
    wanted: int
    """Evaluations that it was last asked for."""
    best: Trial | None
    """By `Trial.rank`; None if nothing could be trained yet, or a plugin is missing."""
    finalists: tuple[int, int] | None
    """(trainings that have ended, all of the last table); None where there are none."""
    missing: tuple[str, ...] = ()
    """File names of the plugins without which its patterns cannot be read."""

    def as_json(self) -> dict[str, Any]:
        best = self.best
        listed = {
            "name": self.name, "space": self.space, "data": self.data, "strategy": self.strategy,
            "objectives": list(self.objectives), "trials": self.done, "evaluations": self.wanted,
            "best": best and {
                "trial": best.number, "accuracy": best.attrs["accuracy"],
                "over_fresh_seeds": best.again, "notation": str(best.genome),
            },
            "finalists": self.finalists and {
                "done": self.finalists[0], "trainings": self.finalists[1],
            },
            "missing_plugins": list(self.missing),
        }  # fmt: skip
        return Score.of(self.objectives).named(listed)


def list_searches(storage: BaseStorage) -> list[Listed]:
    """All searches of a storage, the newest first."""
    return [_listed(storage, name) for name in reversed(search_names(storage))]


def _listed(storage: BaseStorage, name: str) -> Listed:
    store = Store(storage, name, storage.get_study_id_from_name(name))
    notes = store.notes()
    record = notes[SETTINGS]
    missing = tuple(plugin for plugin in record.get("plugins", ()) if not is_loaded(plugin))
    best = None if missing else _best(store, record)
    done = storage.get_n_trials(store.study_id, FINISHED)
    return Listed(
        name, record["space"]["name"], record["data"]["name"], record["strategy"],
        tuple(record["objectives"]), done, max(asked_evaluations(notes), done), best, _finalists(store, notes), missing,
    )  # fmt: skip


def _best(store: Store, record: dict[str, Any]) -> Trial | None:
    try:
        return next(iter(best_trials(store.ranked(), recorded_space(record), 1)), None)
    except InputError:  # of a version that had what this one has not
        return None


def _finalists(store: Store, notes: dict[str, Any]) -> tuple[int, int] | None:
    name = beside_names(store.storage, store.name).get(FINALISTS)
    if name is None or TABLE not in notes:
        return None
    finals = Store(store.storage, name, store.storage.get_study_id_from_name(name))
    return trained(notes[TABLE], finals)

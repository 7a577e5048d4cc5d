"""Earlier evaluations as the history of a new search: kept in a study beside it, read by its strategy.

They are no trials of the search: they take none of its numbers, and none of its budget.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import TrialState

from nas.architecture.genome import Genome
from nas.architecture.plan import plan
from nas.architecture.space import SearchSpace
from nas.errors import InputError
from nas.strategies.problem import PastTrial, Problem, Proposal
from studies.store.claims import Claim
from studies.store.names import IMPORTED, SETTINGS, beside_name, study_names
from studies.store.store import Store
from studies.store.trial import running_trial

PLANNED = ("params", "macs")
"""Objectives that a pattern's plan tells."""


@dataclass(frozen=True)
class Earlier:
    """An evaluation from before a search."""

    genome: Genome
    scores: Mapping[str, float]
    """By the names of objectives; what a plan tells needs none."""


def write_imported(
    storage: BaseStorage, study: str, source: str, layers: int, earlier: Sequence[Earlier]
) -> None:
    """Keeps evaluations for a search that is still to be made.

    Args:
        source: the file or study that they come from.
        layers: of their patterns, of which there is one at least.

    Raises:
        InputError: the search is there already, or has others.
    """
    if study in study_names(storage):
        raise InputError(
            f"--study {study}: this study is there already; its history is its own. Name a new one"
        )
    text = json.dumps(
        sorted((str(one.genome), dict(sorted(one.scores.items()))) for one in earlier)
    )
    record = {
        f"{IMPORTED}_of": study,
        "source": source,
        "layers": layers,
        "scores": sorted(set.intersection(*(set(one.scores) for one in earlier))),
        "digest": hashlib.blake2b(text.encode(), digest_size=8).hexdigest(),
    }
    store = Store.open(
        storage, beside_name(study, IMPORTED), record, [True], ["score before the search"]
    )
    done = len(store.trials())
    with store.together():
        for number, one in enumerate(earlier[done:], done):
            attrs = {"scores": dict(one.scores), "role": IMPORTED}
            trial = running_trial(one.genome, attrs, None, None)
            if not store.records.create(number, trial, Claim("")):
                raise InputError(f"--study {study}: another process imports into it")
            score = next(iter(one.scores.values()))
            store.records.write(number, {}, {}, TrialState.COMPLETE, [score])


def imported_record(storage: BaseStorage, study: str) -> dict[str, Any]:
    """What was noted of a search's imported evaluations: source, digest; empty where there are none."""
    name = beside_name(study, IMPORTED)
    if name not in study_names(storage):
        return {}
    notes = storage.get_study_user_attrs(storage.get_study_id_from_name(name))
    record = notes.get(SETTINGS) or {}
    return record if record.get(f"{IMPORTED}_of") == study else {}


def imported_digest(
    storage: BaseStorage, study: str, space: SearchSpace, objectives: Sequence[str]
) -> str:
    """What names a search's imported evaluations in its settings; empty where there are none.

    Raises:
        InputError: they are of other networks, or say nothing of an objective.
    """
    record = imported_record(storage, study)
    if not record:
        return ""
    if record["layers"] != space.skeleton.layers:
        raise InputError(
            f"study {study!r}: the imported patterns have {record['layers']} layers, "
            f"space {space.name} {space.skeleton.layers}"
        )
    for name in objectives:
        if name not in (*PLANNED, *record["scores"]):
            raise InputError(
                f"study {study!r}: the evaluations imported from {record['source']} have no {name}, "
                "which the search is for"
            )
    return record["digest"]


def imported_trials(store: Store, objectives: Sequence[str], problem: Problem) -> list[PastTrial]:
    """A search's imported evaluations as its proposals see them, the worst first: to strategies for
    which the youngest live, the best are the youngest. Their numbers are -1, -2 and so on.

    Raises:
        InputError: they are not there any more.
    """
    beside = store.beside(IMPORTED)
    if beside is None:
        name = beside_name(store.name, IMPORTED)
        raise InputError(f"study {store.name!r} needs study {name!r}, which it began from")
    found = []
    for trial in beside.trials():
        planned = plan(trial.genome, problem.space.skeleton)
        scores = {"params": planned.params, "macs": planned.macs, **trial.attrs["scores"]}
        found.append((tuple(float(scores[name]) for name in objectives), trial.genome))
    found.sort(key=lambda one: (problem.weights[0] * one[0][0], one[1].key))
    past = []
    for index, (values, genome) in enumerate(found, 1):
        inside = problem.assess(Proposal(genome)).admitted
        past.append(PastTrial(-index, genome, values, inside, inside))
    return past

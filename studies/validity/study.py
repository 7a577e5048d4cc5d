"""What a study's own trainings say of its proxy: its contenders had several seeds each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from nas.errors import InputError
from search_spaces import load_plugins
from studies.formatting import Score
from studies.search.settings import recorded_space
from studies.store.names import CONTENDERS, DATA
from studies.store.storages import existing_storage, storage_errors
from studies.store.store import Store
from studies.validity.facts import FEWEST, Validity, measure
from studies.validity.run import LOSSES, score_of


def validate_study(name: str, storage: str, plugins: Iterable[Path] = ()) -> Validity:
    """How far the proxy of a study tells its best candidates apart.

    Raises:
        InputError: no such study, or too few of its candidates had a second fresh seed.
    """
    load_plugins(plugins)
    with storage_errors(storage):
        store = Store.load_search(existing_storage(storage), name)
        found = recorded_validity(store)
    if found is None:
        raise InputError(
            f"study {name!r}: fewer than {FEWEST} candidates were trained from two fresh seeds "
            "(nas search --contenders 12 does it); nas validate SPACE trains patterns for it"
        )
    return found


def recorded_validity(store: Store) -> Validity | None:
    """The same, or None where there are too few."""
    beside = store.beside(CONTENDERS)
    if beside is None:
        return None
    score = Score.of_study(store.settings)
    rows: dict[str, dict[int, tuple[float, float, float]]] = {}
    for trial in beside.trials():
        if trial.ok or (trial.state.is_finished() and not score.own):
            both = score_of(trial, "accuracy"), score_of(trial, "loss")
            rows.setdefault(trial.key, {})[trial.attrs["seed"]] = (*both, trial.attrs["seconds"])
    seeds = sorted({seed for row in rows.values() for seed in row})[:2]
    whole = [row for row in rows.values() if len(seeds) == 2 and all(seed in row for seed in seeds)]
    if len(whole) < FEWEST:
        return None
    table = np.array([[row[seed] for seed in seeds] for row in whole])
    scores = table[:, :, 0]
    measures = [measure(score.name, scores, None)]
    if (table[:, :, 1] < LOSSES[1]).any():  # own trainings have no loss that is known
        measures.append(measure("loss", -np.log(table[:, :, 1]), None))
    space = recorded_space(store.settings)
    images = (store.notes().get(DATA) or {}).get("parts", {}).get("validation", 0)
    return Validity(
        f"{store.name}, contenders", len(whole), len(seeds), 0.0,
        space.proxy.validation_images or images, float(np.median(table[:, :, 2])),
        tuple(measures), tuple(map(tuple, scores.tolist())), True, (), score,
    )  # fmt: skip

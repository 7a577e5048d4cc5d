"""Joining a study: all that decides its results is taken from its record."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from math import inf
from pathlib import Path
from typing import Any

from nas.errors import InputError
from nas.evaluation.own_file import OwnTraining
from nas.files.settings import from_mapping
from nas.proxy import Proxy
from search_spaces import load_plugins
from studies.samplers.strategies import find_strategy
from studies.search.machines import Means, connection, find_machine
from studies.search.request import GOALS, SearchRequest, check_request
from studies.search.run import Result, Watcher, work
from studies.search.settings import SearchSettings, recorded_data, recorded_space
from studies.store.database.patience import Patience
from studies.store.names import EVALUATE, GOAL
from studies.store.storages import existing_storage, storage_errors
from studies.store.store import Store
from studies.store.url import STORAGE


@dataclass(frozen=True)
class Joining(Means):
    """What `nas worker` can be asked; every field is an option of it."""

    study: str = ""
    storage: str = STORAGE
    data: str | None = None
    data_dir: Path | None = None
    max_seconds: float | None = None
    plugins: tuple[Path, ...] = ()
    evaluate: str | None = None
    """The study's own training, where its file lies elsewhere now."""
    wait: float = 0.0
    """Seconds to wait for the study to be made."""


def join_study(
    joining: Joining, watcher: Watcher | None = None, stop: Callable[[], bool] = lambda: False
) -> Result:
    """Works on a study that a search has made, until its goal is reached.

    Raises:
        InputError: no such study, or this machine, its data or plugins are not what it was made with.
    """
    watcher, plugins = watcher or Watcher(), load_plugins(joining.plugins)
    with storage_errors(joining.storage), connection(joining):
        store = _find(joining, Patience(watcher.away, watcher.back), stop)
        settings, devices = _settings(joining, store, plugins)
        store.check(settings.record())
        with store.joined(joining.storage):
            while True:
                goal = store.notes()[GOAL]
                request = _request(joining, goal)
                check_request(replace(request, lag=settings.lag))
                result = work(request, settings, devices, store, watcher, stop, False)
                if result.outcome.reason != "budget" or store.notes()[GOAL] == goal:
                    return result


def _find(joining: Joining, patience: Patience, stop: Callable[[], bool]) -> Store:
    """The study, as soon as it is there."""
    if not 0 <= joining.wait < inf:
        raise InputError(f"--wait {joining.wait:g}: it must be a number of seconds")
    end, storage = time.monotonic() + joining.wait, None
    while True:
        try:
            storage = storage or existing_storage(joining.storage, patience)
            store = Store.load_search(storage, joining.study)
            if GOAL in store.notes():
                return store
            raise InputError(f"study {joining.study!r}: no nas search of this version has run it")
        except InputError:
            if stop():
                raise KeyboardInterrupt from None
            if time.monotonic() > end:
                raise
            time.sleep(1)


def _settings(
    joining: Joining, store: Store, plugins: Mapping[Path, str]
) -> tuple[SearchSettings, tuple[str, ...]]:
    """The study's settings as they would be here, and the devices of the workers."""
    record, goal = store.searched(), store.notes()[GOAL]
    find_strategy(record["strategy"], f"study {store.name!r}")
    if "table" in record:
        raise InputError(
            f"study {store.name!r}: nas search --table continues it, and needs no workers"
        )
    found = find_machine(joining)(recorded_space(record).skeleton, ())
    data = recorded_data(record, store.notes(), joining.data, joining.data_dir)
    final = from_mapping(Proxy, goal["final"], "the finalists' proxy") if goal["final"] else None
    noted = store.notes().get(EVALUATE)
    there = noted and Path(noted.rpartition(":")[0]).exists()
    evaluate = joining.evaluate or (noted if there else None)
    own = OwnTraining.find(evaluate) if evaluate else None
    settings = SearchSettings.from_record(record, data, found.kind, plugins, final, own)
    return settings, found.devices


def _request(joining: Joining, goal: Mapping[str, Any]) -> SearchRequest:
    return SearchRequest(
        study=joining.study,
        storage=joining.storage,
        max_seconds=joining.max_seconds,
        plugins=joining.plugins,
        **{means.name: getattr(joining, means.name) for means in fields(Means)},
        **{name: goal[name] for name in GOALS if name in goal},
    )

"""Renaming and deleting a search, with the studies beside it and what lies elsewhere for them."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage
from optuna_dashboard.artifact._backend import delete_all_artifacts

from nas.errors import InputError, unknown
from studies.dashboard.painter import Pictures, picture_key, picture_name
from studies.formatting import listed, plural, without
from studies.store.names import COMMAND, SETTINGS, beside_name, beside_names, search_names
from studies.store.rename import Renamed, alone, check_free, delete_all, rename_all
from studies.store.storages import picture_folder, weights_folder
from studies.store.store import Store

LONGEST = 500
"""Characters of a name, less than Optuna's tables have room for: studies beside add a word."""


@dataclass(frozen=True)
class Search:
    """A search and the studies beside it."""

    url: str
    main: Store
    beside: Mapping[str, Store]
    """By what they hold."""

    @classmethod
    def find(cls, storage: BaseStorage, url: str, name: str) -> Search:
        """The search of this name; no plugin is needed.

        Raises:
            InputError: there is none (with the searches there are).
        """
        if name not in search_names(storage):
            for search in search_names(storage):
                if name in beside_names(storage, search).values():
                    raise InputError(f"study {name!r} goes with study {search!r}: name that one")
            raise unknown("study", name, search_names(storage))

        def store(name: str) -> Store:
            return Store(storage, name, storage.get_study_id_from_name(name))

        beside = {what: store(one) for what, one in beside_names(storage, name).items()}
        return cls(url, store(name), beside)

    @property
    def stores(self) -> list[Store]:
        """Those beside it first."""
        return [*self.beside.values(), self.main]

    def trials(self) -> int:
        return self.main.storage.get_n_trials(self.main.study_id)

    def about(self) -> str:
        """What goes with it, in words."""
        count = self.main.storage.get_n_trials
        beside = [f"{count(one.study_id)} of its {what}" for what, one in self.beside.items()]
        return listed([plural(self.trials(), "trial"), *beside])


def rename_search(search: Search, name: str) -> None:
    """Gives a search and the studies beside it another name; what is recorded stays as it is.

    The command that the study noted names it from now on, as the default name is another.

    Raises:
        InputError: the name is taken or none, or a process works on one of the studies.
    """
    old, storage = search.main.name, search.main.storage
    if not name.strip() or len(name) > LONGEST or not name.isprintable():
        raise InputError(
            f"the new name {name[:LONGEST]!r}: it must have 1 to {LONGEST} printable characters"
        )
    if name == old:
        raise InputError(f"study {old!r} has this name already")
    names = {name: old} | {beside_name(name, w): s.name for w, s in search.beside.items()}
    with alone(search.stores, search.url):
        check_free(storage, names)
        changes: list[Renamed] = []
        pictures: dict[str, str] = {}
        for new, store in zip(names, [search.main, *search.beside.values()], strict=True):
            notes, marks, moved = _renamed(store, old, name, new)
            changes.append(Renamed(store, new, notes, marks))
            pictures |= moved
        folder = picture_folder(search.url)
        _each(pictures, lambda a, b: shutil.copy2(folder / a, folder / b))
        rename_all(storage, changes)
        _each(pictures, lambda a, b: (folder / a).unlink())
        _move(weights_folder(search.url, old), weights_folder(search.url, name))


def _renamed(
    store: Store, old: str, name: str, new: str
) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """User and system attributes of a study under its new name, and the pictures that move."""
    storage = store.storage
    notes = dict(store.notes())
    record = notes[SETTINGS]
    notes[SETTINGS] = {
        key: name if key.endswith("_of") and value == old else value
        for key, value in record.items()
    }
    if notes.get(COMMAND):
        words = without(shlex.split(notes[COMMAND]), "--study")
        notes[COMMAND] = shlex.join([*words, "--study", name])
    marks = dict(storage.get_study_system_attrs(store.study_id))
    moved = {}
    for trial in storage.get_all_trials(store.study_id, deepcopy=False):
        before, after = (picture_name(one, record, trial) for one in (store.name, new))
        value = marks.pop(picture_key(trial, before), None)
        if value is not None:
            entry = json.loads(value)
            entry = entry and {**entry, "artifact_id": after}  # null: a person removed it
            marks[picture_key(trial, after)] = json.dumps(entry)
            moved[before] = after
    return notes, marks, moved


def _each(pictures: Mapping[str, str], do: Callable[[str, str], object]) -> None:
    for before, after in pictures.items():
        with suppress(FileNotFoundError):  # the dashboard draws what is missing
            do(before, after)


def _move(folder: Path, to: Path) -> None:
    """Weights are a cache: what a removed study left under the new name goes."""
    if folder.is_dir():
        shutil.rmtree(to, ignore_errors=True)
        folder.rename(to)


def delete_search(search: Search) -> None:
    """Removes a search, the studies beside it, their pictures, and the weights that it kept.

    Raises:
        InputError: a process works on one of the studies.
    """
    with alone(search.stores, search.url):
        pictures = Pictures(picture_folder(search.url))
        for store in search.stores:
            delete_all_artifacts(pictures, store.storage, store.study_id)
        shutil.rmtree(weights_folder(search.url, search.main.name), ignore_errors=True)
        delete_all(search.main.storage, search.stores)

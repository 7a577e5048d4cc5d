"""Other names for studies, for which Optuna has no call, and studies that go.

In an SQL database a name is one of its row's columns, and all changes are one transaction. Elsewhere
the studies are copied under the new names; the old ones go, in a journal file in one write, when the
copies are whole. Until then the copies say of which study they are, so that a copy that was stopped
is made anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy import delete, insert, update
from sqlalchemy.exc import SQLAlchemyError

from nas.errors import InputError
from studies.store.journal import JournalFileStorage
from studies.store.lease import LEASE
from studies.store.names import study_names
from studies.store.store import Store

TRIAL = re.compile(r"^(dashboard:(?:artifacts:)?)(\d+):")
"""Begins the dashboard's attributes of a study that are about a trial, with its id."""
COPY_OF = "nas:copy-of"
"""Key of what a copy notes until it is whole."""


@dataclass(frozen=True)
class Renamed:
    """A study, its new name, and what it says of itself then."""

    store: Store
    name: str
    notes: Mapping[str, Any]
    """All of its user attributes."""
    marks: Mapping[str, Any]
    """All of its system attributes, as they are with the trials' ids of before."""

    def marks_with(self, ids: Mapping[int, int]) -> dict[str, Any]:
        """The system attributes with other trials' ids, which the dashboard has in its keys."""

        def renumbered(found: re.Match[str]) -> str:
            return f"{found[1]}{ids.get(int(found[2]), found[2])}:"

        return {TRIAL.sub(renumbered, key): value for key, value in self.marks.items()}


@contextmanager
def alone(stores: Sequence[Store], url: str) -> Iterator[None]:
    """Holds studies that nobody works on.

    Raises:
        InputError: somebody does.
    """
    with ExitStack() as stack:
        for store in stores:
            busy = [one.number for one in store.records.claims() if not one.free()]
            if store.records.shared and busy:
                raise InputError(
                    f"study {store.name!r} is being searched by another process, which evaluates "
                    f"trial {busy[0]}; wait for it, or stop it first"
                )
            if not store.records.shared:
                try:
                    stack.enter_context(store.owned(url))
                except InputError as error:
                    why = str(error).partition(";")[0]
                    raise InputError(f"{why}; wait for it, or stop it first") from None
        yield


def check_free(storage: BaseStorage, names: Mapping[str, str]) -> None:
    """Raises InputError where a new name is taken, but for a copy that was stopped: that is removed.

    Args:
        names: the new ones, with the old.
    """
    taken = set(names) & set(study_names(storage))
    for name in sorted(taken):
        study_id = storage.get_study_id_from_name(name)
        if storage.get_study_user_attrs(study_id).get(COPY_OF) != names[name]:
            raise InputError(
                f"there is a study {name!r} already; choose another name, or remove that one with "
                "nas studies delete"
            )
        storage.delete_study(study_id)


def rename_all(storage: BaseStorage, changes: Sequence[Renamed]) -> None:
    """Gives studies their new names, which are free, all of them or none."""
    backend = getattr(storage, "_backend", storage)  # of Optuna's cache
    if isinstance(backend, RDBStorage):
        _update(backend.engine, changes)
    else:
        _copy(storage, changes)


def _update(engine: sqlalchemy.Engine, changes: Sequence[Renamed]) -> None:
    from optuna.storages._rdb import models

    studies = models.StudyModel.__table__
    tables = models.StudyUserAttributeModel.__table__, models.StudySystemAttributeModel.__table__
    try:
        with engine.begin() as connection:
            for one in changes:
                own = one.store.study_id
                connection.execute(
                    update(studies).where(studies.c.study_id == own).values(study_name=one.name)
                )
                for table, attrs in zip(tables, (one.notes, one.marks), strict=True):
                    connection.execute(delete(table).where(table.c.study_id == own))
                    rows = [
                        {"study_id": own, "key": key, "value_json": json.dumps(value)}
                        for key, value in attrs.items()
                    ]
                    if rows:
                        connection.execute(insert(table), rows)
    except SQLAlchemyError as error:
        raise StorageInternalError("the database could not be written") from error


def _copy(storage: BaseStorage, changes: Sequence[Renamed]) -> None:
    made = [_copied(storage, one) for one in changes]
    with _at_once(storage):
        for one, study_id in zip(changes, made, strict=True):
            storage.set_study_user_attr(study_id, COPY_OF, None)
            storage.delete_study(one.store.study_id)


def _copied(storage: BaseStorage, one: Renamed) -> int:
    old = one.store.study_id
    study_id = storage.create_new_study(storage.get_study_directions(old), one.name)
    storage.set_study_user_attr(study_id, COPY_OF, one.store.name)
    trials = sorted(storage.get_all_trials(old, deepcopy=False), key=lambda trial: trial.number)
    ids = {trial._trial_id: storage.create_new_trial(study_id, trial) for trial in trials}
    with _at_once(storage):
        for key, value in one.notes.items():
            if key != LEASE:
                storage.set_study_user_attr(study_id, key, value)
        for key, value in one.marks_with(ids).items():
            storage.set_study_system_attr(study_id, key, value)
    return study_id


def delete_all(storage: BaseStorage, stores: Sequence[Store]) -> None:
    """Removes studies, in this order."""
    with _at_once(storage):
        for store in stores:
            storage.delete_study(store.study_id)


def _at_once(storage: BaseStorage) -> Any:
    """What is written within is one write, in a journal file."""
    return storage.file.together() if isinstance(storage, JournalFileStorage) else nullcontext()

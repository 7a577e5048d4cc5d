"""Trials in an SQL database, in Optuna's own tables: several rows as one write, all trials as few reads.

Optuna's calls write every attribute in a transaction of its own, and make distributions for every
trial that is read. What is written here is what they would have written: Optuna, its dashboard and
`OptunaTrials` read it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from math import inf
from typing import Any

import optuna
import sqlalchemy
from optuna.distributions import distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, DateTime, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from nas.errors import InputError
from studies.store.claims import CLAIM, Claim, Claimed
from studies.store.names import MARK
from studies.store.sql_reader import SqlReader
from studies.store.trial import Foreign, Trial

KNOWN = "optuna>=5.0,<5.1"
"""Versions with whose tables this is tested."""
DIALECTS = ("sqlite", "postgresql")
"""Databases with which this is tested; others are used through Optuna's calls."""


class SqlTrials(SqlReader):
    """The trials of one study as rows (`Trials`), which several processes may write.

    Args:
        tables: Optuna's, as SQLAlchemy's models.
    """

    shared = True

    def __init__(self, engine: sqlalchemy.Engine, study_id: int, tables: Any) -> None:
        super().__init__(study_id, tables)
        self.engine = engine
        self._open: Connection | None = None
        """Of the transaction of `together`."""
        self.studies = tables.StudyModel.__table__
        self.beats = tables.TrialHeartbeatModel.__table__
        self.notes = tables.StudyUserAttributeModel.__table__
        # The server's clock, as those of several machines differ, in UTC, as their zones do.
        self._clock: Any = func.current_timestamp(type_=DateTime)
        if engine.name == "postgresql":
            self._clock = func.timezone("UTC", func.now(), type_=DateTime)
        self._value = tables.TrialValueModel.value_to_stored_repr
        self._step = tables.TrialIntermediateValueModel.intermediate_value_to_stored_repr
        self._prepare()

    def _prepare(self) -> None:
        """Makes the statements that every trial needs: making one takes longer than running it."""
        rows, memory, study = self.rows, self.memory, self.studies.c.study_id
        trial: Any = bindparam("trial")
        self._lock = select(study).where(study == self.study_id).with_for_update()
        self._new = insert(rows).returning(rows.c.trial_id)
        self._undo = delete(rows).where(rows.c.trial_id == trial)
        self._last = (
            select(rows.c.number)
            .where(rows.c.study_id == self.study_id, rows.c.trial_id < trial)
            .order_by(rows.c.trial_id.desc())
            .limit(1)
        )
        self._beat = insert(self.beats).values(trial_id=trial, heartbeat=self._clock)
        self._same = (
            update(rows)
            .where(rows.c.trial_id == trial, rows.c.state == TrialState.RUNNING)
            .values(state=TrialState.RUNNING)
        )
        self._claim = select(memory.c.value_json).where(
            memory.c.trial_id == trial, memory.c.key == CLAIM
        )
        self._end = (
            update(rows)
            .where(rows.c.trial_id == trial)
            .values(state=bindparam("ended"), datetime_complete=bindparam("at"))
        )
        self._clear = {
            table: delete(table).where(
                table.c.trial_id == trial, column.in_(bindparam("keys", expanding=True))
            )
            for table, column in (
                (self.curve, self.curve.c.step), (self.attrs, self.attrs.c.key),
            )
        }  # fmt: skip
        tables = (self.params, self.attrs, self.memory, self.values, self.curve)
        self._insert = {table: insert(table) for table in tables}

    @classmethod
    def of(cls, storage: BaseStorage, study_id: int) -> SqlTrials | None:
        """None where the storage is no SQL database of a kind that is known here.

        Raises:
            InputError: Optuna's tables are not where the versions have them that are known here.
        """
        try:
            from optuna.storages._cached_storage import _CachedStorage
            from optuna.storages._rdb import models

            backend = storage._backend if isinstance(storage, _CachedStorage) else storage
            if not isinstance(backend, RDBStorage) or backend.engine.name not in DIALECTS:
                return None
            return cls(backend.engine, study_id, models)
        except (ImportError, AttributeError) as error:
            raise InputError(
                f"Optuna {optuna.__version__} keeps its tables in another way than this program "
                f"knows ({error}); install one that it knows: pip install '{KNOWN}'"
            ) from None

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is written within is one transaction: a commit takes longer than what it writes."""
        with self._errors(), self.engine.connect() as connection:
            self._open = connection
            try:
                yield
                connection.commit()
            finally:
                self._open = None

    def note_first(self, key: str, value: Any) -> None:
        """Notes something with the study, unless somebody has noted it."""
        row = {"study_id": self.study_id, "key": key, "value_json": json.dumps(value)}
        with self._writing() as connection:
            try:
                connection.execute(insert(self.notes), row)
            except IntegrityError:
                connection.rollback()

    def create(self, number: int, trial: FrozenTrial, claim: Claim) -> int | None:
        """Writes a new running trial; its id, or None if it would not have this number."""
        row = {
            "number": number,
            "study_id": self.study_id,
            "state": TrialState.RUNNING,
            "datetime_start": _now(),
        }
        with self._writing() as connection:
            connection.execute(self._lock)
            trial_id = connection.execute(self._new, row).scalar_one()
            if number != self._count_before(connection, trial_id):
                connection.execute(self._undo, {"trial": trial_id})
                return None
            self._fill(connection, trial_id, trial, claim)
        return trial_id

    def begin_waiting(self, trial_id: int, trial: FrozenTrial, claim: Claim) -> bool:
        """Makes a waiting trial a running one, with what `trial` has; False if it waits no more."""
        rows = self.rows
        waits = (rows.c.trial_id == trial_id) & (rows.c.state == TrialState.WAITING)
        begun = update(rows).where(waits).values(state=TrialState.RUNNING, datetime_start=_now())
        with self._writing() as connection:
            if connection.execute(begun).rowcount == 0:
                return False
            keys = {"trial": trial_id, "keys": list(trial.user_attrs)}
            connection.execute(self._clear[self.attrs], keys)
            self._fill(connection, trial_id, trial, claim)
        return True

    def _fill(
        self, connection: Connection, trial_id: int, trial: FrozenTrial, claim: Claim
    ) -> None:
        """Adds what a trial has that begins."""
        params = [
            {
                "trial_id": trial_id,
                "param_name": name,
                "param_value": trial.distributions[name].to_internal_repr(value),
                "distribution_json": distribution_to_json(trial.distributions[name]),
            }
            for name, value in trial.params.items()
        ]
        if params:
            connection.execute(self._insert[self.params], params)
        memory = {**trial.system_attrs, CLAIM: asdict(claim)}
        self._add_attrs(connection, self.attrs, trial_id, trial.user_attrs)
        self._add_attrs(connection, self.memory, trial_id, memory)
        connection.execute(self._beat, {"trial": trial_id})

    def write(
        self,
        trial_id: int,
        curve: Mapping[int, float],
        attrs: Mapping[str, Any],
        state: TrialState | None = None,
        values: Sequence[float] | None = None,
        claim: Claim | None = None,
    ) -> bool:
        """Adds to a running trial, or replaces; a state ends it.

        Args:
            claim: nothing is written, and False returned, where the trial has ended or is another's.
        """
        with self._writing() as connection:
            if claim and not self._touch(connection, trial_id, claim):
                return False
            if curve:
                keys = {"trial": trial_id, "keys": list(curve)}
                connection.execute(self._clear[self.curve], keys)
                rows = [(step, *self._step(value)) for step, value in curve.items()]
                names = ("step", "intermediate_value", "intermediate_value_type")
                connection.execute(self._insert[self.curve], _named(trial_id, names, rows))
            if attrs:
                keys = {"trial": trial_id, "keys": list(attrs)}
                connection.execute(self._clear[self.attrs], keys)
                self._add_attrs(connection, self.attrs, trial_id, attrs)
            if values is not None:
                rows = [(place, *self._value(value)) for place, value in enumerate(values)]
                names = ("objective", "value", "value_type")
                connection.execute(self._insert[self.values], _named(trial_id, names, rows))
            if state is not None:
                ended = {"trial": trial_id, "ended": state, "at": _now()}
                connection.execute(self._end, ended)
        return True

    def beat(self, trial_ids: Sequence[int]) -> None:
        """Says that these trials are worked on."""
        if trial_ids:
            here = self.beats.c.trial_id.in_(trial_ids)
            with self._writing() as connection:
                connection.execute(update(self.beats).where(here).values(heartbeat=self._clock))

    def claims(self) -> list[Claimed]:
        """The claims on all running trials of this program."""
        rows, memory, beats, attrs = self.rows, self.memory, self.beats, self.attrs
        ours = (attrs.c.trial_id == rows.c.trial_id) & (attrs.c.key == MARK)
        here = (memory.c.trial_id == rows.c.trial_id) & (memory.c.key == CLAIM)
        query = (
            select(
                rows.c.trial_id, rows.c.number, memory.c.value_json, beats.c.heartbeat, self._clock
            )
            .join(attrs, ours)
            .outerjoin(memory, here)
            .outerjoin(beats, beats.c.trial_id == rows.c.trial_id)
            .where(rows.c.study_id == self.study_id, rows.c.state == TrialState.RUNNING)
            .order_by(rows.c.number)
        )
        with self._errors(), self.engine.connect() as connection:
            found = connection.execute(query).all()
        return [
            Claimed(
                trial_id, number, Claim(**json.loads(text)) if text else None,
                (now - beat).total_seconds() if beat else inf,
            )
            for trial_id, number, text, beat, now in found
        ]  # fmt: skip

    def take(self, trial_id: int, before: Claim | None, claim: Claim) -> bool:
        """Puts a claim in the place of another; False if somebody else was faster."""
        memory, text = self.memory, json.dumps(asdict(claim))
        here = (memory.c.trial_id == trial_id) & (memory.c.key == CLAIM)
        row = {"trial_id": trial_id, "key": CLAIM, "value_json": text}
        with self._writing() as connection:
            if before is None:  # of a study from before there were claims
                try:
                    connection.execute(insert(memory), row)
                except IntegrityError:
                    connection.rollback()
                    return False
            elif self._touch(connection, trial_id, before):
                connection.execute(update(memory).where(here).values(value_json=text))
            else:
                connection.rollback()
                return False
            connection.execute(delete(self.beats).where(self.beats.c.trial_id == trial_id))
            connection.execute(self._beat, {"trial": trial_id})
        return True

    def _touch(self, connection: Connection, trial_id: int, claim: Claim) -> bool:
        """Locks a trial for this transaction; False if it has ended or is claimed by another."""
        if connection.execute(self._same, {"trial": trial_id}).rowcount == 0:
            return False
        # A statement of its own: what it sees begins when the lock was got.
        found = connection.execute(self._claim, {"trial": trial_id}).scalar()
        return found == json.dumps(asdict(claim))

    def read(self, first: int) -> list[tuple[int, Trial | Foreign]]:
        """The trials from number `first` on, with their ids, by number."""
        with self._errors(), self.engine.connect() as connection:
            return self.trials_from(connection, first)

    def _count_before(self, connection: Connection, trial_id: int) -> int:
        """The number that follows the study's last trial before this one."""
        number = connection.execute(self._last, {"trial": trial_id}).scalar()
        return 0 if number is None else number + 1

    def _add_attrs(
        self, connection: Connection, table: Any, trial_id: int, attrs: Mapping[str, Any]
    ) -> None:
        if attrs:
            rows = [(key, json.dumps(value)) for key, value in attrs.items()]
            connection.execute(self._insert[table], _named(trial_id, ("key", "value_json"), rows))

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        if self._open is not None:
            yield self._open
            return
        with self._errors(), self.engine.connect() as connection:
            yield connection
            connection.commit()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """As Optuna names them, whose class is caught."""
        try:
            yield
        except SQLAlchemyError as error:
            raise StorageInternalError("the database could not be read or written") from error


def _named(trial_id: int, names: Sequence[str], rows: Sequence[tuple]) -> list[dict[str, Any]]:
    return [{"trial_id": trial_id, **dict(zip(names, row, strict=True))} for row in rows]


def _now() -> datetime:
    """As Optuna keeps times in databases: UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)

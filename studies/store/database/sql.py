"""Trials in an SQL database, in Optuna's own tables: several rows as one write, all trials as few reads.

Optuna's calls write every attribute in a transaction of its own, and make distributions for every
trial that is read. What is written here is what they would have written: Optuna, its dashboard and
`OptunaTrials` read it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from math import inf
from typing import Any, TypeVar

import optuna
import sqlalchemy
from optuna.distributions import distribution_to_json
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from nas.errors import InputError
from studies.store.claims import CLAIM, Claim, Claimed
from studies.store.database.patience import Patience, Transaction, as_optunas
from studies.store.database.statements import SqlStatements
from studies.store.names import MARK
from studies.store.trial import Foreign, Trial

KNOWN = "optuna>=5.0,<5.1"
"""Versions with whose tables this is tested."""
DIALECTS = ("sqlite", "postgresql")
"""Databases with which this is tested; others are used through Optuna's calls."""
T = TypeVar("T")


class SqlTrials(SqlStatements):
    """The trials of one study as rows (`Trials`), which several processes may write.

    A write whose answer was lost with its connection is found to be there when it is done again: by
    its number and claim, which are no other's.

    Args:
        tables: Optuna's, as SQLAlchemy's models.
        patience: with a database that is away; by default there is none.
    """

    shared = True

    def __init__(
        self, engine: sqlalchemy.Engine, study_id: int, tables: Any,
        patience: Patience | None = None,
    ) -> None:  # fmt: skip
        super().__init__(study_id, tables, engine.name)
        self.engine, self._patience = engine, patience or Patience(seconds=0)
        self._ids: dict[int, int] = {}
        """Optuna's, by number."""
        self._open: Transaction | None = None
        """That of `together`."""

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
            return cls(backend.engine, study_id, models, getattr(backend, "patience", None))
        except (ImportError, AttributeError) as error:
            raise InputError(
                f"Optuna {optuna.__version__} keeps its tables in another way than this program "
                f"knows ({error}); install one that it knows: pip install '{KNOWN}'"
            ) from None

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is written within is one transaction: a commit takes longer than what it writes."""
        self._open = Transaction(self.engine)
        try:
            yield
            self._do(Connection.commit)
        finally:
            self._open.close()
            self._open = None

    def note_first(self, key: str, value: Any) -> None:
        """Notes something with the study, unless somebody has noted it."""
        row = {"study_id": self.study_id, "key": key, "value_json": json.dumps(value)}

        def note(connection: Connection) -> None:
            try:
                connection.execute(insert(self.notes), row)
            except IntegrityError:
                connection.rollback()

        self._do(note)

    def create(self, number: int, trial: FrozenTrial, claim: Claim) -> bool:
        """Writes a new running trial; False if it would not have this number."""
        return self._do(lambda connection: self._create(connection, number, trial, claim))

    def _create(
        self, connection: Connection, number: int, trial: FrozenTrial, claim: Claim
    ) -> bool:
        row = {
            "number": number,
            "study_id": self.study_id,
            "state": TrialState.RUNNING,
            "datetime_start": _now(),
        }
        connection.execute(self._lock)
        trial_id = connection.execute(self._new, row).scalar_one()
        if number != self._count_before(connection, trial_id):
            connection.execute(self._undo, {"trial": trial_id})
            found = connection.execute(self._numbered, {"number": number}).one_or_none()
            if found is None:
                return False
            self._ids[number] = found.trial_id
            return _is(found.value_json, claim)
        self._ids[number] = trial_id
        self._fill(connection, trial_id, trial, claim)
        return True

    def begin_waiting(self, number: int, trial: FrozenTrial, claim: Claim) -> bool:
        """Makes a waiting trial a running one, with what `trial` has; False if it waits no more."""

        def begin(connection: Connection) -> bool:
            trial_id = self._ids[number]
            begun = {"trial": trial_id, "at": _now()}
            if connection.execute(self._begin, begun).rowcount == 0:
                return _is(connection.execute(self._claim, {"trial": trial_id}).scalar(), claim)
            keys = {"trial": trial_id, "keys": list(trial.user_attrs)}
            connection.execute(self._clear[self.attrs], keys)
            self._fill(connection, trial_id, trial, claim)
            return True

        return self._do(begin)

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
        number: int,
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

        def add(connection: Connection) -> bool:
            trial_id = self._ids[number]
            if claim and not self._touch(connection, trial_id, claim):
                return self._ended(connection, trial_id, state, claim)
            self._write(connection, trial_id, curve, attrs, values)
            if state is not None:
                ended = {"trial": trial_id, "ended": state, "at": _now()}
                connection.execute(self._end, ended)
            return True

        return self._do(add)

    def _write(
        self,
        connection: Connection,
        trial_id: int,
        curve: Mapping[int, float],
        attrs: Mapping[str, Any],
        values: Sequence[float] | None,
    ) -> None:
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

    def beat(self, numbers: Sequence[int]) -> None:
        """Says that these trials are worked on."""
        if numbers:
            here = self.beats.c.trial_id.in_([self._ids[number] for number in numbers])
            renewed = update(self.beats).where(here).values(heartbeat=self._clock)
            self._do(lambda connection: connection.execute(renewed))

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
        found = self._read(lambda connection: connection.execute(query).all())
        self._ids.update((number, trial_id) for trial_id, number, *_ in found)
        most = self._patience.seconds_back()
        return [
            Claimed(
                number, Claim(**json.loads(text)) if text else None,
                min((now - beat).total_seconds(), most) if beat else inf,
            )
            for _, number, text, beat, now in found
        ]  # fmt: skip

    def take(self, number: int, before: Claim | None, claim: Claim) -> bool:
        """Puts a claim in the place of another; False if somebody else was faster."""
        return self._do(lambda connection: self._take(connection, self._ids[number], before, claim))

    def _take(
        self, connection: Connection, trial_id: int, before: Claim | None, claim: Claim
    ) -> bool:
        memory, text = self.memory, json.dumps(asdict(claim))
        here = (memory.c.trial_id == trial_id) & (memory.c.key == CLAIM)
        row = {"trial_id": trial_id, "key": CLAIM, "value_json": text}
        if before is None:  # of a study from before there were claims
            try:
                connection.execute(insert(memory), row)
            except IntegrityError:
                connection.rollback()
                return self._touch(connection, trial_id, claim)
        elif self._touch(connection, trial_id, before):
            connection.execute(update(memory).where(here).values(value_json=text))
        else:
            return self._touch(connection, trial_id, claim)
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

    def _ended(
        self, connection: Connection, trial_id: int, state: TrialState | None, claim: Claim
    ) -> bool:
        """Whether this claim's process has ended the trial so: when the answer was lost."""
        if state is None or connection.execute(self._state, {"trial": trial_id}).scalar() != state:
            return False
        return _is(connection.execute(self._claim, {"trial": trial_id}).scalar(), claim)

    def read(self, first: int) -> list[Trial | Foreign]:
        """The trials from number `first` on, by number."""
        found = self._read(lambda connection: self.trials_from(connection, first))
        self._ids.update((trial.number, trial_id) for trial_id, trial in found)
        return [trial for _, trial in found]

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

    def _do(self, act: Callable[[Connection], T]) -> T:
        """What an act gives, in the transaction of `together` or in one of its own."""

        def alone() -> T:
            with self.engine.connect() as connection:
                found = act(connection)
                connection.commit()
                return found

        with as_optunas():
            return self._patience(alone if self._open is None else partial(self._open.do, act))

    def _read(self, act: Callable[[Connection], T]) -> T:
        def read() -> T:
            with self.engine.connect() as connection:
                return act(connection)

        with as_optunas():
            return self._patience(read)


def _is(text: str | None, claim: Claim) -> bool:
    """Whether a recorded claim is this one, of a process that has a name."""
    return bool(claim.owner) and text == json.dumps(asdict(claim))


def _named(trial_id: int, names: Sequence[str], rows: Sequence[tuple]) -> list[dict[str, Any]]:
    return [{"trial_id": trial_id, **dict(zip(names, row, strict=True))} for row in rows]


def _now() -> datetime:
    """As Optuna keeps times in databases: UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)

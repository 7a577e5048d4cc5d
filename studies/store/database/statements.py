"""Statements that every trial needs, made once: making one takes longer than running it."""

from __future__ import annotations

from typing import Any

from optuna.trial import TrialState
from sqlalchemy import DateTime, bindparam, delete, func, insert, select, update

from studies.store.claims import CLAIM
from studies.store.database.sql_reader import SqlReader


class SqlStatements(SqlReader):
    """What writes one study's trials.

    Args:
        tables: Optuna's, as SQLAlchemy's models.
        dialect: the database's, by SQLAlchemy's name.
    """

    def __init__(self, study_id: int, tables: Any, dialect: str) -> None:
        super().__init__(study_id, tables)
        self.studies = tables.StudyModel.__table__
        self.beats = tables.TrialHeartbeatModel.__table__
        self.notes = tables.StudyUserAttributeModel.__table__
        # The server's clock, as those of several machines differ, in UTC, as their zones do.
        self._clock: Any = func.current_timestamp(type_=DateTime)
        if dialect == "postgresql":
            self._clock = func.timezone("UTC", func.now(), type_=DateTime)
        self._value = tables.TrialValueModel.value_to_stored_repr
        self._step = tables.TrialIntermediateValueModel.intermediate_value_to_stored_repr
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
        self._numbered = (
            select(rows.c.trial_id, memory.c.value_json)
            .join(memory, (memory.c.trial_id == rows.c.trial_id) & (memory.c.key == CLAIM))
            .where(rows.c.study_id == self.study_id, rows.c.number == bindparam("number"))
        )
        self._state = select(rows.c.state).where(rows.c.trial_id == trial)
        self._begin = (
            update(rows)
            .where(rows.c.trial_id == trial, rows.c.state == TrialState.WAITING)
            .values(state=TrialState.RUNNING, datetime_start=bindparam("at"))
        )
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

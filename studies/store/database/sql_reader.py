"""Reading trials from Optuna's own tables: all of a study's with one query a table."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, json_to_distribution
from sqlalchemy import Connection, Select, select

from studies.store.trial import Foreign, Trial, made_trial


class SqlReader:
    """Reads one study's trials.

    Args:
        tables: Optuna's, as SQLAlchemy's models.
    """

    def __init__(self, study_id: int, tables: Any) -> None:
        self.study_id = study_id
        self.rows = tables.TrialModel.__table__
        self.params = tables.TrialParamModel.__table__
        self.attrs = tables.TrialUserAttributeModel.__table__
        self.memory = tables.TrialSystemAttributeModel.__table__
        self.values = tables.TrialValueModel.__table__
        self.curve = tables.TrialIntermediateValueModel.__table__
        self._read_value = tables.TrialValueModel.stored_repr_to_value
        self._read_step = tables.TrialIntermediateValueModel.stored_repr_to_intermediate_value

    def trials_from(self, connection: Connection, first: int) -> list[tuple[int, Trial | Foreign]]:
        """The trials from number `first` on, with their ids, by number."""
        rows = self.rows
        found = connection.execute(
            select(rows.c.trial_id, rows.c.number, rows.c.state)
            .where(rows.c.study_id == self.study_id, rows.c.number >= first)
            .order_by(rows.c.number)
        ).all()
        genes = self._genes(connection, first)
        values = self._numbers(connection, self.values, first, self._read_value)
        curves = self._numbers(connection, self.curve, first, self._read_step)
        user = self._attrs(connection, self.attrs, first)
        system = self._attrs(connection, self.memory, first)
        return [
            (
                trial_id,
                made_trial(
                    number, state,
                    tuple(v for _, v in sorted(values[trial_id].items())) or None,
                    user[trial_id], curves[trial_id], genes[trial_id], system[trial_id],
                ),
            )
            for trial_id, number, state in found
        ]  # fmt: skip

    def _of_trials(self, table: Any, first: int, *columns: str) -> Select:
        """The rows of a table that belong to trials from number `first` on."""
        rows = self.rows
        return (
            select(rows.c.trial_id, *(table.c[name] for name in columns))
            .join_from(rows, table, rows.c.trial_id == table.c.trial_id)
            .where(rows.c.study_id == self.study_id, rows.c.number >= first)
        )

    def _attrs(self, connection: Connection, table: Any, first: int) -> dict[int, dict[str, Any]]:
        found: dict[int, dict[str, Any]] = defaultdict(dict)
        keys: dict[str, str] = {}  # one string for each name, not one for each trial
        query = self._of_trials(table, first, "key", "value_json")
        for trial_id, key, text in connection.execute(query):
            found[trial_id][keys.setdefault(key, key)] = json.loads(text)
        return found

    def _numbers(
        self, connection: Connection, table: Any, first: int, read: Any
    ) -> dict[int, dict[int, float]]:
        """Objectives' values by place, or accuracies by epoch."""
        found: dict[int, dict[int, float]] = defaultdict(dict)
        names = [c.name for c in table.columns if c.name != "trial_id" and not c.primary_key]
        for trial_id, place, value, kind in connection.execute(
            self._of_trials(table, first, *names)
        ):
            found[trial_id][place] = read(value, kind)
        return found

    def _genes(self, connection: Connection, first: int) -> dict[int, dict[str, Any]]:
        found: dict[int, dict[str, Any]] = defaultdict(dict)
        known: dict[str, BaseDistribution] = {}
        names: dict[str, str] = {}
        query = self._of_trials(
            self.params, first, "param_name", "param_value", "distribution_json"
        ).order_by(self.params.c.param_id)
        for trial_id, name, value, text in connection.execute(query):
            one = known.get(text) or known.setdefault(text, json_to_distribution(text))
            found[trial_id][names.setdefault(name, name)] = (
                one.choices[int(value)]
                if isinstance(one, CategoricalDistribution)
                else one.to_external_repr(value)
            )
        return found

"""Trials in any storage, by Optuna's calls; in a journal file several calls are one write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from math import inf
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from studies.store.claims import Claim, Claimed
from studies.store.journal import JournalFileStorage
from studies.store.names import MARK
from studies.store.trial import Foreign, Trial, made_trial


class OptunaTrials:
    """The trials of one study (`Trials`), for one process at a time."""

    shared = False

    def __init__(self, storage: BaseStorage, study_id: int) -> None:
        self.storage, self.study_id = storage, study_id
        self._ids: dict[int, int] = {}

    @contextmanager
    def together(self) -> Iterator[None]:
        """Nothing: a trial's number is known once its creation is written."""
        yield

    def note_first(self, key: str, value: Any) -> None:
        """Notes something with the study."""
        self.storage.set_study_user_attr(self.study_id, key, value)

    def create(self, number: int, trial: FrozenTrial, claim: Claim) -> bool:
        """Writes a new running trial; False if it has not got this number."""
        if self.storage.get_n_trials(self.study_id) != number:
            return False
        trial_id = self.storage.create_new_trial(self.study_id, template_trial=trial)
        if self.storage.get_trial(trial_id).number != number:
            self.storage.set_trial_state_values(trial_id, TrialState.FAIL)
            return False
        self._ids[number] = trial_id
        return True

    def write(
        self,
        number: int,
        curve: Mapping[int, float],
        attrs: Mapping[str, Any],
        state: TrialState | None = None,
        values: Sequence[float] | None = None,
        claim: Claim | None = None,
    ) -> bool:
        """Adds to a running trial, or replaces; a state ends it."""
        storage, trial_id = self.storage, self._ids[number]
        with self._at_once():
            for epoch, accuracy in curve.items():
                storage.set_trial_intermediate_value(trial_id, epoch, accuracy)
            for name, value in attrs.items():
                storage.set_trial_user_attr(trial_id, name, value)
            if state is not None:
                storage.set_trial_state_values(trial_id, state, values)
        return True

    def beat(self, numbers: Sequence[int]) -> None:
        """Nobody asks."""

    def claims(self) -> list[Claimed]:
        """All running trials of this program, as nobody's."""
        running = self.storage.get_all_trials(
            self.study_id, deepcopy=False, states=(TrialState.RUNNING,)
        )
        return [
            Claimed(trial.number, None, inf)
            for trial in sorted(running, key=lambda trial: trial.number)
            if MARK in trial.user_attrs
        ]

    def take(self, number: int, before: Claim | None, claim: Claim) -> bool:
        """There is nobody else."""
        return True

    def begin_waiting(self, number: int, trial: FrozenTrial, claim: Claim) -> bool:
        """Makes a waiting trial a running one, with what `trial` has; False if it waits no more."""
        storage, trial_id = self.storage, self._ids[number]
        if storage.get_trial(trial_id).state != TrialState.WAITING:
            return False
        with self._at_once():
            for name, value in trial.params.items():
                kind = trial.distributions[name]
                storage.set_trial_param(trial_id, name, kind.to_internal_repr(value), kind)
            for name, value in trial.user_attrs.items():
                storage.set_trial_user_attr(trial_id, name, value)
            storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        return True

    def _at_once(self) -> AbstractContextManager[None]:
        """What is written within is one write of a journal file."""
        storage = self.storage
        return storage.file.together() if isinstance(storage, JournalFileStorage) else nullcontext()

    def read(self, first: int) -> list[Trial | Foreign]:
        """The trials from number `first` on, by number."""
        storage, found = self.storage, list[Trial | Foreign]()
        frozen = storage.get_all_trials(self.study_id, deepcopy=False)
        for trial in sorted(frozen, key=lambda trial: trial.number)[first:]:
            number = trial.number
            self._ids[number] = storage.get_trial_id_from_study_id_trial_number(
                self.study_id, number
            )
            values = tuple(trial.values) if trial.values is not None else None
            found.append(
                made_trial(
                    number, trial.state, values, trial.user_attrs, trial.intermediate_values,
                    trial.params, trial.system_attrs,
                )
            )  # fmt: skip
        return found

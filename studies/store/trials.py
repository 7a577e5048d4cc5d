"""What a store asks of a study's trials, however the storage keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from studies.store.calls import OptunaTrials
from studies.store.claims import Claim, Claimed
from studies.store.database.sql import SqlTrials
from studies.store.trial import Foreign, Trial


class Trials(Protocol):
    """The trials of one study, by number; a write that is done again writes nothing twice."""

    shared: bool
    """Whether several processes may write."""

    def together(self) -> AbstractContextManager[None]:
        """What is written within is one transaction, where the storage has any."""

    def note_first(self, key: str, value: Any) -> None:
        """Notes something with the study, unless somebody has noted it."""

    def create(self, number: int, trial: FrozenTrial, claim: Claim) -> bool:
        """Writes a new running trial; False if it would not have this number."""

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

    def beat(self, numbers: Sequence[int]) -> None:
        """Says that these trials are worked on."""

    def claims(self) -> list[Claimed]:
        """The claims on all running trials of this program."""

    def take(self, number: int, before: Claim | None, claim: Claim) -> bool:
        """Puts a claim in the place of another; False if somebody else was faster."""

    def begin_waiting(self, number: int, trial: FrozenTrial, claim: Claim) -> bool:
        """Makes a waiting trial a running one, with what `trial` has; False if it waits no more."""

    def read(self, first: int) -> list[Trial | Foreign]:
        """The trials from number `first` on, by number."""


def trials_in(storage: BaseStorage, study_id: int) -> Trials:
    """The trials of a study: as rows of SQLite and PostgreSQL, elsewhere through Optuna's calls.

    Raises:
        InputError: the installed Optuna keeps its tables in another way than those that are known.
    """
    return SqlTrials.of(storage, study_id) or OptunaTrials(storage, study_id)

"""Optuna studies in memory that hold what a decision may see, so that Optuna can decide on that.

Optuna's samplers and pruners read a study's storage as it happens to be, and remember things from
call to call. Here they are made anew for every decision, on a study that holds just the visible
trials: the decision becomes a function of its inputs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Self

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.architecture.genome import Genome
from nas.architecture.space import SearchSpace
from nas.strategies.problem import PastTrial

START = datetime(2000, 1, 1)


class _Shared(dict[str, Any]):
    """What copies of a trial have in common: nothing changes it, and views copy all their trials."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class _Gene(CategoricalDistribution):
    """A distribution that is compared with itself for every trial."""

    def __eq__(self, other: object) -> bool:
        return self is other or super().__eq__(other)

    __hash__ = CategoricalDistribution.__hash__


@lru_cache(maxsize=16)
def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The space's genes as the trials of a view have them."""
    return _Shared({gene.name: _Gene(gene.choices) for gene in space.genes})


@lru_cache(maxsize=10_000)
def _params_of(space: SearchSpace, genome: Genome) -> dict[str, Any]:
    return _Shared(space.params_of(genome))


class VisibleStudy:
    """A study in memory.

    Args:
        weights: of every objective, 1 if it is maximised, -1 if it is minimised.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        self.storage = InMemoryStorage()
        directions = [
            StudyDirection.MAXIMIZE if w > 0 else StudyDirection.MINIMIZE for w in weights
        ]
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces new studies
        self.study_id = self.storage.create_new_study(directions, "view")
        optuna.logging.set_verbosity(verbosity)
        self.study = optuna.load_study(study_name="view", storage=self.storage)

    def add(self, record: PastTrial, space: SearchSpace | None = None) -> None:
        """Adds a record as a trial; one without values is running (a failed one tells nothing).

        Args:
            space: its genes become parameters; None leaves them out.
        """
        state = TrialState.RUNNING
        if record.values is not None:
            state = TrialState.PRUNED if record.pruned else TrialState.COMPLETE
        finished = state.is_finished()
        trial = FrozenTrial(
            number=-1,
            state=state,
            value=None,
            values=None if record.values is None else list(record.values),
            datetime_start=START,
            datetime_complete=START if finished else None,
            params=_params_of(space, record.genome) if space else {},
            distributions=distributions(space) if space else {},
            user_attrs={},
            system_attrs={**record.memory, **record.judged} if finished else {},
            intermediate_values=dict(record.curve) if finished else {},
            trial_id=-1,
        )
        self.storage.create_new_trial(self.study_id, template_trial=trial)

    def begin(self) -> int:
        """The id of a new running trial."""
        return self.storage.create_new_trial(self.study_id)

    def trial(self, trial_id: int) -> FrozenTrial:
        """A trial as it is now."""
        return self.storage.get_trial(trial_id)


def seed_of(seed: int, k: int, draw: int = 0) -> int:
    """The seed of the decision about trial k, or of a further draw for it."""
    text = f"{seed}/{k}/{draw}" if draw else f"{seed}/{k}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")

"""What is known here of a study: its trials, who evaluates them, and what a decision may see of them.

Proposal k sees all proposals before k and the results before k - lag, whoever evaluated them and
whenever; pruning of k sees those results and k's own curve. That holds here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

from nas.architecture.genome import Genome
from nas.evaluation.inheritance import Ancestor
from nas.evaluation.result import Evaluation, failed
from nas.strategies.history import History
from nas.strategies.problem import PastTrial, Proposal
from studies.search.given import given_patterns
from studies.search.settings import SearchSettings
from studies.store.names import JUDGED
from studies.store.store import Store
from studies.store.trial import Trial

CLAIMS = 10
"""Searches that may end, other than by a word, while a trial runs: then it is taken for the cause."""


@dataclass
class Running:
    """A trial that a worker of this process has."""

    genome: Genome
    curve: dict[int, float] = field(default_factory=dict)
    """Accuracy by epoch, so far."""
    kept: dict[str, Any] = field(default_factory=dict)
    """What its pruner keeps with it."""


class Records:
    """The trials of a study that this process has joined.

    Args:
        on_other: told of every trial that another process has finished, and whether it is the most
            accurate so far.
    """

    def __init__(
        self, settings: SearchSettings, store: Store, on_other: Callable[[Trial, bool], None]
    ) -> None:
        self.settings, self.store, self.on_other = settings, store, on_other
        self.problem = settings.problem()
        self.patterns = given_patterns(settings)
        self.past: list[PastTrial] = []
        """By number, without gaps."""
        self.running: dict[int, Running] = {}
        self.elsewhere: set[int] = set()
        """Numbers of the trials that other processes evaluate."""
        self.waiting: list[int] = []
        """Numbers of the trials that were taken over, in order, and wait for a worker."""
        self._shown = History(self.problem.weights)
        self._first_parents: dict[int, int] = {}
        self._complete = 0
        self._best = -inf

    def __len__(self) -> int:
        return len(self.past)

    def role(self, genome: Genome) -> str:
        """The name of a given pattern, or nothing."""
        return next((name for name, made in self.patterns.items() if made == genome), "")

    def visible(self, k: int) -> bool:
        """Whether all results that proposal k may see are there."""
        while self._complete < len(self.past) and not self._under_way(self._complete):
            self._complete += 1
        return self._complete >= k - self.settings.lag

    def seen(self, k: int) -> list[PastTrial]:
        """The trials whose results proposal k and its pruning may see."""
        return self.past[: max(0, k - self.settings.lag)]

    def history(self, k: int) -> History:
        """What proposal k may see."""
        shown = self._shown
        shown.propose(trial.hidden for trial in self.past[len(shown) : k])
        shown.reveal(self.past[shown.revealed : max(0, k - self.settings.lag)])
        return shown

    def awaited(self, evaluations: int) -> bool:
        """Whether trials of the budget are still to be evaluated, here or elsewhere."""
        return any(number < evaluations for number in {*self.waiting, *self.elsewhere})

    def ancestors(self, number: int) -> tuple[Ancestor, ...]:
        """The first parents of a trial, the eldest first."""
        found: list[Ancestor] = []
        while (parent := self._first_parents.get(number)) is not None:
            found.append(Ancestor(parent, self.past[parent].genome))
            number = parent
        return tuple(reversed(found))

    def follow(self, tell: bool = True) -> bool:
        """Takes up what is recorded and was not known here.

        Returns:
            Whether numbers are taken that were free.
        """
        seen = len(self.past)
        first = min(self.elsewhere, default=seen)
        for trial in self.store.trials()[first:]:
            number, finished = trial.number, trial.state.is_finished()
            if number < seen and not (number in self.elsewhere and finished):
                continue
            past = self._replayed(trial)
            if number < seen:
                self.past[number] = past
                self.elsewhere.discard(number)
            else:
                self.past.append(past)
                self._note_parents(number, trial.attrs.get("parents") or ())
                if not finished:
                    self.elsewhere.add(number)
            best = self._remember(past, trial.attrs.get("accuracy"), trial.ok)
            if finished and tell:
                self.on_other(trial, best)
        return len(self.past) > seen

    def take_lost(self) -> bool:
        """Takes over the trials of processes that are gone, and what they have recorded.

        Returns:
            Whether numbers are taken that were free.
        """
        taken = self.store.take_lost()
        followed = self.follow()
        for trial, times in taken:
            if times > CLAIMS:
                why = f"{times - 1} searches ended while it ran"
                self.store.finish(trial.number, self.failed(trial.genome, why), ())
            else:
                self.elsewhere.discard(trial.number)
                self.waiting = sorted([*self.waiting, trial.number])
        return followed

    def give_back(self) -> None:
        """Leaves to others what was taken over and not begun."""
        self.store.give_back(self.waiting)
        self.elsewhere |= set(self.waiting)
        self.waiting = []

    def add(self, proposal: Proposal) -> int:
        """The number of a proposal that was recorded as the study's next trial."""
        number = len(self.past)
        self._note_parents(number, proposal.parents)
        self.past.append(
            PastTrial(
                number, proposal.genome, None, proposal.admitted, False, memory=proposal.memory
            )
        )
        return number

    def begin(self, number: int) -> Genome:
        """The genome of a trial that a worker gets now."""
        self.running[number] = Running(self.past[number].genome)
        return self.running[number].genome

    def finish(
        self, number: int, evaluation: Evaluation, values: tuple[float, ...]
    ) -> tuple[Genome, bool] | None:
        """Records a result: its genome, and whether it is the most accurate so far.

        None if another process has the trial.
        """
        run = self.running.pop(number)
        if not self.store.finish(number, evaluation, values):
            self.elsewhere.add(number)
            return None
        known = None if evaluation.status == "failed" else values
        self.past[number] = with_results(
            self.past[number], known, evaluation.status, run.curve, run.kept
        )
        ok = evaluation.status == "ok"
        return run.genome, self._remember(self.past[number], evaluation.accuracy, ok)

    def failed(self, genome: Genome, why: str, status: str = "failed") -> Evaluation:
        """The evaluation of a candidate that has none."""
        return failed(genome, self.settings.space.skeleton, self.settings.seed, why, status)

    def _under_way(self, number: int) -> bool:
        return number in self.running or number in self.elsewhere or number in self.waiting

    def _replayed(self, trial: Trial) -> PastTrial:
        space = self.settings.space
        inside = trial.genome in space and self.settings.limits.admit(trial.genome, space)
        past = PastTrial(trial.number, trial.genome, None, inside, False, memory=trial.memory)
        status = trial.attrs.get("status", "") if trial.state.is_finished() else ""
        return with_results(past, trial.values, status, trial.curve, trial.attrs.get(JUDGED))

    def _note_parents(self, number: int, parents: Sequence[int]) -> None:
        if parents:
            self._first_parents[number] = parents[0]

    def _remember(self, trial: PastTrial, accuracy: float | None, ok: bool) -> bool:
        """Keeps the best accuracy that the search found; True where this is it."""
        if not ok or accuracy is None or accuracy <= self._best:
            return False
        if self.role(trial.genome) or not trial.inside:
            return False
        self._best = accuracy
        return True


def with_results(
    trial: PastTrial,
    values: tuple[float, ...] | None,
    status: str,
    curve: Mapping[int, float] | None,
    judged: Mapping[str, Any] | None,
) -> PastTrial:
    """A trial as later proposals see it."""
    if status in ("out of memory", "failed"):  # how far it came is chance
        curve = judged = None
    return replace(
        trial, values=values, parent=trial.inside and status == "ok", curve=curve or {},
        pruned=status == "pruned", judged=judged or {},
    )  # fmt: skip

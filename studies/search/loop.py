"""The search loop: propose, evaluate, record; resuming is replaying.

Proposal k sees all proposals before k and the results before k - lag, whoever evaluated them and
whenever, so the trials do not depend on the number of workers, on interruptions, or on how many
processes work on the study: whoever comes to number k first makes the same proposal as all others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from nas.architecture.genome import Genome
from nas.architecture.plan import plan
from nas.evaluation.inheritance import Ancestor
from nas.evaluation.jobs import Epoch, EvaluationJob
from nas.evaluation.result import Evaluation, failed
from nas.predictors.zero_cost import score
from nas.strategies.history import History
from nas.strategies.problem import Exhausted, PastTrial, Proposal
from nas.strategies.propose import propose
from nas.workers.protocol import Finished, Pool
from studies.samplers.pruners import judge
from studies.samplers.strategies import SAMPLERS, sample
from studies.search.given import given_patterns
from studies.search.objectives import OBJECTIVES
from studies.search.screen import screened
from studies.search.settings import SearchSettings
from studies.store.claims import POLL_SECONDS
from studies.store.store import JUDGED, Store
from studies.store.trial import Trial

CLAIMS = 10
"""Searches that may end, other than by a word, while a trial runs: then it is taken for the cause."""


@dataclass(frozen=True)
class Event:
    """One finished trial, for who watches."""

    number: int
    genome: Genome
    evaluation: Evaluation
    values: tuple[float, ...]
    role: str
    """A given pattern's name, or empty."""
    best: bool
    """Whether it is the most accurate that the search found so far."""


@dataclass(frozen=True)
class Outcome:
    """How a search ended: budget, clock, exhausted or interrupted."""

    reason: str
    why: str
    trials: int


class Search:
    """One search in a study that this process has joined."""

    def __init__(
        self,
        settings: SearchSettings,
        store: Store,
        workers: Pool,
        on_event: Callable[[Event], None] = lambda event: None,
        on_other: Callable[[Trial, bool], None] = lambda trial, best: None,
    ) -> None:
        self.settings, self.store, self.workers = settings, store, workers
        self.on_event, self.on_other = on_event, on_other
        self.patterns = given_patterns(settings)
        self.records: list[PastTrial] = []
        self.history = History(settings.problem().weights)
        self.running: dict[int, Genome] = {}
        self.elsewhere: set[int] = set()
        """Numbers of the trials that other processes evaluate."""
        self.waiting: list[int] = []
        """Numbers of the trials that were taken over, in order, and wait for a worker."""
        self._polled = 0.0
        self._curves: dict[int, dict[int, float]] = {}
        self._kept: dict[int, dict[str, Any]] = {}
        self._first_parents: dict[int, int] = {}
        self._proposed: tuple[Proposal, dict[str, Any]] | None = None
        self._complete = 0
        self._best = -1.0

    def run(
        self,
        evaluations: int,
        max_seconds: float | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Outcome:
        """Continues until the study has `evaluations` results, the clock ends or nothing is left.

        Args:
            max_seconds: proposals end then; what is being evaluated is finished.
            stop: asked again and again; proposals end when it is true.
        """
        deadline = time.monotonic() + max_seconds if max_seconds is not None else None
        self._follow()
        ended: Outcome | None = None
        while True:
            late = stop() or (deadline is not None and time.monotonic() >= deadline)
            if not late:
                self._look()
                ended = self._begin(evaluations, ended)
            if not self.running and (late or not self._awaited(evaluations)):
                break
            self.store.renew()
            for report in self.workers.reports(timeout=POLL_SECONDS if self.elsewhere else 5):
                if isinstance(report, Epoch):
                    self._epoch(report)
                else:
                    late = stop() or (deadline is not None and time.monotonic() >= deadline)
                    self._record_end(report, begin=not late)
        done = len(self.records) >= evaluations and not self._awaited(evaluations)
        self._leave()
        if ended and not late:
            return ended
        reason = "budget" if done else "interrupted" if stop() else "clock"
        return Outcome(reason, "", len(self.records))

    def _begin(self, evaluations: int, ended: Outcome | None) -> Outcome | None:
        """Gives idle workers what was taken over, then what is proposed; says if nothing is left."""
        while self.workers.idle and self.waiting and self._visible(self.waiting[0]):
            number = self.waiting.pop(0)
            self._submit(number, self.records[number].genome)
        while not (self.waiting or ended) and self._next(evaluations):
            try:
                self._prepare(len(self.records))
            except Exhausted as error:
                return Outcome("exhausted", str(error), len(self.records))
            if not self.workers.idle:
                break
            if not self._start():
                self._follow()
        return ended

    def _leave(self) -> None:
        """Gives back what was taken over and not begun."""
        self.store.give_back(self.waiting)
        self.elsewhere |= set(self.waiting)
        self.waiting = []

    def _next(self, evaluations: int) -> bool:
        """Whether there is another trial to start, whose proposal can see all that it is to see."""
        k = len(self.records)
        return k < evaluations and (self._proposed is not None or self._visible(k))

    def _awaited(self, evaluations: int) -> bool:
        """Whether trials of the budget are still to be evaluated, here or elsewhere."""
        return any(number < evaluations for number in {*self.waiting, *self.elsewhere})

    def _look(self) -> None:
        """Now and then: what others have done, and their trials to evaluate if they are gone."""
        if self._polled and not self.elsewhere:
            return
        if time.monotonic() - self._polled < POLL_SECONDS:
            return
        self._polled = time.monotonic()
        taken = self.store.take_lost()
        self._follow()
        for trial, times in taken:
            if times > CLAIMS:
                self._give_up(trial, times)
            else:
                self.elsewhere.discard(trial.number)
                self.waiting = sorted([*self.waiting, trial.number])

    def _give_up(self, trial: Trial, times: int) -> None:
        """Records a trial as failed that no process has survived."""
        skeleton, seed = self.settings.space.skeleton, self.settings.seed
        why = f"{times - 1} searches ended while it ran"
        self.store.finish(trial.number, failed(trial.genome, skeleton, seed, why), ())

    def _follow(self) -> None:
        """Takes up what is recorded and was not known here."""
        seen = len(self.records)
        first = min(self.elsewhere, default=seen)
        for trial in self.store.trials()[first:]:
            number, finished = trial.number, trial.state.is_finished()
            if number < seen and not (number in self.elsewhere and finished):
                continue
            record = self._replayed(trial)
            if number < seen:
                self.records[number] = record
                self.elsewhere.discard(number)
            else:
                self._proposed = None  # this number is taken
                self.records.append(record)
                self._note_parents(number, trial.attrs.get("parents") or ())
                if not finished:
                    self.elsewhere.add(number)
            best = self._remember(trial.genome, trial.attrs.get("accuracy"), trial.ok)
            if finished and self._polled:
                self.on_other(trial, best)

    def _replayed(self, trial: Trial) -> PastTrial:
        status = trial.attrs.get("status", "") if trial.state.is_finished() else ""
        return self._record(
            trial.number, trial.genome, trial.values, status, trial.curve, trial.memory,
            trial.attrs.get(JUDGED),
        )  # fmt: skip

    def _visible(self, k: int) -> bool:
        """Whether all results that proposal k may see are there."""
        while self._complete < len(self.records) and self._ended(self._complete):
            self._complete += 1
        return self._complete >= k - self.settings.lag

    def _ended(self, number: int) -> bool:
        return not (number in self.running or number in self.elsewhere or number in self.waiting)

    def _prepare(self, k: int) -> None:
        """Proposes trial k, ahead of the worker that is to evaluate it.

        All results that it sees are recorded by then, so what is kept follows from what is kept.
        """
        if self._proposed is None:
            self._proposed = self._proposal(k)

    def _start(self) -> bool:
        """Records the proposal and gives it to an idle worker, unless another process was faster."""
        assert self._proposed is not None
        k, (proposal, more) = len(self.records), self._proposed
        self._proposed = None
        planned = plan(proposal.genome, self.settings.space.skeleton)
        attrs = {
            "parents": list(proposal.parents),
            "duplicates": proposal.duplicates,
            "strategy": self.settings.strategy,
            "params": planned.params,
            "macs": planned.macs,
            "seed": self.settings.seed,
            "role": self.role(proposal.genome),
            **more,
        }
        if self.settings.inherit and proposal.parents:
            attrs["inherited_from"] = proposal.parents[0]
        if not self.store.add(k, proposal.genome, self.settings.space, attrs, proposal.memory):
            return False
        self._note_parents(k, proposal.parents)
        self.records.append(self._record(k, proposal.genome, memory=proposal.memory))
        self._submit(k, proposal.genome)
        return True

    def _proposal(self, k: int) -> tuple[Proposal, dict[str, Any]]:
        """Candidate k, and what its screening adds to the trial's attributes."""
        settings, first = self.settings, list(self.patterns.values())
        given = first[k] if k < len(first) else None
        seen = self._history(k)

        def draw(drawn: Set[str] = frozenset()) -> Proposal:
            asked = settings.strategy, settings.problem(), seen, k, settings.seed
            if settings.strategy in SAMPLERS:
                return sample(*asked, given, drawn)
            return Proposal(given) if given else propose(*asked, drawn)

        if given or not settings.screen:
            return draw(), {}
        return screened(settings.screen, draw, self._score)

    def _score(self, genome: Genome) -> float:
        """The screen's score: on the CPU, so that a proposal is the same on every device."""
        settings, space = self.settings, self.settings.space
        assert settings.screen
        self.store.renew()
        return score(
            genome, space.skeleton, space.proxy, settings.seed, settings.data,
            settings.screen.score, "cpu",
        )  # fmt: skip

    def _history(self, k: int) -> History:
        """What proposal k may see."""
        history = self.history
        history.propose(record.hidden for record in self.records[len(history) : k])
        history.reveal(self.records[history.revealed : max(0, k - self.settings.lag)])
        return history

    def _seen(self, k: int) -> list[PastTrial]:
        """The records whose results proposal k and its pruning may see."""
        return self.records[: max(0, k - self.settings.lag)]

    def role(self, genome: Genome) -> str:
        """The name of a given pattern, or nothing."""
        return next((name for name, made in self.patterns.items() if made == genome), "")

    def _submit(self, number: int, genome: Genome) -> None:
        self.running[number] = genome
        self._curves[number], self._kept[number] = {}, {}
        settings = self.settings
        job = EvaluationJob(
            number, genome, settings.space.proxy, settings.seed,
            ask=settings.pruner != "none", latencies=settings.latencies,
            ancestors=self._ancestors(number) if settings.inherit else None,
        )  # fmt: skip
        self.workers.submit(job)

    def _note_parents(self, number: int, parents: Sequence[int]) -> None:
        if parents:
            self._first_parents[number] = parents[0]

    def _ancestors(self, number: int) -> tuple[Ancestor, ...]:
        """The first parents of a trial, the eldest first."""
        found: list[Ancestor] = []
        while (parent := self._first_parents.get(number)) is not None:
            found.append(Ancestor(parent, self.records[parent].genome))
            number = parent
        return tuple(reversed(found))

    def _epoch(self, report: Epoch) -> None:
        """Records an epoch's accuracy and answers whether the candidate is pruned."""
        settings, number = self.settings, report.number
        if len(settings.objectives) > 1:
            return
        if report.epoch == 1:  # a training that was lost with its process begins anew
            self._curves[number], self._kept[number] = {}, {}
        self._curves[number][report.epoch] = report.accuracy
        self.store.report(number, report.epoch, report.accuracy)
        if settings.pruner == "none":
            return
        stop, kept = judge(
            settings.pruner, settings.space.proxy.epochs, self._seen(number), number,
            self._curves[number], self._kept[number],
        )  # fmt: skip
        self.store.judge(number, kept)
        self._kept[number] = kept
        self.workers.answer(number, stop and not self.role(self.running[number]))

    def _failed(self, report: Finished) -> Evaluation:
        skeleton, seed = self.settings.space.skeleton, self.settings.seed
        status = "out of memory" if report.full else "failed"
        return failed(self.running[report.number], skeleton, seed, report.why, status)

    def _record_end(self, report: Finished, begin: bool) -> None:
        """Gives the worker the next proposal, then records both it and the result at once."""
        behind = False
        with self.store.together():
            if begin and self._proposed:
                behind = not self._start()
            event = self._finish(report.number, report.result or self._failed(report))
        if event:
            self.on_event(event)
        if behind:
            self._follow()

    def _finish(self, number: int, evaluation: Evaluation) -> Event | None:
        """Records a result; None if another process has the trial."""
        genome = self.running.pop(number)
        values = tuple(OBJECTIVES[name].value(evaluation) for name in self.settings.objectives)
        ok = evaluation.status == "ok"
        curve, kept = self._curves.pop(number), self._kept.pop(number)
        if not self.store.finish(number, evaluation, values):
            self.elsewhere.add(number)
            return None
        known = None if evaluation.status == "failed" else values
        self.records[number] = self._record(
            number, genome, known, evaluation.status, curve, self.records[number].memory, kept
        )
        best = self._remember(genome, evaluation.accuracy, ok)
        return Event(number, genome, evaluation, values, self.role(genome), best)

    def _remember(self, genome: Genome, accuracy: float | None, ok: bool) -> bool:
        """Keeps the best accuracy that the search found; True where this is it."""
        if not ok or accuracy is None or accuracy <= self._best:
            return False
        if self.role(genome) or not self._inside(genome):
            return False
        self._best = accuracy
        return True

    def _inside(self, genome: Genome) -> bool:
        space = self.settings.space
        return genome in space and self.settings.limits.admit(genome, space)

    def _record(
        self,
        number: int,
        genome: Genome,
        values: tuple[float, ...] | None = None,
        status: str = "",
        curve: Mapping[int, float] | None = None,
        memory: Mapping[str, Any] | None = None,
        judged: Mapping[str, Any] | None = None,
    ) -> PastTrial:
        inside = self._inside(genome)
        if status in ("out of memory", "failed"):  # how far it came is chance
            curve = judged = None
        parent, pruned = inside and status == "ok", status == "pruned"
        return PastTrial(
            number, genome, values, inside, parent, curve or {}, pruned, memory or {}, judged or {}
        )

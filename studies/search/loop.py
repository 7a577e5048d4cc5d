"""The search loop: propose, evaluate, record; resuming is replaying.

What a proposal sees does not depend on who evaluated what, or when (`records`), so the trials do not
depend on the number of workers, on interruptions, or on how many processes work on the study: whoever
comes to number k first makes the same proposal as all others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from nas.architecture.genome import Genome
from nas.evaluation.jobs import Epoch, EvaluationJob
from nas.evaluation.result import Evaluation
from nas.predictors.zero_cost import score
from nas.strategies.problem import Exhausted, PastTrial, Problem, Proposal
from nas.workers.protocol import Finished, Pool
from studies.samplers.pruners import judge
from studies.samplers.strategies import propose
from studies.search.objectives import OBJECTIVES
from studies.search.records import Records
from studies.search.request import SearchRequest
from studies.search.screen import screened
from studies.search.settings import SearchSettings
from studies.store.claims import POLL_SECONDS
from studies.store.store import Store
from studies.store.trial import Trial


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
    """How a search ended: budget, target, patience, clock, exhausted or interrupted."""

    reason: str
    why: str
    trials: int


def without_gain(trials: Sequence[PastTrial], problem: Problem) -> int:
    """How many of the last trials gained nothing: an earlier one is as good in every objective."""
    front: list[tuple[float, ...]] = []
    since = 0
    for trial in trials:
        since += 1
        if trial.values is None or trial.pruned:
            continue
        scores = tuple(w * v for w, v in zip(problem.weights, trial.values, strict=True))
        if any(all(a >= b for a, b in zip(one, scores, strict=True)) for one in front):
            continue
        front = [one for one in front if any(a > b for a, b in zip(one, scores, strict=True))]
        front.append(scores)
        since = 0
    return since


def at_target(trials: Sequence[PastTrial], problem: Problem, target: float) -> PastTrial | None:
    """The first candidate that is as good as a target in the first objective, if one is."""
    sign = problem.weights[0]
    return next(
        (t for t in trials if t.parent and t.values and sign * t.values[0] >= sign * target), None
    )


class Search:
    """One search in a study that this process has joined."""

    def __init__(
        self,
        settings: SearchSettings,
        store: Store,
        workers: Pool,
        on_event: Callable[[Event], None] = lambda event: None,
        on_other: Callable[[Trial, bool], None] = lambda trial, best: None,
        on_skipped: Callable[[str], None] = lambda why: None,
    ) -> None:
        self.settings, self.store, self.workers = settings, store, workers
        self.on_event = on_event
        self.records = Records(settings, store, on_other, on_skipped)
        self._polled = 0.0
        self._proposed: tuple[Proposal, dict[str, Any]] | None = None

    def run(self, goal: SearchRequest, stop: Callable[[], bool] = lambda: False) -> Outcome:
        """Continues until the study has come to its goal, the clock ends or nothing is left.

        Args:
            stop: asked again and again; proposals end when it is true.
        """
        deadline = time.monotonic() + goal.max_seconds if goal.max_seconds is not None else None
        records, evaluations = self.records, goal.evaluations
        self.follow(tell=False)
        ended: Outcome | None = None
        while True:
            late = stop() or (deadline is not None and time.monotonic() >= deadline)
            if not late:
                self.look()
                ended = self.begin(goal, ended)
            if not records.running and (late or not records.awaited(evaluations)):
                if late or not self.follow():  # another program may have enqueued a pattern
                    break
                continue
            self.store.renew()
            for report in self.workers.reports(timeout=POLL_SECONDS if records.elsewhere else 5):
                if isinstance(report, Epoch):
                    self.epoch(report)
                else:
                    late = stop() or (deadline is not None and time.monotonic() >= deadline)
                    self.end(report, begin=not late)
        done = records.count >= evaluations and not records.awaited(evaluations)
        records.give_back()
        if ended and not late:
            return ended
        reason = "budget" if done else "interrupted" if stop() else "clock"
        return Outcome(reason, "", records.count)

    def begin(self, goal: SearchRequest, ended: Outcome | None) -> Outcome | None:
        """Gives idle workers what was taken over, then what is proposed; says if nothing is left."""
        records = self.records
        while self.workers.idle and records.waiting and records.visible(records.waiting[0]):
            self._submit(records.waiting.pop(0))
        while not (records.waiting or ended) and self._next(goal.evaluations):
            if reached := self._reached(goal):
                return reached
            try:
                self._prepare(len(records))
            except Exhausted as error:
                return Outcome("exhausted", str(error), records.count)
            if not self.workers.idle:
                break
            if not self._start():
                self.follow()
        return ended

    def _reached(self, goal: SearchRequest) -> Outcome | None:
        """The end of a search that has come to its target, or gains nothing any more.

        It sees what the next proposal sees, so a search ends at the same trial whoever evaluates.
        """
        records = self.records
        if goal.target is None and not goal.patience:
            return None
        seen = records.known.seen(len(records))
        if goal.target is not None:
            own = [trial for trial in seen if not records.role(trial.number)]
            found = at_target(own, records.problem, goal.target)
            if found is not None and found.values:
                score = OBJECTIVES[self.settings.objectives[0]].show(found.values[0])
                why = f"trial {found.number} has {score} (--target {goal.target:g})"
                return Outcome("target", why, records.count)
        if goal.patience and (since := without_gain(seen, records.problem)) >= goal.patience:
            why = f"{since} evaluations without a better one (--patience {goal.patience})"
            return Outcome("patience", why, records.count)
        return None

    def _next(self, evaluations: int) -> bool:
        """Whether there is another trial to start, whose proposal can see all that it is to see."""
        if self.records.count >= evaluations:
            return False
        return self._proposed is not None or self.records.visible(len(self.records))

    def look(self) -> None:
        """Now and then: what others have done, and their trials to evaluate if they are gone."""
        if self._polled and not self.records.elsewhere:
            return
        if time.monotonic() - self._polled < POLL_SECONDS:
            return
        self._polled = time.monotonic()
        if self.records.take_lost():
            self._proposed = None

    def follow(self, tell: bool = True) -> bool:
        """Takes up what others have done; whether numbers are taken that were free."""
        taken = self.records.follow(tell)
        if taken:
            self._proposed = None  # its number is one of them
        return taken

    def _prepare(self, k: int) -> None:
        """Proposes trial k, ahead of the worker that is to evaluate it.

        All results that it sees are recorded by then, so what is kept follows from what is kept.
        """
        if self._proposed is None:
            proposal, more = self._proposal(k)
            parents = tuple(number for number in proposal.parents if number >= 0)  # none imported
            proposal = self.records.problem.assess(replace(proposal, parents=parents))
            self._proposed = proposal, more

    def _start(self) -> bool:
        """Records the proposal and gives it to an idle worker, unless another process was faster."""
        assert self._proposed is not None
        proposal, more = self._proposed
        self._proposed = None
        number = self.records.start(proposal, more)
        if number is None:
            return False
        self._submit(number)
        return True

    def _proposal(self, k: int) -> tuple[Proposal, dict[str, Any]]:
        """Candidate k, and what its screening adds to the trial's attributes."""
        settings, given = self.settings, self.records.due()
        seen = self.records.known.history(k)

        def draw(drawn: Set[str] = frozenset()) -> Proposal:
            return propose(
                settings.strategy, self.records.problem, seen, k, settings.seed, drawn, given
            )

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

    def _submit(self, number: int) -> None:
        settings = self.settings
        job = EvaluationJob(
            number, self.records.begin(number), settings.space.proxy, settings.seed,
            ask=settings.pruner != "none", latencies=settings.latencies,
            ancestors=self.records.ancestors(number) if settings.inherit else None,
        )  # fmt: skip
        self.workers.submit(job)

    def epoch(self, report: Epoch) -> None:
        """Records an epoch's accuracy and answers whether the candidate is pruned."""
        settings, number = self.settings, report.number
        if len(settings.objectives) > 1:
            return
        run = self.records.running[number]
        if report.epoch == 1:  # a training that was lost with its process begins anew
            run.curve, run.kept = {}, {}
        run.curve[report.epoch] = report.accuracy
        self.store.report(number, report.epoch, report.accuracy)
        if settings.pruner == "none":
            return
        stop, run.kept = judge(
            settings.pruner, settings.space.proxy.epochs, self.records.known.seen(number), number,
            run.curve, run.kept, settings.sign,
        )  # fmt: skip
        self.store.judge(number, run.kept)
        self.workers.answer(number, stop and not self.records.role(number))

    def end(self, report: Finished, begin: bool) -> None:
        """Gives the worker the next proposal, then records both it and the result at once."""
        behind = False
        with self.store.together():
            if begin and self._proposed:
                behind = not self._start()
            event = self._finish(report)
        if event:
            self.on_event(event)
        if behind:
            self.follow()

    def _finish(self, report: Finished) -> Event | None:
        """Records a result; None if another process has the trial."""
        number, records = report.number, self.records
        evaluation = report.result or records.failed(
            records.running[number].genome, report.why,
            "out of memory" if report.full else "failed",
        )  # fmt: skip
        values = tuple(OBJECTIVES[name].value(evaluation) for name in self.settings.objectives)
        finished = records.finish(number, evaluation, values)
        if finished is None:
            return None
        genome, best = finished
        return Event(number, genome, evaluation, values, records.role(number), best)

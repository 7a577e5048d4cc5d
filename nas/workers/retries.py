"""Jobs that wait for a task of a cluster, and what becomes of those that a task has lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nas.workers.protocol import Died, Finished, Job, Pack

NODE_LOSSES = 10
"""Nodes that may die under a job before it has failed: that says little about the job."""


@dataclass(frozen=True)
class Batch:
    """Jobs that one task gets."""

    jobs: tuple[Job, ...]
    alone: bool = False
    """Whether no other task may run beside it."""

    @property
    def numbers(self) -> list[int]:
        return [job.number for job in self.jobs]

    @property
    def job(self) -> Job:
        """What a task gets: the job, or a Pack of several."""
        return self.jobs[0] if len(self.jobs) == 1 else Pack(self.jobs)


class Backlog:
    """The waiting jobs, in order; those to be tried again come first.

    Args:
        pack: jobs that a task may get at once.
        crowded: whether a result says that memory ended, so that the job is to run again alone.
    """

    def __init__(self, pack: int, crowded: Callable[[Any], bool]) -> None:
        self._pack, self._crowded = pack, crowded
        self._jobs: list[Job] = []
        self._single: set[int] = set()
        self._alone: set[int] = set()
        self._deaths: Counter[int] = Counter()
        self._losses: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, job: Job) -> None:
        """Puts a job at the end."""
        self._jobs.append(job)

    def deal(self, running: Sequence[Batch], free: int) -> Batch | None:
        """The jobs for the next task, in even packs; None if they have to wait.

        Args:
            running: what other tasks have.
            free: tasks that may be started, this one included.
        """
        if not self._jobs or not free or any(batch.alone for batch in running):
            return None
        alone = self._jobs[0].number in self._alone
        if alone and running:
            return None
        size = min(self._pack, -(-len(self._jobs) // free))
        if any(job.number in self._single | self._alone for job in self._jobs[:size]):
            size = 1
        some, self._jobs = self._jobs[:size], self._jobs[size:]
        return Batch(tuple(some), alone)

    def finished(self, batch: Batch, report: Finished) -> list[Finished]:
        """The results of a batch that stand; jobs without one wait again."""
        if report.result is None and len(batch.jobs) > 1:
            return self._one_by_one(batch)
        if len(batch.jobs) == 1:
            found = [report]
        else:
            pairs = zip(batch.jobs, report.result, strict=True)
            found = [Finished(job.number, result) for job, result in pairs]
        stand = [one for one in found if batch.alone or not self._full(one)]
        self._forget(one.number for one in stand)
        again = set(batch.numbers) - {one.number for one in stand}
        self._alone |= again
        self._jobs = [*(job for job in batch.jobs if job.number in again), *self._jobs]
        return stand

    def died(self, batch: Batch, death: Died) -> list[Finished]:
        """Gives jobs whose process has died another try, the last of them alone, or gives them up."""
        if len(batch.jobs) > 1:
            return self._one_by_one(batch)
        number, tries = batch.numbers[0], TRIES - death.late
        self._deaths[number] += 1
        if self._deaths[number] >= tries:
            self._forget([number])
            why = f"its process ended {tries} times, the last time {death.why}"
            return [Finished(number, None, why, death.full)]
        if death.full or self._deaths[number] == tries - 1:
            self._alone.add(number)
        self._jobs = [*batch.jobs, *self._jobs]
        return []

    def lost(self, batch: Batch) -> list[Finished]:
        """Lets jobs whose node has died run again, unless too many nodes did."""
        self._losses.update(batch.numbers)
        again = [job for job in batch.jobs if self._losses[job.number] < NODE_LOSSES]
        self._jobs = [*again, *self._jobs]
        lost = [job.number for job in batch.jobs if job not in again]
        self._forget(lost)
        return [Finished(number, None, f"its node died {NODE_LOSSES} times") for number in lost]

    def _forget(self, numbers: Iterable[int]) -> None:
        """Jobs to come may have the same numbers."""
        for number in numbers:
            del self._deaths[number], self._losses[number]
            self._alone.discard(number)
            self._single.discard(number)

    def _full(self, report: Finished) -> bool:
        return report.full or (report.result is not None and self._crowded(report.result))

    def _one_by_one(self, batch: Batch) -> list[Finished]:
        self._single |= set(batch.numbers)
        self._jobs = [*batch.jobs, *self._jobs]
        return []


TRIES = 3
"""Processes that a job may lose; of those that took too long, one less."""

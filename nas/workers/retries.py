"""Jobs that wait for a process, and what becomes of those whose process died: the policy of all pools.

A job whose process dies is tried again, in the end alone; a pack is tried again job by job. A job
for which memory was too small is tried once more, alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nas.workers.protocol import Died, Finished, Job, Pack

NODE_LOSSES = 10
"""Nodes that may die under a job before it has failed: that says little about the job."""


@dataclass(frozen=True)
class Handout:
    """Jobs that one process gets at once."""

    jobs: tuple[Job, ...]
    alone: bool = False
    """Whether no other job may run beside it."""

    @property
    def numbers(self) -> list[int]:
        return [job.number for job in self.jobs]

    @property
    def job(self) -> Job:
        """What the task is called with: the job, or a Pack of several."""
        return self.jobs[0] if len(self.jobs) == 1 else Pack(self.jobs)


class Backlog:
    """The waiting jobs, in order; those to be tried again come first.

    Args:
        pack: jobs that a process may get at once.
        crowded: whether a result says that memory ended, so that the job is to run again alone.
    """

    def __init__(self, pack: int, crowded: Callable[[Any], bool]) -> None:
        self._pack, self._crowded = pack, crowded
        self._jobs: list[Job] = []
        self._single: set[int] = set()
        self._alone: set[int] = set()
        self._deaths: Counter[int] = Counter()
        self._losses: Counter[int] = Counter()

    def room(self, running: Sequence[Handout], free: int) -> int:
        """How many jobs can be added that do not have to wait.

        Args:
            running: what processes have.
            free: processes that have none.
        """
        if any(handout.alone for handout in running) or self._next_is_alone:
            return 0
        return max(0, free * self._pack - len(self._jobs))

    def add(self, job: Job) -> None:
        """Puts a job at the end."""
        self._jobs.append(job)

    def deal(self, running: Sequence[Handout], free: int) -> Handout | None:
        """The jobs for the next process, in even packs; None if they have to wait.

        Args:
            running: what other processes have.
            free: processes that have none, the next one included.
        """
        if not self._jobs or not free or any(handout.alone for handout in running):
            return None
        alone = self._next_is_alone
        if alone and running:
            return None
        size = min(self._pack, -(-len(self._jobs) // free))
        if any(job.number in self._single | self._alone for job in self._jobs[:size]):
            size = 1
        some, self._jobs = self._jobs[:size], self._jobs[size:]
        return Handout(tuple(some), alone)

    def finished(self, handout: Handout, report: Finished) -> list[Finished]:
        """The results of a handout that stand; jobs without one wait again."""
        if report.result is None and len(handout.jobs) > 1:
            return self._one_by_one(handout)
        if len(handout.jobs) == 1:
            found = [report]
        else:
            pairs = zip(handout.jobs, report.result, strict=True)
            found = [Finished(job.number, result) for job, result in pairs]
        stand = [one for one in found if handout.alone or not self._full(one)]
        self._forget(one.number for one in stand)
        again = set(handout.numbers) - {one.number for one in stand}
        self._alone |= again
        self._jobs = [*(job for job in handout.jobs if job.number in again), *self._jobs]
        return stand

    def died(self, handout: Handout, death: Died) -> list[Finished]:
        """Gives jobs whose process has died another try, the last of them alone, or gives them up."""
        if len(handout.jobs) > 1:
            return self._one_by_one(handout)
        number, tries = handout.numbers[0], TRIES - death.late
        self._deaths[number] += 1
        if self._deaths[number] >= tries:
            self._forget([number])
            why = f"its process ended {tries} times, the last time {death.why}"
            return [Finished(number, None, why, death.full)]
        if death.full or self._deaths[number] == tries - 1:
            self._alone.add(number)
        self._jobs = [*handout.jobs, *self._jobs]
        return []

    def lost(self, handout: Handout) -> list[Finished]:
        """Lets jobs whose node has died run again, unless too many nodes did."""
        self._losses.update(handout.numbers)
        again = [job for job in handout.jobs if self._losses[job.number] < NODE_LOSSES]
        self._jobs = [*again, *self._jobs]
        lost = [job.number for job in handout.jobs if job not in again]
        self._forget(lost)
        return [Finished(number, None, f"its node died {NODE_LOSSES} times") for number in lost]

    @property
    def _next_is_alone(self) -> bool:
        return bool(self._jobs) and self._jobs[0].number in self._alone

    def _forget(self, numbers: Iterable[int]) -> None:
        """Jobs to come may have the same numbers."""
        for number in numbers:
            del self._deaths[number], self._losses[number]
            self._alone.discard(number)
            self._single.discard(number)

    def _full(self, report: Finished) -> bool:
        return report.full or (report.result is not None and self._crowded(report.result))

    def _one_by_one(self, handout: Handout) -> list[Finished]:
        self._single |= set(handout.numbers)
        self._jobs = [*handout.jobs, *self._jobs]
        return []


TRIES = 3
"""Processes that a job may lose; of those that took too long, one less."""

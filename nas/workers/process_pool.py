"""A pool of persistent worker processes that run jobs, one at a time each.

A worker that dies is replaced. A job whose process died, or for which memory was too small, runs
again, alone; in the end it has failed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from math import inf
from multiprocessing.connection import Connection, wait
from typing import Any, cast

from nas.workers.process import Worker
from nas.workers.protocol import (
    UNLIMITED,
    Allowance,
    Died,
    Finished,
    Job,
    JobContext,
    Pack,
    Pool,
    Task,
)
from nas.workers.retries import TRIES


class Workers(Pool):
    """Up to `count` worker processes, each started with its first job; use it in a `with`.

    `submit` gives a job to an idle worker, `reports` waits for what tasks send and for results,
    `answer` replies to a report for which a task waits.
    Results do not depend on `count`, on `pack` or on which worker has a job.

    Args:
        pack: jobs that a worker may get at once, as a Pack; those of a pack whose process dies are
            run again one by one.
        allowance: what one job may take.
        crowded: whether a result says that memory ended. The job is then run once more, alone, with
            all other processes gone.
    """

    def __init__(
        self,
        task: Task,
        context: JobContext,
        count: int,
        pack: int = 1,
        allowance: Allowance = UNLIMITED,
        crowded: Callable[[Any], bool] = lambda result: False,
    ) -> None:
        self._workers = [Worker(task, context, index, allowance) for index in range(count)]
        self._pack, self._crowded = pack, crowded
        self._queue: list[Job] = []
        self._again: list[Job] = []
        self._alone: int | None = None
        self._deaths: Counter[int] = Counter()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()

    @property
    def idle(self) -> int:
        """Number of jobs that can be submitted now."""
        if self._again or self._alone is not None:
            return 0
        free = sum(worker.job is None for worker in self._workers)
        return max(0, free * self._pack - len(self._queue))

    @property
    def pids(self) -> list[int]:
        """Process numbers of the workers that have been started."""
        return [w.process.pid for w in self._workers if w.process and w.process.pid]

    def submit(self, job: Job) -> None:
        """Takes a job for an idle worker; there must be one (`idle`)."""
        self._queue.append(job)
        if self._pack == 1:
            self._deal()

    def answer(self, number: int, reply: Any) -> None:
        """Replies to the last report of a job."""
        for worker in self._workers:
            if any(job.number == number for job in worker.jobs):
                worker.answer(reply)

    def reports(self, timeout: float | None = None) -> Iterator[Any]:
        """Waits up to `timeout` seconds for reports of any worker and yields those that came."""
        self._deal()
        busy = {worker.pipe: worker for worker in self._workers if worker.job is not None}
        end = time.monotonic() + timeout if timeout is not None else inf
        end = min([end, *(worker.deadline for worker in busy.values())])
        left = max(0.0, end - time.monotonic()) if end < inf else None
        for pipe in wait(list(busy), left):
            worker = busy[cast(Connection, pipe)]
            jobs, report = worker.jobs, worker.report()
            if isinstance(report, Died):
                yield from self._lost(jobs, report)
            elif isinstance(report, Finished):
                yield from self._finished(jobs, report)
            elif report is not None:
                yield report
        for worker in busy.values():
            if time.monotonic() >= worker.deadline:
                worker.expire()

    def _deal(self) -> None:
        """Gives the waiting jobs to idle workers, in even packs; those to run alone come first."""
        free = [worker for worker in self._workers if worker.job is None]
        if self._again:
            if len(free) == len(self._workers):
                for worker in self._workers:
                    worker.stop()  # what idle processes keep is memory too
                job = self._again.pop(0)
                self._alone = job.number
                free[0].start(job)
            return
        if self._alone is not None:
            return
        for left, worker in zip(range(len(free), 0, -1), free, strict=True):
            if not self._queue:
                return
            size = min(self._pack, -(-len(self._queue) // left))
            some, self._queue = self._queue[:size], self._queue[size:]
            worker.start(some[0] if size == 1 else Pack(tuple(some)))

    def _finished(self, jobs: Sequence[Job], report: Finished) -> Iterator[Finished]:
        """The results of a worker's jobs, less those that are to run again."""
        if len(jobs) == 1:
            found = [report]
        elif report.result is None:  # no one knows whose error it was
            self._again += jobs
            return
        else:
            pairs = zip(jobs, report.result, strict=True)
            found = [Finished(job.number, result) for job, result in pairs]
        for job, one in zip(jobs, found, strict=True):
            full = one.full or (one.result is not None and self._crowded(one.result))
            if full and self._alone is None:
                self._again.append(job)
            else:
                del self._deaths[job.number]
                yield one
        self._alone = None

    def _lost(self, jobs: Sequence[Job], death: Died) -> Iterator[Finished]:
        """Jobs whose process died run again, alone, or have failed."""
        self._alone = None
        if len(jobs) == 1:
            number = jobs[0].number
            self._deaths[number] += 1
            tries = TRIES - death.late
            if self._deaths[number] >= tries:
                del self._deaths[number]
                why = f"its process ended {tries} times, the last time {death.why}"
                yield Finished(number, None, why, death.full)
                return
        self._again += jobs

"""A pool of persistent worker processes of this machine that run jobs, one at a time each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
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
    Pool,
    Task,
)
from nas.workers.retries import Backlog, Handout


class Workers(Pool):
    """Up to `count` worker processes, each started with its first job; use it in a `with`.

    `submit` gives a job to an idle worker, `reports` waits for what tasks send and for results,
    `answer` replies to a report for which a task waits. A worker that dies is replaced, and its job
    tried again as `retries` says. Results do not depend on `count`, on `pack` or on which worker has
    a job.

    Args:
        pack: jobs that a worker may get at once, as a Pack; those of a pack whose process dies are
            run again one by one.
        allowance: what a job may take; a pack has the seconds of all its jobs.
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
        self._pack, self._backlog = pack, Backlog(pack, crowded)
        self._heard = time.monotonic()
        """When it was last asked for reports."""

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def idle(self) -> int:
        """Number of jobs that can be submitted now."""
        return self._backlog.room(self._running, len(self._free))

    @property
    def pids(self) -> list[int]:
        """Process numbers of the workers that have been started."""
        return [w.process.pid for w in self._workers if w.process and w.process.pid]

    def submit(self, job: Job) -> None:
        """Takes a job for an idle worker; there must be one (`idle`)."""
        self._backlog.add(job)
        if self._pack == 1:
            self._deal()

    def answer(self, number: int, reply: Any) -> None:
        """Replies to the last report of a job."""
        for worker in self._workers:
            if worker.handout and number in worker.handout.numbers:
                worker.answer(reply)

    def reports(self, timeout: float | None = None) -> Iterator[Any]:
        """Waits up to `timeout` seconds for reports of any worker and yields those that came.

        Raises:
            InputError: no process ever comes to its first job.
        """
        self._grant()
        self._deal()
        busy = {worker.pipe: worker for worker in self._workers if worker.handout}
        end = time.monotonic() + timeout if timeout is not None else inf
        end = min([end, *(worker.deadline for worker in busy.values())])
        left = max(0.0, end - time.monotonic()) if end < inf else None
        ready = wait(list(busy), left)
        self._heard = time.monotonic()
        for worker in busy.values():
            if self._heard >= worker.deadline and worker.pipe not in ready:
                worker.expire()
        for pipe in ready:
            worker = busy[cast(Connection, pipe)]
            handout, report = worker.handout, worker.report()
            assert handout is not None
            if isinstance(report, Died):
                yield from self._backlog.died(handout, report)
            elif isinstance(report, Finished):
                yield from self._backlog.finished(handout, report)
            elif report is not None:
                yield report

    def _grant(self) -> None:
        """Adds to all deadlines the time in which nobody listened: a job may have waited to be heard."""
        now = time.monotonic()
        for worker in self._workers:
            worker.deadline += now - self._heard
        self._heard = now

    @property
    def _free(self) -> list[Worker]:
        return [worker for worker in self._workers if not worker.handout]

    @property
    def _running(self) -> list[Handout]:
        return [worker.handout for worker in self._workers if worker.handout]

    def _deal(self) -> None:
        """Gives the waiting jobs to idle workers."""
        while handout := self._backlog.deal(self._running, len(self._free)):
            if handout.alone:
                self._stop()  # what idle processes keep is memory too
            self._free[0].start(handout)

    def _stop(self) -> None:
        for worker in self._workers:
            worker.stop()

"""A pool of threads of this process, for jobs that wait and compute nothing themselves."""

from __future__ import annotations

from collections.abc import Iterator
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from nas.workers.protocol import Finished, Job, JobContext, Pool, Task, attempt


class Threads(Pool):
    """Up to `count` jobs at once, each in a thread, so that a job can wait for its answers.

    What a job raises ends no other, but nothing protects them from a crash, and nothing is limited.
    """

    def __init__(self, task: Task, context: JobContext, count: int) -> None:
        self._task, self._context, self._count = task, context, count
        self._said: SimpleQueue[Any] = SimpleQueue()
        self._answers: dict[int, SimpleQueue[Any]] = {}
        """Of the running jobs, by number."""

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, *_: object) -> None:
        """Jobs that still wait end with the process."""

    @property
    def idle(self) -> int:
        """Number of jobs that can be submitted now."""
        return self._count - len(self._answers)

    def submit(self, job: Job) -> None:
        """Starts a job; there must be room for it (`idle`)."""
        self._answers[job.number] = SimpleQueue()
        Thread(target=self._run, args=(job, self._answers[job.number]), daemon=True).start()

    def answer(self, number: int, reply: Any) -> None:
        """Replies to the last report of a job."""
        self._answers[number].put(reply)

    def reports(self, timeout: float | None = None) -> Iterator[Any]:
        """Waits up to `timeout` seconds for a report of any job and yields it."""
        try:
            report = self._said.get(timeout=timeout)
        except Empty:
            return
        if isinstance(report, Finished):
            del self._answers[report.number]
        yield report

    def _run(self, job: Job, answers: SimpleQueue[Any]) -> None:
        def send(report: Any, wait: bool = False) -> Any:
            self._said.put(report)
            return answers.get() if wait else None

        self._said.put(attempt(self._task, job, self._context, self._context.devices[0], send))

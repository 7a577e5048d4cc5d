"""Persistent worker processes that run jobs, one at a time each.

A worker is spawned, so it shares nothing with its parent but a pipe, and it ends itself as soon as
its parent is gone. A worker that dies is replaced; its job gets a second try, then it has failed.
"""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Protocol, cast

from nas.errors import InputError
from nas.plugins import load_plugin

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    # Freed activations stay in the process: asking the kernel for fresh pages costs more than them.
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "67108864",
}


class Job(Protocol):
    """Anything with a number, by which its reports are known."""

    @property
    def number(self) -> int: ...


class Bench(Protocol):
    """What all jobs of a pool share; it is sent to each worker once."""

    @property
    def devices(self) -> Sequence[str]:
        """Worker i uses devices[i % len(devices)]."""

    @property
    def plugins(self) -> Sequence[Path]: ...


class Send(Protocol):
    """How a task reports before its result; it may wait for the answer to a report."""

    def __call__(self, report: Any, wait: bool = False) -> Any: ...


Task = Callable[[Any, Any, str, Send], Any]
"""(job, bench, device, send) -> result."""


@dataclass(frozen=True)
class Ready:
    """A worker's first message."""


@dataclass(frozen=True)
class Finished:
    """A job's result; None, with the reason, where the task raised or its process died."""

    number: int
    result: Any
    why: str = ""


@dataclass(frozen=True)
class Pack:
    """Jobs that a task gets at once; its result is the list of theirs."""

    jobs: tuple[Any, ...]

    @property
    def number(self) -> int:
        return self.jobs[0].number


class Workers:
    """Up to `count` worker processes, each started with its first job; use it in a `with`.

    `submit` gives a job to an idle worker, `reports` waits for what tasks send and for results,
    `answer` replies to a report for which a task waits.
    Results do not depend on `count`, on `pack` or on which worker has a job.

    Args:
        pack: jobs that a worker may get at once, as a Pack; those of a pack whose process dies are
            run again one by one.
    """

    def __init__(self, task: Task, bench: Bench, count: int, pack: int = 1) -> None:
        self._workers = [_Worker(task, bench, index) for index in range(count)]
        self._pack = pack
        self._queue: list[Job] = []
        self._alone: set[int] = set()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()

    @property
    def idle(self) -> int:
        """Number of jobs that can be submitted now."""
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

    def _deal(self) -> None:
        """Gives the waiting jobs to idle workers, in even packs."""
        free = [worker for worker in self._workers if worker.job is None]
        for left, worker in zip(range(len(free), 0, -1), free, strict=True):
            if not self._queue:
                return
            size = min(self._pack, -(-len(self._queue) // left))
            if any(job.number in self._alone for job in self._queue[:size]):
                size = 1
            some, self._queue = self._queue[:size], self._queue[size:]
            worker.start(some[0] if size == 1 else Pack(tuple(some)))

    def answer(self, number: int, reply: Any) -> None:
        """Replies to the last report of a job."""
        for worker in self._workers:
            if number in worker.numbers:
                worker.answer(reply)

    def reports(self, timeout: float | None = None) -> Iterator[Any]:
        """Waits up to `timeout` seconds for reports of any worker and yields those that came."""
        self._deal()
        busy = {worker.pipe: worker for worker in self._workers if worker.job is not None}
        for pipe in wait(list(busy), timeout):
            worker = busy[cast(Connection, pipe)]
            pack, report = worker.job, worker.report()
            if isinstance(report, Finished) and isinstance(pack, Pack):
                yield from self._unpacked(pack, report)
            elif report is not None:
                yield report

    def _unpacked(self, pack: Pack, report: Finished) -> Iterator[Finished]:
        """The results of a pack; without one, each of its jobs is to run again, alone."""
        if report.result is None:
            self._alone |= {job.number for job in pack.jobs}
            self._queue = [*pack.jobs, *self._queue]
            return
        for job, result in zip(pack.jobs, report.result, strict=True):
            yield Finished(job.number, result)

    def run(self, jobs: Sequence[Job], idle: Callable[[], None] = lambda: None) -> Iterator[Any]:
        """Runs all jobs and yields every report as it comes; calls `idle` every few seconds."""
        waiting, left = list(jobs), len(jobs)
        while left:
            while waiting and self.idle:
                self.submit(waiting.pop(0))
            idle()
            for report in self.reports(timeout=5):
                left -= isinstance(report, Finished)
                yield report


class _Worker:
    """One process, the pipe to it, and the job that it has."""

    def __init__(self, task: Task, bench: Bench, index: int) -> None:
        self.task, self.bench, self.index = task, bench, index
        self.job: Job | None = None
        self.tries = 0
        self.served = False
        self.process: SpawnProcess | None = None

    def _spawn(self) -> None:
        context = mp.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        device = self.bench.devices[self.index % len(self.bench.devices)]
        self.process = context.Process(
            target=_serve,
            args=(theirs, self.task, device),
            daemon=True,
            name=f"nas-{self.index}",
        )
        with _environment(ENVIRONMENT), _interrupts_ignored():
            self.process.start()
        theirs.close()
        self.answer(self.bench)  # not as an argument: starting would wait for ever for a dead child

    @property
    def numbers(self) -> list[int]:
        """Of the jobs that it has."""
        if self.job is None:
            return []
        return (
            [job.number for job in self.job.jobs]
            if isinstance(self.job, Pack)
            else [self.job.number]
        )

    def start(self, job: Job) -> None:
        if self.process is None:
            self._spawn()
        elif not self.process.is_alive():
            self._replace()
        self.job, self.tries = job, 1
        self._send()

    def _send(self) -> None:
        self.answer(self.job)

    def answer(self, message: Any) -> None:
        with contextlib.suppress(OSError):  # a dead worker is noticed in report()
            self.pipe.send(message)

    def report(self) -> Any:
        job = self.job
        assert job is not None
        try:
            report = self.pipe.recv()
        except (EOFError, OSError):
            return self._died(job)
        if isinstance(report, Ready):
            self.served = True
            return None
        if isinstance(report, Finished):
            self.job = None
        return report

    def _died(self, job: Job) -> Finished | None:
        code = self._replace()
        why = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if not self.served and self.tries > 1:  # none of its processes ever came to its first job
            raise InputError(
                f"worker processes cannot start ({why}); a script of your own needs "
                "its calls under `if __name__ == '__main__':`"
            )
        if self.tries == 1 and not isinstance(job, Pack):
            self.tries += 1
            self._send()
            return None
        self.job = None
        return Finished(job.number, None, f"its process ended twice, the second time with {why}")

    def _replace(self) -> int:
        """A new process for one that ended; returns the old one's exit code."""
        assert self.process is not None
        self.process.join()
        code = self.process.exitcode or 0
        self.pipe.close()
        self._spawn()
        return code

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(pipe: Connection, task: Task, device: str) -> None:
    """A worker's life: jobs in, reports out, until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    bench: Bench = pipe.recv()
    for plugin in bench.plugins:
        load_plugin(plugin)
    pipe.send(Ready())

    def send(report: Any, wait: bool = False) -> Any:
        pipe.send(report)
        return pipe.recv() if wait else None

    with contextlib.suppress(EOFError, OSError):
        while True:
            job: Job = pipe.recv()
            try:
                finished = Finished(job.number, task(job, bench, device, send))
            except Exception as error:  # one job's bug must not end the others
                finished = Finished(job.number, None, f"{type(error).__name__}: {error}")
            pipe.send(finished)
            if finished.result is None and device.startswith("cuda"):
                os._exit(1)  # an error may have spoilt the CUDA context for all jobs to come


def _die_with_parent() -> None:
    parent = mp.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """A child started inside ignores Ctrl-C from its first instruction on; its parent ends it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals can be set in the main thread only
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """These variables for processes started inside; what the user has set stays."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]

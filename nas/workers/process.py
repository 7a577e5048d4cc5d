"""One worker process: what runs in it, and its parent's end of the pipe.

A worker shares nothing with its parent but a pipe, and it ends itself as soon as its parent is gone.
"""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from math import inf
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from nas.errors import InputError
from nas.workers.protocol import (
    ENVIRONMENT,
    Allowance,
    Died,
    Finished,
    Job,
    JobContext,
    Ready,
    Task,
    attempt,
    limit_process,
)
from nas.workers.retries import Handout

GROUP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""They go to whole groups of processes."""
LOADED = ("torch", "sklearn.model_selection", "nas.training.lockstep")
"""Modules that the jobs of all our tasks need, which take seconds to import."""


class Worker:
    """One process, the pipe to it, and the jobs that it has."""

    def __init__(self, task: Task, context: JobContext, index: int, allowance: Allowance) -> None:
        self.task, self.context, self.index, self.allowance = task, context, index, allowance
        self.device = context.devices[index % len(context.devices)]
        self.handout: Handout | None = None
        """The jobs that it has."""
        self.process: BaseProcess | None = None
        self.deadline = inf
        """Of its jobs, in seconds of the monotonic clock."""
        self._ready = self._served = False
        self._stillborn = 0
        self._expired = False

    def start(self, handout: Handout) -> None:
        """Gives it jobs, and a new process where it has none."""
        if self.process is None or not self.process.is_alive():
            self.stop()
            self._spawn()
        self.handout, self._killed_before = handout, _kills_for_memory()
        self._set_deadline()
        self.answer(handout.job)

    def answer(self, message: Any) -> None:
        """Sends what its task waits for, or the next job."""
        with contextlib.suppress(OSError):  # a dead worker is noticed in report()
            self.pipe.send(message)

    def report(self) -> Any:
        """The next message of its task, None for one of its own, or that it died."""
        try:
            report = self.pipe.recv()
        except (EOFError, OSError):
            return self._died()
        if isinstance(report, Ready):
            self._ready = self._served = True
            self._set_deadline()
            return None
        if isinstance(report, Finished):
            self.handout, self.deadline = None, inf
            if report.result is None and self.device.startswith("cuda"):
                self.stop()  # it is about to end (`_serve`)
        return report

    def expire(self) -> None:
        """Ends the process of a job that takes too long; the next report says so."""
        assert self.process is not None
        self._expired, self.deadline = True, inf
        self.process.kill()

    def stop(self) -> None:
        """Ends the process, if there is one."""
        self.handout, self.deadline = None, inf
        if self.process is None:
            return
        self.process.kill()
        self.process.join()
        self.process = None
        self.pipe.close()

    def _set_deadline(self) -> None:
        if self._ready and self.handout and self.allowance.seconds is not None:
            self.deadline = time.monotonic() + self.allowance.seconds * len(self.handout.jobs)

    def _spawn(self) -> None:
        context = start_method()
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=_serve,
            args=(theirs, self.task, self.device, self.allowance),
            daemon=True,
            name=f"nas-{self.index}",
        )
        self._ready = self._expired = False
        self.process.start()
        theirs.close()
        # not as an argument: starting would wait for ever for a dead child
        self.answer(self.context)

    def _died(self) -> Died:
        assert self.process is not None
        self.process.join()
        code, limit = self.process.exitcode or 0, self.allowance.seconds
        why = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        full = code == -signal.SIGKILL and _kills_for_memory() > self._killed_before
        if self._expired:
            why, full = f"at the limit of {limit:g} seconds", False
        elif full:
            why = "by the system, because memory was full"
        self.stop()
        self._stillborn += not self._served
        if self._stillborn > 1:  # none of its processes ever came to its first job
            raise InputError(
                f"worker processes cannot start ({why}); a script of your own needs "
                "its calls under `if __name__ == '__main__':`"
            )
        return Died(why, full, self._expired)


def start_method() -> Any:
    """How workers are started; on Linux from a server, which begins to load what they need.

    The server is a process without threads that has imported PyTorch; every worker is forked from it
    within milliseconds. It is started once a process, and ends with it. Elsewhere each worker is
    spawned, and imports by itself.
    """
    if sys.platform != "linux":
        return mp.get_context("spawn")
    context = mp.get_context("forkserver")
    context.set_forkserver_preload([*LOADED])
    with _environment(ENVIRONMENT), _signals_ignored():
        forkserver.ensure_running()
    return context


def _serve(pipe: Connection, task: Task, device: str, allowance: Allowance) -> None:
    """A worker's life: jobs in, reports out, until the parent is gone."""
    for number in GROUP_SIGNALS:  # the parent decides
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    context: JobContext = pipe.recv()
    context.prepare(device)
    limit_process(allowance)
    pipe.send(Ready())

    def send(report: Any, wait: bool = False) -> Any:
        pipe.send(report)
        return pipe.recv() if wait else None

    with contextlib.suppress(EOFError, OSError):
        while True:
            job: Job = pipe.recv()
            finished = attempt(task, job, context, device, send)
            pipe.send(finished)
            if finished.result is None and device.startswith("cuda"):
                os._exit(1)  # an error may have spoilt the CUDA context for all jobs to come


def _kills_for_memory() -> int:
    """Processes that Linux has killed because memory was full; 0 where it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _die_with_parent() -> None:
    parent = mp.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


@contextlib.contextmanager
def _signals_ignored() -> Iterator[None]:
    """Who is started inside ignores what goes to whole groups of processes; its parent ends it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals can be set in the main thread only
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in GROUP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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

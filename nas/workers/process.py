"""One worker process: what runs in it, and its parent's end of the pipe.

A worker is spawned, so it shares nothing with its parent but a pipe, and it ends itself as soon as
its parent is gone.
"""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from math import inf
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Protocol

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
LIBRARIES = ("torch", "nas.training.lockstep", "sklearn.model_selection")
"""What a first evaluation loads."""


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
class Allowance:
    """What one job may take of a machine; None is as much as there is."""

    seconds: float | None = None
    memory: int | None = None
    """Bytes that its process may allocate, beyond PyTorch's own."""


UNLIMITED = Allowance()


@dataclass(frozen=True)
class Ready:
    """A worker's first message."""


@dataclass(frozen=True)
class Finished:
    """A job's result; None, with the reason, where the task raised or its process died."""

    number: int
    result: Any
    why: str = ""
    full: bool = False
    """Whether it has no result because memory ended."""


@dataclass(frozen=True)
class Died:
    """A worker's process ended in the midst of a job."""

    why: str
    full: bool
    """Whether the system killed a process for memory meanwhile."""
    late: bool
    """Whether it was ended because the job took too long."""


@dataclass(frozen=True)
class Pack:
    """Jobs that a task gets at once; its result is the list of theirs."""

    jobs: tuple[Any, ...]

    @property
    def number(self) -> int:
        return self.jobs[0].number


class Worker:
    """One process, the pipe to it, and the job that it has."""

    def __init__(self, task: Task, bench: Bench, index: int, allowance: Allowance) -> None:
        self.task, self.bench, self.index, self.allowance = task, bench, index, allowance
        self.job: Job | Pack | None = None
        self.process: SpawnProcess | None = None
        self.deadline = inf
        """Of its job, on the monotonic clock."""
        self._ready = self._served = False
        self._stillborn = 0
        self._expired = False

    @property
    def jobs(self) -> tuple[Any, ...]:
        """The jobs that it has."""
        if self.job is None:
            return ()
        return self.job.jobs if isinstance(self.job, Pack) else (self.job,)

    def start(self, job: Job | Pack) -> None:
        if self.process is None or not self.process.is_alive():
            self.stop()
            self._spawn()
        self.job, self._killed_before = job, _kills_for_memory()
        self._set_deadline()
        self.answer(job)

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
            self.job, self.deadline = None, inf
        return report

    def expire(self) -> None:
        """Ends the process of a job that takes too long; the next report says so."""
        assert self.process is not None
        self._expired, self.deadline = True, inf
        self.process.kill()

    def stop(self) -> None:
        """Ends the process, if there is one."""
        self.job, self.deadline = None, inf
        if self.process is None:
            return
        self.process.kill()
        self.process.join()
        self.process = None
        self.pipe.close()

    def _set_deadline(self) -> None:
        if self._ready and self.allowance.seconds is not None:
            self.deadline = time.monotonic() + self.allowance.seconds * len(self.jobs)

    def _spawn(self) -> None:
        context = mp.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        device = self.bench.devices[self.index % len(self.bench.devices)]
        self.process = context.Process(
            target=_serve,
            args=(theirs, self.task, device, self.allowance),
            daemon=True,
            name=f"nas-{self.index}",
        )
        self._ready = self._expired = False
        with _environment(ENVIRONMENT), _interrupts_ignored():
            self.process.start()
        theirs.close()
        self.answer(self.bench)  # not as an argument: starting would wait for ever for a dead child

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


def _serve(pipe: Connection, task: Task, device: str, allowance: Allowance) -> None:
    """A worker's life: jobs in, reports out, until the parent is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):  # both go to whole groups; the parent decides
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    bench: Bench = pipe.recv()
    for plugin in bench.plugins:
        load_plugin(plugin)
    limit_process(allowance)
    pipe.send(Ready())

    def send(report: Any, wait: bool = False) -> Any:
        pipe.send(report)
        return pipe.recv() if wait else None

    with contextlib.suppress(EOFError, OSError):
        while True:
            job: Job = pipe.recv()
            finished = attempt(task, job, bench, device, send)
            pipe.send(finished)
            if finished.result is None and device.startswith("cuda"):
                os._exit(1)  # an error may have spoilt the CUDA context for all jobs to come


def attempt(task: Task, job: Job, bench: Bench, device: str, send: Send) -> Finished:
    """A job's result; what its task raises ends no other job."""
    try:
        return Finished(job.number, task(job, bench, device, send))
    except MemoryError as error:
        return Finished(job.number, None, f"MemoryError: {error}", full=True)
    except Exception as error:
        return Finished(job.number, None, f"{type(error).__name__}: {error}")


def limit_process(allowance: Allowance) -> None:
    """Loads libraries, which is no job's doing, and limits what this process may allocate from then on."""
    if allowance == UNLIMITED:
        return
    for name in LIBRARIES:
        import_module(name)

    if allowance.memory is not None:
        import resource

        own = 1024 * _status("VmData")
        resource.setrlimit(resource.RLIMIT_DATA, (own + allowance.memory, resource.RLIM_INFINITY))


def check_allowance(allowance: Allowance) -> None:
    """Raises InputError for limits that cannot be kept."""
    if allowance.seconds is not None and not allowance.seconds > 0:
        raise InputError(f"--time-limit {allowance.seconds:g}: it must be above 0 seconds")
    if allowance.memory is not None and not sys.platform.startswith("linux"):
        raise InputError("--memory-limit: only Linux limits the memory of a process")
    if allowance.memory is not None and allowance.memory <= 0:
        raise InputError(f"--memory-limit {allowance.memory}: it must be above 0 bytes")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


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

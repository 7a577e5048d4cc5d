"""What pools, workers and tasks say to each other: jobs, reports, allowances."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nas.errors import InputError

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    # Freed activations stay in the process: asking the kernel for fresh pages costs more than them.
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "67108864",
}
"""Variables of worker processes, where the user has not set them."""


class Job(Protocol):
    """Anything with a number, by which its reports are known."""

    @property
    def number(self) -> int: ...


class JobContext(Protocol):
    """What all jobs of a pool share; it is sent to each worker once."""

    @property
    def devices(self) -> Sequence[str]:
        """Worker i uses devices[i % len(devices)]."""

    def prepare(self, device: str) -> None:
        """Called once a process, and once more for every further device that it gets.

        What it loads counts for no job: not for its seconds, not for its memory.

        Raises:
            InputError: the jobs cannot run here.
        """


class Send(Protocol):
    """How a task reports before its result; it may wait for the answer to a report."""

    def __call__(self, report: Any, wait: bool = False) -> Any: ...


Task = Callable[[Any, Any, str, Send], Any]
"""(job, context, device, send) -> result."""


@dataclass(frozen=True)
class Allowance:
    """What one job may take of a machine; None is as much as there is."""

    seconds: float | None = None
    memory: int | None = None
    """Bytes that its process may allocate, beyond what it has when it is prepared."""


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


def attempt(task: Task, job: Job, context: JobContext, device: str, send: Send) -> Finished:
    """A job's result; what its task raises ends no other job."""
    try:
        return Finished(job.number, task(job, context, device, send))
    except InputError as error:  # such as of a merge of the user's own
        return Finished(job.number, None, str(error))
    except MemoryError as error:
        return Finished(job.number, None, f"MemoryError: {error}", full=True)
    except Exception as error:
        return Finished(job.number, None, f"{type(error).__name__}: {error}")


def limit_process(allowance: Allowance) -> None:
    """Limits what this process may allocate from now on, beyond what it has already."""
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


class Pool(Protocol):
    """What runs jobs: processes of this machine (`Workers`), or a cluster."""

    @property
    def idle(self) -> int: ...

    def submit(self, job: Job) -> None: ...

    def answer(self, number: int, reply: Any) -> None: ...

    def reports(self, timeout: float | None = None) -> Iterator[Any]: ...

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

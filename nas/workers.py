"""Persistent worker processes that evaluate genomes, one at a time each.

A worker is spawned, so it shares nothing with its parent but a pipe, and it ends itself as soon as
its parent is gone. A worker that dies is replaced; its candidate gets a second try, then it is
recorded as failed.
"""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TYPE_CHECKING, cast

from nas.evaluation import Evaluation, evaluate, failed
from nas.genome import Genome
from nas.plugins import load_plugin
from nas.proxy import Proxy
from nas.skeleton import Skeleton

if TYPE_CHECKING:
    from nas.data import Data

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    # Freed activations stay in the process: asking the kernel for fresh pages costs more than them.
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "67108864",
}


@dataclass(frozen=True)
class Bench:
    """What all jobs of a pool share."""

    skeleton: Skeleton
    data: Data
    devices: tuple[str, ...]
    """Worker i uses devices[i % len(devices)]."""
    fast: bool = False
    plugins: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Job:
    """One evaluation; `number` names it in the reports."""

    number: int
    genome: Genome
    proxy: Proxy
    seed: int
    part: str = "validation"


@dataclass(frozen=True)
class Epoch:
    """A job's score after an epoch (from 1)."""

    number: int
    epoch: int
    accuracy: float


@dataclass(frozen=True)
class Finished:
    """A job's result."""

    number: int
    evaluation: Evaluation


class Workers:
    """A pool of up to `count` worker processes, each started with its first job; use it in a `with`.

    `submit` gives a job to an idle worker, `reports` waits for epochs and results. Results do not
    depend on `count` or on which worker has a job.
    """

    def __init__(self, bench: Bench, count: int) -> None:
        self.bench = bench
        self._workers = [_Worker(bench, index) for index in range(count)]

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()

    @property
    def idle(self) -> int:
        """Number of workers without a job."""
        return sum(worker.job is None for worker in self._workers)

    def submit(self, job: Job) -> None:
        """Starts a job on an idle worker; there must be one (`idle`)."""
        next(worker for worker in self._workers if worker.job is None).start(job)

    def reports(self, timeout: float | None = None) -> Iterator[Epoch | Finished]:
        """Waits up to `timeout` seconds for reports of any worker and yields those that came."""
        busy = {worker.pipe: worker for worker in self._workers if worker.job is not None}
        for pipe in wait(list(busy), timeout):
            report = busy[cast(Connection, pipe)].report()
            if report is not None:
                yield report


class _Worker:
    """One process, the pipe to it, and the job that it has."""

    def __init__(self, bench: Bench, index: int) -> None:
        self.bench, self.index = bench, index
        self.job: Job | None = None
        self.tries = 0
        self.process: SpawnProcess | None = None

    def _spawn(self) -> None:
        context = mp.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        device = self.bench.devices[self.index % len(self.bench.devices)]
        self.process = context.Process(
            target=_serve, args=(theirs, self.bench, device), daemon=True, name=f"nas-{self.index}"
        )
        with _environment(ENVIRONMENT):
            self.process.start()
        theirs.close()

    def start(self, job: Job) -> None:
        if self.process is None:
            self._spawn()
        self.job, self.tries = job, 1
        self._send()

    def _send(self) -> None:
        with contextlib.suppress(OSError):  # a dead worker is noticed in report()
            self.pipe.send(self.job)

    def report(self) -> Epoch | Finished | None:
        job = self.job
        assert job is not None
        try:
            report = self.pipe.recv()
        except (EOFError, OSError):
            return self._died(job)
        if isinstance(report, Finished):
            self.job = None
        return report

    def _died(self, job: Job) -> Finished | None:
        assert self.process is not None
        self.process.join()
        code = self.process.exitcode or 0
        why = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self.pipe.close()
        self._spawn()
        if self.tries == 1:
            self.tries += 1
            self._send()
            return None
        self.job = None
        text = f"its process ended twice, the second time with {why}"
        return Finished(job.number, failed(job.genome, self.bench.skeleton, job.seed, text))

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(pipe: Connection, bench: Bench, device: str) -> None:
    """A worker's life: jobs in, reports out, until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    for plugin in bench.plugins:
        load_plugin(plugin)
    with contextlib.suppress(EOFError, OSError):
        while True:
            job: Job = pipe.recv()
            pipe.send(Finished(job.number, _run(job, bench, device, pipe)))


def _run(job: Job, bench: Bench, device: str, pipe: Connection) -> Evaluation:
    def on_epoch(epoch: int, accuracy: float) -> None:
        pipe.send(Epoch(job.number, epoch, accuracy))

    try:
        return evaluate(
            job.genome, bench.skeleton, job.proxy, job.seed, bench.data, device,
            part=job.part, fast=bench.fast, on_epoch=on_epoch,
        )  # fmt: skip
    except Exception as error:  # one candidate's bug must not end the search
        why = f"{type(error).__name__}: {error}"
        return failed(job.genome, bench.skeleton, job.seed, why)


def _die_with_parent() -> None:
    parent = mp.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


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


def default_devices(device: str) -> Sequence[str]:
    """The devices of a pool: all GPUs for "auto" or "cuda", else the one that is named."""
    import torch

    from nas.device import find_device

    found = find_device(device)
    if found.type == "cuda" and found.index is None:
        return tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))
    return (str(found),)

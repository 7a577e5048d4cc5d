"""Workers on a Ray cluster: every job, or pack of jobs, is one Ray task.

Tasks report through a mailbox, an actor beside the driver. A task that is lost is tried again under
a new number, so that nothing of an old try is taken for the new one's.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from nas.errors import InputError
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
from nas.workers.ray_cluster import (
    check_room,
    connected,
    first_line,
    ray_library,
    worker_environment,
)
from nas.workers.ray_tasks import Mailbox, Shared, Started, device_of, serve
from nas.workers.retries import Backlog, Handout


class RayWorkers(Pool):
    """A `process_pool.Workers` whose jobs run as tasks on a Ray cluster; use it in a `with`.

    Up to `count` tasks are with Ray, which queues what has no room. Results do not depend on the
    cluster, as long as all its nodes compute alike, which the context's `prepare` can check. A job
    whose process dies is tried again as `retries` says; one whose node dies runs again elsewhere.
    On all nodes this package must be installed.

    Args:
        count: tasks at the same time.
        pack: jobs that a task may get at once, as a Pack; those of a pack that dies are run again
            one by one.
        allowance: what a job may take; a pack has the seconds of all its jobs.
        crowded: whether a result says that memory ended, so that the job is to run again alone.
        address: of a cluster, as for `connected`.
        cpus: processors that Ray sets aside for a task.
        gpus: GPUs that Ray sets aside for a task, also a fraction; by default one where the context
            has GPUs.

    Raises:
        InputError: no cluster, none that has a task's resources, or (later) a node that the context
            refuses.
    """

    def __init__(
        self,
        task: Task,
        context: JobContext,
        count: int,
        pack: int = 1,
        allowance: Allowance = UNLIMITED,
        crowded: Callable[[Any], bool] = lambda result: False,
        *,
        address: str | None = None,
        cpus: float = 1.0,
        gpus: float | None = None,
    ) -> None:
        on_gpu = context.devices[0].startswith("cuda")
        self._gpus = float(on_gpu) if gpus is None else gpus
        self._cpus, self._address = cpus, address
        self._shared = Shared(task, context, allowance)
        self._count, self._pack, self._seconds = count, pack, allowance.seconds
        self._backlog = Backlog(pack, crowded)
        self._tries: dict[int, _Try] = {}
        self._tags = itertools.count()
        self._inbox: deque[Any] = deque()
        self._heard = time.monotonic()
        """When it was last asked for reports."""
        self._stillborn: int | None = 0
        """Processes that ended before any came to a job; None once one has come to it."""

    def __enter__(self) -> RayWorkers:
        self._ray = ray = ray_library()
        with contextlib.ExitStack() as stack:
            stack.enter_context(connected(self._address, self._count * self._cpus))
            check_room(self._cpus, self._gpus)
            options: dict[str, Any] = {
                "num_cpus": self._cpus, "num_gpus": self._gpus, "max_retries": 0,
                "max_calls": 0,  # or a process would end with its first task on a GPU
                "runtime_env": {"env_vars": worker_environment()},
            }  # fmt: skip
            self._run = ray.remote(**options)(_run)
            # In a tuple, as a reference among a task's arguments is fetched for every task.
            self._place = (ray.put(self._shared),)
            here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
                ray.get_runtime_context().get_node_id(), soft=False
            )
            self._mailbox = ray.remote(
                num_cpus=0, scheduling_strategy=here, max_concurrency=self._count + 100
            )(Mailbox).remote()
            stack.callback(ray.kill, self._mailbox)
            self._mail = self._mailbox.take.remote()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with self._stack, contextlib.suppress(self._ray.exceptions.RayError):
            for one in self._tries.values():
                self._ray.cancel(one.ref, force=True)

    @property
    def idle(self) -> int:
        """Number of jobs that can be submitted now."""
        return self._backlog.room(self._running, self._count - len(self._tries))

    def submit(self, job: Job) -> None:
        """Takes a job; there must be room for it (`idle`)."""
        self._backlog.add(job)
        if self._pack == 1:
            self._deal()

    @property
    def _running(self) -> list[Handout]:
        return [one.handout for one in self._tries.values()]

    def _deal(self) -> None:
        """Makes tasks of the waiting jobs."""
        while handout := self._backlog.deal(self._running, self._count - len(self._tries)):
            tag = next(self._tags)
            ref = self._run.remote(self._place, self._mailbox, tag, handout.job)
            self._tries[tag] = _Try(handout, ref)

    def answer(self, number: int, reply: Any) -> None:
        """Replies to the last report of a job."""
        for tag, one in self._tries.items():
            if number in one.handout.numbers:
                self._mailbox.answer.remote(tag, reply)

    def reports(self, timeout: float | None = None) -> Iterator[Any]:
        """Waits up to `timeout` seconds for reports of any task and yields those that came.

        Raises:
            InputError: a node cannot run the tasks, or Ray itself has ended.
        """
        self._grant()
        self._deal()
        try:
            self._collect(0 if self._inbox else timeout)
        except self._ray.exceptions.RayError as error:
            raise InputError(f"Ray has failed: {first_line(error)}") from None
        while self._inbox:
            yield self._inbox.popleft()

    def _collect(self, timeout: float | None) -> None:
        """Puts what comes within `timeout` seconds into the inbox."""
        running = {one.ref: tag for tag, one in self._tries.items() if not one.returned}
        ends = [one.end for one in self._tries.values() if one.end is not None]
        if ends:
            left = max(0.0, min(ends) - time.monotonic())
            timeout = left if timeout is None else min(timeout, left)
        ready, _ = self._ray.wait([self._mail, *running], timeout=timeout)
        if self._mail in ready:
            for tag, message in self._ray.get(self._mail):
                if tag in self._tries:  # else of a try that was given up
                    self._receive(tag, message)
            self._mail = self._mailbox.take.remote()
        for ref in ready:
            if running.get(ref) in self._tries:
                self._inbox += self._returned(running[ref])
        self._heard = time.monotonic()
        for one in self._tries.values():
            if one.end is not None and self._heard >= one.end:
                one.end, one.late = None, True
                self._ray.cancel(one.ref, force=True)

    def _grant(self) -> None:
        """Adds to all limits the time in which nobody listened: a job may have waited to be heard."""
        now = time.monotonic()
        for one in self._tries.values():
            if one.end is not None:
                one.end += now - self._heard
        self._heard = now

    def _receive(self, tag: int, message: Any) -> None:
        """Takes a task's message; its last is the result."""
        one = self._tries[tag]
        if isinstance(message, Started):
            one.node, self._stillborn = message.node, None
            if self._seconds is not None:
                one.end = time.monotonic() + self._seconds * len(one.handout.jobs)
        elif isinstance(message, Finished):
            del self._tries[tag]
            self._inbox += self._backlog.finished(one.handout, message)
        else:
            self._inbox.append(message)

    def _returned(self, tag: int) -> list[Finished]:
        """Notes that a task has ended: its result is in the mail, or the task was lost."""
        one, errors = self._tries[tag], self._ray.exceptions
        try:
            self._ray.get(one.ref)
        except errors.RayError as error:
            cause = getattr(error, "cause", None) or error
        else:
            one.returned, one.end = True, None
            return []
        del self._tries[tag]
        self._mailbox.answer.remote(tag, None)  # to a question that nobody asks any more
        if isinstance(cause, InputError):
            raise InputError(str(cause)) from None
        if isinstance(cause, errors.RuntimeEnvSetupError | errors.TaskUnschedulableError):
            raise InputError(f"Ray cannot run a task: {first_line(cause)}") from None
        if one.late:
            why = f"at the limit of {self._seconds:g} seconds"
            return self._backlog.died(one.handout, Died(why, full=False, late=True))
        if isinstance(cause, errors.OutOfMemoryError):
            why = "by Ray, because memory was full"
            return self._backlog.died(one.handout, Died(why, full=True, late=False))
        if isinstance(cause, errors.WorkerCrashedError):
            self._check_starts(one)
            why = f"with a crash on {one.node or 'its node'}"
            return self._backlog.died(one.handout, Died(why, full=False, late=False))
        if isinstance(cause, errors.RayError):
            return self._backlog.lost(one.handout)
        why = f"{type(cause).__name__}: {cause}"
        return self._backlog.finished(one.handout, Finished(one.handout.job.number, None, why))

    def _check_starts(self, one: _Try) -> None:
        """Ends the run where no process ever comes to its first job."""
        if self._stillborn is not None and not one.node:
            self._stillborn += 1
            if self._stillborn > self._count:
                raise InputError(
                    "worker processes on the Ray cluster end before their first job; their "
                    "messages are in the logs of Ray's session on their node"
                )


@dataclass
class _Try:
    """A task, and the jobs that it has."""

    handout: Handout
    ref: Any
    node: str = ""
    """Where it has begun."""
    end: float | None = None
    """When it has taken too long, by the monotonic clock in seconds."""
    late: bool = False
    returned: bool = False


def _run(place: tuple[Any], mailbox: Any, tag: int, job: Job) -> None:
    """The Ray task."""
    gpus = ray_library().get_runtime_context().get_accelerator_ids()["GPU"]
    serve(place[0], mailbox, tag, job, device_of(gpus, os.environ.get("CUDA_VISIBLE_DEVICES")))

"""What runs on a Ray cluster: the mailbox, and the jobs. Nothing here imports Ray."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from nas.workers.protocol import Allowance, Job, JobContext, Task, attempt, limit_process


@dataclass(frozen=True)
class Shared:
    """What all tasks need; a worker process fetches it once."""

    task: Task
    context: JobContext
    allowance: Allowance


@dataclass(frozen=True)
class Started:
    """A task's first message, from when on its seconds count."""

    node: str


class Mailbox:
    """An actor between tasks and driver; whoever waits here, waits without polling."""

    def __init__(self) -> None:
        self._posted: list[tuple[int, Any]] = []
        self._arrived = asyncio.Event()
        self._questions: dict[int, asyncio.Future[Any]] = {}

    async def post(self, tag: int, message: Any) -> None:
        """Takes a message of the task of that tag."""
        self._posted.append((tag, message))
        self._arrived.set()

    async def ask(self, tag: int, message: Any) -> Any:
        """Takes a message and returns the reply to it."""
        reply = self._questions[tag] = asyncio.get_running_loop().create_future()
        await self.post(tag, message)
        return await reply

    async def answer(self, tag: int, reply: Any) -> None:
        """Replies to the task of that tag, if it waits."""
        question = self._questions.pop(tag, None)
        if question:
            question.set_result(reply)

    async def take(self) -> list[tuple[int, Any]]:
        """Waits for messages and returns all there are."""
        await self._arrived.wait()
        self._arrived.clear()
        posted, self._posted = self._posted, []
        return posted


def serve(place: Any, mailbox: Any, tag: int, job: Job, device: str) -> None:
    """Runs a job, or a pack of them; its messages end with a Finished.

    A message is sent when the mailbox has it, so they arrive in order. It is waited for by
    `future()`: blocked in `ray.get`, a task would lose its processor to another one.

    Args:
        place: the reference to a Shared.
        device: "cpu" or "cuda:N".

    Raises:
        InputError: this node cannot run the tasks of the driver.
    """

    def send(report: Any, wait: bool = False) -> Any:
        way = mailbox.ask if wait else mailbox.post
        return way.remote(tag, report).future().result()

    shared = _prepared(place, device)
    send(Started(platform.node()))
    finished = attempt(shared.task, job, shared.context, device, send)
    send(finished)
    if device != "cpu":
        _leave_gpu(spoilt=finished.result is None)


def _prepared(place: Any, device: str) -> Shared:
    """What all tasks need, in a process that is ready for them on this device."""
    shared, devices = _fetched(place)
    if device not in devices:
        shared.context.prepare(device)
        if not devices:
            limit_process(shared.allowance)
        devices.add(device)
    return shared


@lru_cache(maxsize=1)
def _fetched(place: Any) -> tuple[Shared, set[str]]:
    """What all tasks need, and the devices for which this process is prepared."""
    return place.future().result(), set()


def _leave_gpu(spoilt: bool) -> None:
    """Gives memory back, as the next task of this process may be on another GPU."""
    if spoilt:
        os._exit(1)  # an error may have spoilt the CUDA context for all jobs to come
    import torch

    torch.cuda.empty_cache()


def device_of(gpus: Sequence[str], visible: str | None) -> str:
    """PyTorch's name of the device that Ray has given to a task.

    Args:
        gpus: what Ray calls the task's GPUs.
        visible: CUDA_VISIBLE_DEVICES, by which PyTorch counts, if it is set.
    """
    if not gpus:
        return "cpu"
    return f"cuda:{visible.split(',').index(gpus[0]) if visible else int(gpus[0])}"

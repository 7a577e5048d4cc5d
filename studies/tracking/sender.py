"""Telling trackers from a thread of their own, so that none of them holds up a search or ends it."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from nas.errors import one_line
from studies.tracking.tracker import Tracker


def to_stderr(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr, flush=True)


class Sender:
    """Tells each tracker in a thread; one that fails gets a warning, and is told nothing more."""

    def __init__(self, trackers: Sequence[Tracker], warn: Callable[[str], None] = to_stderr):
        self._lines = [_Line(tracker, warn) for tracker in trackers]

    def tell(self, method: str, *values: Any) -> None:
        """Has a method of every tracker called, soon, with copies of its own."""
        for line in self._lines:
            line.calls.put((method, deepcopy(values)))

    def flush(self, seconds: float) -> None:
        """Waits until all is told, or the time is up, with a warning then."""
        end = time.monotonic() + seconds
        for line in self._lines:
            line.wait(max(0.0, end - time.monotonic()))


class _Line:
    def __init__(self, tracker: Tracker, warn: Callable[[str], None]) -> None:
        self.tracker, self.warn = tracker, warn
        self.calls: queue.Queue[tuple[str, tuple[Any, ...]]] = queue.Queue()
        self.failed = False
        threading.Thread(target=self._run, daemon=True, name="tracker").start()

    def _run(self) -> None:
        while True:
            method, values = self.calls.get()
            try:
                if not self.failed:
                    getattr(self.tracker, method)(*values)
            except BaseException as error:  # SystemExit, too
                self._fail(one_line(f"{type(error).__name__}: {error}")[:160])
            finally:
                self.calls.task_done()

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while self.calls.unfinished_tasks and not self.failed:
            if time.monotonic() > end:
                self._fail(f"no answer after {seconds:.0f} seconds")
            time.sleep(0.02)

    def _fail(self, why: str) -> None:
        if not self.failed:
            self.failed = True
            name = type(self.tracker).__name__
            self.warn(f"{name} is told nothing more, the rest goes on without it ({why})")

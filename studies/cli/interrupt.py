"""Ctrl-C and SIGTERM: once ends a command when what runs has finished, twice at once."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

from studies.store.url import shown

SIGNALS = (signal.SIGINT, signal.SIGTERM)
EXIT_INTERRUPTED = 130


def stopped(what: str) -> NoReturn:
    """Ends a command that was interrupted, and says how it goes on.

    Args:
        what: of which all that are finished were kept.
    """
    command = shlex.join(["nas", *map(shown, sys.argv[1:])])
    print(f"\nStopped; all finished {what} are kept. Go on with:\n  {command}", file=sys.stderr)
    sys.exit(EXIT_INTERRUPTED)


class Interrupt:
    """Counts the signals that come inside a `with`; true once one came, KeyboardInterrupt at the next.

    Args:
        said: written to standard error at the first.
    """

    def __init__(self, said: str) -> None:
        self.said = said
        self.asked = False
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        return self.asked

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._come) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _come(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        # print could be in the midst of a line of its own
        with suppress(OSError):  # nobody may read it any more
            os.write(2, f"\n{self.said}\n".encode())

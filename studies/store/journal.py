"""Optuna's journal in a file, whose locks are released when their process ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend


class JournalFile(JournalFileBackend):
    """A journal file to which what is logged within `together()` is written at once."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._waiting: list[dict[str, Any]] | None = None
        self._mend(Path(path))

    def _mend(self, path: Path) -> None:
        """Cuts off a line that was half written when its process was killed or the disk was full."""
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            if size == 0 or file.read(1) == b"\n":
                return
        self._lock.acquire()  # who writes now ends the line
        try:
            content = path.read_bytes()
            os.truncate(path, content.rfind(b"\n") + 1)
        finally:
            self._lock.release()

    @contextmanager
    def together(self) -> Iterator[None]:
        self._waiting = []
        try:
            yield
            logs = self._waiting
        finally:
            self._waiting = None
        super().append_logs(logs)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        if self._waiting is None:
            super().append_logs(logs)
        else:
            self._waiting.extend(logs)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """What waits to be written is read once it has its place among what others write."""
        return iter(()) if self._waiting is not None else super().read_logs(log_number_from)


class JournalFileStorage(JournalStorage):
    """Optuna's journal storage in a `JournalFile`."""

    def __init__(self, path: str) -> None:
        self.file = JournalFile(path)
        super().__init__(self.file)

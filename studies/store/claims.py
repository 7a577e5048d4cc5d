"""Who works on a study: every running trial is claimed by a process, and those of the dead are free.

On one machine a process is alive while it holds a lock on a file; elsewhere, while it goes on saying
so in the storage.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

CLAIM = "nas:claim"
"""Key of the claim among a trial's system attributes."""
BEAT_SECONDS = 10
"""A process says at least so often that it is alive."""
POLL_SECONDS = 0.25
"""How often a process looks for the results of others while it waits for them."""
GRACE_SECONDS = 60
"""After so long without a sign of life a trial is free."""


@dataclass(frozen=True)
class Claim:
    """A process's on a trial."""

    owner: str
    """Its name; empty for a trial that was given back."""
    times: int = 1
    """How many processes claimed the trial, those less that gave it back."""


@dataclass(frozen=True)
class Claimed:
    """A running trial."""

    number: int
    claim: Claim | None
    """None in studies from before there were claims."""
    age: float
    """Seconds since the last sign of life, by the storage's clock, while it could be given."""

    def free(self) -> bool:
        """Whether who claimed it has given it back or is dead."""
        if self.claim is None or not self.claim.owner:
            return True
        alive = is_alive(self.claim.owner)
        return self.age > GRACE_SECONDS if alive is None else not alive


class Presence:
    """This process, as one that others can tell from the dead; use it in a `with`."""

    def __init__(self) -> None:
        self.name = f"{_place()}-{uuid.uuid4().hex}"
        self._lock = FileLock(_lock_file(self.name))

    def __enter__(self) -> Presence:
        self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        _lock_file(self.name).unlink(missing_ok=True)


def is_alive(name: str) -> bool | None:
    """Whether a process of this machine is there; None where that cannot be seen from here."""
    if name.partition("-")[0] != _place():
        return None
    path = _lock_file(name)
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # another user's
        return None
    lock.release()
    with contextlib.suppress(OSError):
        path.unlink()
    return False


def _place() -> str:
    """Names the folder of the lock files: processes that share it can see each other."""
    folder, machine = os.stat(tempfile.gettempdir()), ""
    with contextlib.suppress(OSError):
        machine = Path("/etc/machine-id").read_text()
    where = f"{socket.gethostname()} {machine} {folder.st_dev} {folder.st_ino}"
    return hashlib.blake2b(where.encode(), digest_size=8).hexdigest()


def _lock_file(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"skipnas-{name}.lock"

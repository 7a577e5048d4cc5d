"""A study that one process has for itself: a lock on this machine, and a lease against others."""

from __future__ import annotations

import hashlib
import socket
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout
from optuna.storages import BaseStorage

from nas.errors import InputError

LEASE = "nas:lease"
LEASE_SECONDS = 60


class Exclusive:
    """Holds a study; released when the process ends, however it ends. Use it in a `with`.

    Args:
        name: the study's.
        url: the storage's.

    Raises:
        InputError: another process holds it.
    """

    def __init__(self, storage: BaseStorage, study_id: int, name: str, url: str) -> None:
        self.storage, self.study_id, self.name = storage, study_id, name
        place = url.removeprefix("sqlite:///")
        identity = f"{url if '://' in place else Path(place).resolve()}/{name}"
        digest = hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()
        self._lock = FileLock(Path(tempfile.gettempdir()) / f"skipnas-{digest}.lock")

    def __enter__(self) -> Exclusive:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"study {self.name!r} is being searched by another process; "
                "wait for it, or name another with --study"
            ) from None
        try:
            self._check_lease()
            self.renew()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):
            self.storage.set_study_user_attr(self.study_id, LEASE, None)
        self._lock.release()

    def renew(self) -> None:
        """Keeps the study this machine's; to be called at least every LEASE_SECONDS."""
        lease = {"host": socket.gethostname(), "time": time.time()}
        self.storage.set_study_user_attr(self.study_id, LEASE, lease)

    def _check_lease(self) -> None:
        """Keeps other machines away that search in the same storage."""
        lease = self.storage.get_study_user_attrs(self.study_id).get(LEASE)
        if lease and lease["host"] != socket.gethostname():
            age = time.time() - lease["time"]
            if age < LEASE_SECONDS:
                raise InputError(
                    f"study {self.name!r} is being searched on {lease['host']}; if that has "
                    f"ended, try again in {LEASE_SECONDS - age:.0f} seconds"
                )

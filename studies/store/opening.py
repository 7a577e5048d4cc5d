"""Opening a storage, and what goes wrong with one, as one line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT, EIO, ENOSPC, EROFS

import optuna
from optuna.storages import BaseStorage
from sqlalchemy.exc import SQLAlchemyError

from nas.errors import InputError
from studies.store.calls import JournalFileStorage
from studies.store.url import shown

LOCK_SECONDS = 60
"""How long a write waits for others to SQLite's file."""
RACES = ("already exists", "duplicate key", "UNIQUE constraint")
OPENINGS = 10
"""Tries to open a database, while it says that another process makes its tables."""


def open_storage(url: str) -> BaseStorage:
    """The storage of an Optuna URL; a path ending in `.log` or `.journal` is a journal file.

    Raises:
        InputError: it cannot be opened, or was not written by Optuna.
    """
    try:
        for _ in range(OPENINGS):
            try:
                return _opened(url)
            except (SQLAlchemyError, optuna.exceptions.OptunaError) as error:
                said = f"{error} {error.__cause__}"
                if not any(word in said for word in RACES):
                    raise
                time.sleep(0.5)
        return _opened(url)
    except ModuleNotFoundError as error:
        raise InputError(f"--storage {shown(url)}: the driver is missing ({error})") from None
    except Exception as error:  # SQLAlchemy, Optuna and the drivers raise classes of their own
        first = shown((str(error) or type(error).__name__).splitlines()[0])
        raise InputError(
            f"--storage {shown(url)}: cannot be opened as an Optuna storage ({first}); "
            f"an example is sqlite:///{url if '/' not in url and url.endswith('.db') else 'nas.db'}"
        ) from None


def _opened(url: str) -> BaseStorage:
    if url.endswith((".log", ".journal")) and "://" not in url:
        storage: BaseStorage = JournalFileStorage(url)
    else:
        waits = {"connect_args": {"timeout": LOCK_SECONDS}}
        sqlite = url.startswith("sqlite:") and "timeout=" not in url
        storage = optuna.storages.get_storage(
            optuna.storages.RDBStorage(url, engine_kwargs=waits) if sqlite else url
        )
    storage.get_all_studies()
    return storage


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Turns what a storage raises while it is used into one line; what was recorded stays."""
    try:
        yield
    except optuna.exceptions.OptunaError as error:
        cause = shown(str(error.__cause__ or error).splitlines()[0])
        raise InputError(f"--storage {shown(url)}: {cause}; what was recorded is kept") from None
    except OSError as error:
        if error.errno not in (ENOSPC, EDQUOT, EROFS, EIO):
            raise
        where = error.filename or shown(url)
        raise InputError(f"{where}: {error.strerror}; what was recorded is kept") from None

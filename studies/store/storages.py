"""Storages that must be there already: what reads a study never makes an empty database of a typo."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT, EIO, ENOSPC, EROFS
from pathlib import Path
from urllib.parse import quote

import optuna
import sqlalchemy
from optuna.storages import BaseStorage
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from nas.errors import InputError
from studies.store.database.patience import Patience, PatientStorage
from studies.store.journal import JournalFileStorage
from studies.store.url import STORAGE, shown

JOURNALS = (".log", ".journal")
TABLES = {"studies", "trials", "version_info"}
"""Some of Optuna's, by which its databases are known."""


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna announces no new studies within."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def existing_storage(url: str, patience: Patience | None = None) -> BaseStorage:
    """The storage of an Optuna URL or a journal file, which exists and was written by Optuna.

    Args:
        patience: with a database on a server that goes away later; none makes it an error.

    Raises:
        InputError: there is none, it cannot be opened, or it belongs to another program.
    """
    path = storage_file(url)
    if path is not None:
        if not path.parent.is_dir():
            raise InputError(f"--storage {shown(url)}: there is no folder {path.parent}")
        if not path.is_file():
            raise InputError(
                f"--storage {shown(url)}: there is no file {path}; "
                f"nas search --storage {shown(url)} would make it and search"
            )
    database = _database(url)
    if database is not None and not _tables(database) >= TABLES:
        raise InputError(
            f"--storage {shown(url)}: there are no Optuna studies in this database; "
            "nas search would add the first"
        )
    return open_storage(url, patience)


def storage_file(url: str) -> Path | None:
    """The file that a storage is kept in; None for servers.

    Raises:
        InputError: not a storage, or one in memory, where another process sees nothing.
    """
    if url.endswith(JOURNALS) and "://" not in url:
        return Path(url)
    database = _database(url)
    if database is None or database.get_backend_name() != "sqlite":
        return None
    name = (database.database or "").removeprefix("file:").partition("?")[0]
    if name in ("", ":memory:"):
        raise InputError(
            f"--storage {shown(url)}: a database in memory keeps nothing for other processes"
        )
    return Path(name)


def picture_folder(url: str) -> Path:
    """Where pictures of a storage's trials are kept."""
    return _folder(url, "artifacts")


def weights_folder(url: str, study: str) -> Path:
    """Where weights that a study's trials inherit are kept."""
    # no name of a study leads out of the folder
    return _folder(url, "weights") / quote(study, safe=" ").replace(".", "%2E")


def _folder(url: str, what: str) -> Path:
    """A folder beside a storage's file, or in the user's cache."""
    path = storage_file(url)
    if path is not None:
        return path.with_name(f"{path.name}.{what}")
    digest = hashlib.blake2b(shown(url).encode(), digest_size=8).hexdigest()
    return Path.home() / ".cache" / "skipnas" / what / digest


def _database(url: str) -> URL | None:
    """The parts of a database's URL; None for what no SQL database answers to."""
    if url.endswith(JOURNALS) and "://" not in url:
        return None
    try:
        parsed = sqlalchemy.make_url(url)
    except (SQLAlchemyError, ValueError):  # ValueError: a port that is no number
        hint = f"sqlite:///{url}" if Path(url).is_file() else STORAGE
        raise InputError(
            f"--storage {shown(url)}: not the URL of a storage; an example is {hint}"
        ) from None
    return None if parsed.drivername.startswith("redis") else parsed


def _tables(database: URL) -> set[str]:
    url = shown(database.render_as_string())
    try:
        engine = sqlalchemy.create_engine(database)
        try:
            return set(sqlalchemy.inspect(engine).get_table_names())
        finally:
            engine.dispose()
    except ModuleNotFoundError as error:
        raise InputError(f"--storage {url}: the driver is missing ({error})") from None
    except SQLAlchemyError as error:
        first = shown(str(getattr(error, "orig", None) or error).splitlines()[0])
        raise InputError(
            f"--storage {url}: cannot be opened as an Optuna storage ({first})"
        ) from None


LOCK_SECONDS = 60
"""How long a write waits for others to SQLite's file."""
RACES = ("already exists", "duplicate key", "UNIQUE constraint")
OPENINGS = 10
"""Tries to open a database, while it says that another process makes its tables."""


def open_storage(url: str, patience: Patience | None = None) -> BaseStorage:
    """The storage of an Optuna URL; a path ending in `.log` or `.journal` is a journal file.

    Args:
        patience: with a database on a server that goes away later; none makes it an error.

    Raises:
        InputError: it cannot be opened, or was not written by Optuna.
    """
    try:
        for _ in range(OPENINGS):
            try:
                return _opened(url, patience)
            except (SQLAlchemyError, optuna.exceptions.OptunaError) as error:
                said = f"{error} {error.__cause__}"
                if not any(word in said for word in RACES):
                    raise
                time.sleep(0.5)
        return _opened(url, patience)
    except ModuleNotFoundError as error:
        raise InputError(f"--storage {shown(url)}: the driver is missing ({error})") from None
    except Exception as error:  # SQLAlchemy, Optuna and the drivers raise classes of their own
        first = shown((str(error) or type(error).__name__).splitlines()[0])
        raise InputError(
            f"--storage {shown(url)}: cannot be opened as an Optuna storage ({first}); "
            f"an example is sqlite:///{url if '/' not in url and url.endswith('.db') else 'nas.db'}"
        ) from None


def _opened(url: str, patience: Patience | None) -> BaseStorage:
    if url.endswith(JOURNALS) and "://" not in url:
        storage: BaseStorage = JournalFileStorage(url)
    elif patience and not url.startswith(("sqlite", "redis")):
        storage = optuna.storages.get_storage(PatientStorage(url, patience))
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

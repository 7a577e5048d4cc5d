"""Storages that must be there already: what reads a study never makes an empty database of a typo."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import quote

import sqlalchemy
from optuna.storages import BaseStorage
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from nas.errors import InputError
from studies.store.opening import open_storage
from studies.store.url import shown

JOURNALS = (".log", ".journal")
TABLES = {"studies", "trials", "version_info"}
"""Some of Optuna's, by which its databases are known."""


def existing_storage(url: str) -> BaseStorage:
    """The storage of an Optuna URL or a journal file, which exists and was written by Optuna.

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
    return open_storage(url)


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
        hint = f"sqlite:///{url}" if Path(url).is_file() else "sqlite:///nas.db"
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

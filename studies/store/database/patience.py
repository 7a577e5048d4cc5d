"""A database on a server that goes away is waited for, and what was to be done there is done again.

A connection may break when a transaction was written and only the answer is lost. So whatever is
called with a `Patience` is one whole transaction that does nothing twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from math import inf
from typing import Any, TypeVar

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

WAIT_SECONDS = 300.0
"""How long a database may be away."""
EVERY_SECONDS = 1.0
"""Between two tries to reach it."""
T = TypeVar("T")


class Patience:
    """How long a process waits for its database, and whom it tells.

    Args:
        on_away: told why, once each time that the database goes away.
        on_back: told after how many seconds it was there again.
        seconds: 0 does not wait.
    """

    def __init__(
        self,
        on_away: Callable[[str], None] = lambda why: None,
        on_back: Callable[[float], None] = lambda seconds: None,
        seconds: float = WAIT_SECONDS,
    ) -> None:
        self._on_away, self._on_back, self._seconds = on_away, on_back, seconds
        self._since: float | None = None
        self._back = -inf

    def __call__(self, act: Callable[[], T]) -> T:
        """What an act gives, which is tried again while the database is away.

        Once the time is up, or the process was interrupted, what it writes on its way out waits no
        more.
        """
        try:
            found = self._tried(act)
        except KeyboardInterrupt:
            self._seconds = 0.0
            raise
        if self._since is not None:
            self._on_back(time.monotonic() - self._since)
            self._since, self._back = None, time.monotonic()
        return found

    def seconds_back(self) -> float:
        """Since the database was last away; nobody could give it a sign of life before."""
        return time.monotonic() - self._back

    def _tried(self, act: Callable[[], T]) -> T:
        while True:
            try:
                return act()
            except (SQLAlchemyError, StorageInternalError) as error:
                if not self._seconds or not is_away(error):
                    raise
                if self._since is None:
                    self._since = time.monotonic()
                    self._on_away(_first_line(error))
                left = self._since + self._seconds - time.monotonic()
                if left <= 0:
                    self._seconds = 0.0
                    raise
                time.sleep(min(EVERY_SECONDS, left))


def is_away(error: BaseException) -> bool:
    """Whether an error says that a database broke a connection, or lets nobody connect."""
    cause = _drivers(error)
    if cause is None:
        return False
    no_connection = isinstance(cause, OperationalError) and cause.statement is None
    return cause.connection_invalidated or no_connection


def _drivers(error: BaseException | None) -> DBAPIError | None:
    """The driver's error from which one of Optuna's or SQLAlchemy's came."""
    while error is not None and not isinstance(error, DBAPIError):
        error = error.__cause__ or error.__context__
    return error


def _first_line(error: Exception) -> str:
    cause = _drivers(error)
    return str(cause.orig if cause else error).splitlines()[0]


class Transaction:
    """One transaction of several acts, which are done again, in order, where its connection broke."""

    def __init__(self, engine: sqlalchemy.Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._done: list[Callable[[Connection], Any]] = []

    def do(self, act: Callable[[Connection], T]) -> T:
        """What an act gives, after all acts before it."""
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
                for before in self._done:
                    before(self._connection)
            found = act(self._connection)
        except BaseException:
            self.close()
            raise
        self._done.append(act)
        return found

    def close(self) -> None:
        """Takes back what was not committed."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class PatientStorage(RDBStorage):
    """Optuna's storage in a database on a server, whose calls wait while that is away."""

    def __init__(self, url: str, patience: Patience) -> None:
        self.patience = patience
        super().__init__(url)


CALLS = (
    "create_new_study", "get_all_studies", "get_study_id_from_name", "get_study_name_from_id",
    "get_study_directions", "get_study_user_attrs", "get_study_system_attrs", "set_study_user_attr",
    "set_study_system_attr", "get_trial", "get_all_trials", "_get_trials",
)  # fmt: skip
"""What may be done twice (a study that is there already is opened); trials are written as rows."""


def _patient(call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def waiting(self: PatientStorage, *args: Any, **options: Any) -> Any:
        return self.patience(lambda: call(self, *args, **options))

    return waiting


for _name in CALLS:
    setattr(PatientStorage, _name, _patient(getattr(RDBStorage, _name)))


@contextmanager
def as_optunas() -> Iterator[None]:
    """Errors of SQLAlchemy as Optuna names them, whose class is caught."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StorageInternalError("the database could not be read or written") from error

"""A database that goes away: whatever the moment, what was to be written is there once it is back."""

import shutil
import sqlite3
import time
from dataclasses import replace

import optuna
import pytest
import sqlalchemy

from nas import Genome, InputError
from nas.evaluation.result import Evaluation
from studies.store.claims import Claim
from studies.store.database import patience
from studies.store.database.patience import Patience, PatientStorage
from studies.store.storages import storage_errors
from studies.store.store import Store
from studies.store.trial import Genes

RESULT = Evaluation(
    Genome.plain(4), 0, "ok", "", 0.5, (0.25, 0.5), (2.0, 1.0), (), 10, 20, 0.1, None
)  # fmt: skip
TIMES = ("datetime_start", "datetime_complete", "heartbeat")


class Gone(sqlite3.OperationalError):
    """As a driver's error when its connection broke."""


class Faults:
    """Breaks the connection at one call of the driver, before or after what it does."""

    def __init__(self, engine, patch):
        self.calls, self.at, self.after = 0, None, False
        dialect = engine.dialect
        for name in ("do_execute", "do_executemany", "do_commit"):
            patch.setattr(dialect, name, self.breaking(getattr(dialect, name)))
        patch.setattr(dialect, "is_disconnect", lambda error, *_: isinstance(error, Gone))

    def breaking(self, call):
        def broken(*arguments, **options):
            self.calls += 1
            if self.calls != self.at:
                return call(*arguments, **options)
            if self.after:
                call(*arguments, **options)
            where = arguments[0]  # a cursor or a connection
            if isinstance(where, sqlite3.Cursor):
                cursor, where = where, where.connection
                cursor.close()  # what was not fetched of a SELECT would be a lock
            where.rollback()  # as a server does
            raise Gone("it went away")

        return broken


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(patience, "EVERY_SECONDS", 0.001)


def patient(path, *told, **options):
    return PatientStorage(f"sqlite:///{path}", Patience(*told, **options))


def work(storage, space):
    """All that a process does with a study; what it was told."""
    store = Store.open(storage, "study", {"strategy": "random"}, [True], ["accuracy"])
    store.report_seconds = 0
    genome = Genome.residual(4)
    told = []

    def add(number):
        told.append(store.add(number, genome, {"n": number}, Genes.of(genome, space), {"m": 1}))

    with store.joined("sqlite:///"):
        store.me = "me"  # of the same name every time
        told.append(store.take_lost())
        add(0)
        store.judge(0, {"rung": 1})
        store.report(0, 1, 0.25)
        with store.together():
            add(1)
            told.append(store.finish(0, RESULT, (0.5,)))
        with store.together():
            add(2)
            told.append(store.finish(1, replace(RESULT, status="failed"), ()))
        store.give_back([2])
        told.append([(trial.number, times) for trial, times in store.take_lost()])
        store._renewed = -1000.0
        store.renew()
        told.append(store.finish(2, RESULT, (0.5,)))
        store.note("nas:ended", "well")
        told.append(len(store.trials()))
    return told


def content(path):
    """Every row of a database, less ids and times; a trial by its number."""
    database = sqlalchemy.create_engine(f"sqlite:///{path}")
    tables = sqlalchemy.MetaData()
    tables.reflect(database)
    with database.connect() as connection:
        numbers = dict(connection.execute(sqlalchemy.text("SELECT trial_id, number FROM trials")).all())  # fmt: skip

        def told(row):
            row = {k: numbers[v] if k == "trial_id" else v for k, v in row.items()}
            return sorted((k, str(v)) for k, v in row.items() if k not in TIMES and (k == "trial_id" or not k.endswith("_id")))  # fmt: skip

        found = {
            name: sorted(told(row._mapping) for row in connection.execute(sqlalchemy.select(table)))
            for name, table in tables.tables.items()
        }
    database.dispose()
    return found


@pytest.mark.parametrize("every", [29, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_wherever_the_connection_breaks_everything_is_written_once(
    tmp_path, small_space, soon, monkeypatch, after, every
):
    whole = work(patient(tmp_path / "whole.db"), small_space)
    patient(tmp_path / "empty.db").engine.dispose()
    assert whole == [[], True, True, True, True, True, [(2, 1)], True, 3]
    expected, at, waited = content(tmp_path / "whole.db"), 1 - every, []
    while True:
        at += every
        path, told = tmp_path / f"{at}.db", []
        shutil.copy(tmp_path / "empty.db", path)
        storage = patient(path, told.append, lambda seconds, told=told: told.append("back"))
        with monkeypatch.context() as patch:
            faults = Faults(storage.engine, patch)
            faults.at, faults.after = at, after
            found = work(storage, small_space)
        storage.engine.dispose()
        if faults.calls < at:
            break
        waited.append(told)
        assert found == whole, at
        assert content(path) == expected, at
        path.unlink()
    assert len(waited) > 100 / every
    assert sum(not told for told in waited) < 2  # Optuna reads some trials in another way then
    assert all(told == [] or (len(told) == 2 and told[1] == "back") for told in waited)
    assert waited[0][0].startswith("it went away")


def test_what_another_process_was_faster_with_is_its_own(tmp_path, small_space, soon, monkeypatch):
    """The connection breaks before the commit, and another makes the trial in the meantime."""
    storage = patient(tmp_path / "a.db")
    store = Store.open(storage, "study", {"strategy": "random"}, [True], ["accuracy"])
    other = Store.load(storage, "study")
    store.me, other.me = "me", "other"
    store.add(0, Genome.plain(4), {})
    with monkeypatch.context() as patch:
        faults = Faults(storage.engine, patch)

        def meanwhile(seconds):
            faults.at = None
            other.add(1, Genome.plain(4), {})

        patch.setattr(time, "sleep", meanwhile)
        with store.together():
            assert store.add(1, Genome.plain(4), {})
            store.finish(0, RESULT, (0.5,))
            faults.at = faults.calls + 1
    assert [trial.state.name for trial in store.trials()] == ["COMPLETE", "RUNNING"]
    assert [one.claim for one in store.records.claims()] == [Claim("other")]
    assert not store.finish(1, RESULT, (0.9,))
    assert other.finish(1, RESULT, (0.5,))
    assert [trial.values for trial in store.trials()] == [(0.5,), (0.5,)]


@pytest.mark.parametrize("why", ["time", "interrupt"])
def test_a_wait_that_ends_is_an_error_at_once_from_then_on(tmp_path, soon, monkeypatch, why):
    told, slept = [], []
    storage = patient(tmp_path / "a.db", told.append, seconds=30)
    store = Store.open(storage, "study", {"strategy": "random"}, [True], ["accuracy"])
    clock = iter(range(0, 1000, 7))

    def sleep(seconds):
        slept.append(seconds)
        if why == "interrupt":
            raise KeyboardInterrupt

    monkeypatch.setattr(patience.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(patience.time, "sleep", sleep)

    def gone(*_):
        raise Gone("nobody there")

    monkeypatch.setattr(storage.engine.dialect, "is_disconnect", lambda error, *_: True)
    monkeypatch.setattr(storage.engine.dialect, "do_execute", gone)
    url = "postgresql://me:secret@host/nas"
    with (
        pytest.raises(KeyboardInterrupt if why == "interrupt" else InputError) as raised,
        storage_errors(url),
    ):
        store.trials()
    assert len(told) == 1
    assert len(slept) == (1 if why == "interrupt" else 4)
    if why == "time":
        assert "nobody there; what was recorded is kept" in str(raised.value)
        assert "secret" not in str(raised.value)
    before = len(slept)
    with pytest.raises(optuna.exceptions.StorageInternalError):
        store.trials()
    with pytest.raises(optuna.exceptions.StorageInternalError):
        store.note("a", 1)
    assert (len(told), len(slept)) == (1, before)


def test_nobody_is_taken_for_dead_who_could_give_no_sign_of_life(tmp_path, soon, monkeypatch):
    storage = patient(tmp_path / "a.db")
    store = Store.open(storage, "study", {"strategy": "random"}, [True], ["accuracy"])
    store.me = "0123456789abcdef-elsewhere"
    store.add(0, Genome.plain(4), {})
    other = Store.load(storage, "study")
    other.me = "other"
    with storage.engine.begin() as database:
        database.execute(sqlalchemy.text("UPDATE trial_heartbeats SET heartbeat = '2020-01-01'"))
    with monkeypatch.context() as patch:
        faults = Faults(storage.engine, patch)
        faults.at = 1
        assert other.take_lost() == []
    monkeypatch.setattr(storage.patience, "seconds_back", lambda: 90.0)
    assert [trial.number for trial, _ in other.take_lost()] == [0]


def test_other_errors_are_not_waited_for(tmp_path):
    told = []
    store = Store.open(patient(tmp_path / "a.db", told.append), "a", {}, [True], ["accuracy"])
    store.storage.engine.dispose()
    (tmp_path / "a.db").write_text("my notes\n" * 500)
    with pytest.raises(optuna.exceptions.StorageInternalError):
        store.trials()
    assert told == []

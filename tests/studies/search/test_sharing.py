"""Several processes on one study: they share the work, and none that dies takes a trial with it."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy

import studies.search.machines
import studies.store.store
from nas import Genome, InputError
from nas.evaluation.result import failed
from nas.strategies.problem import PastTrial
from nas.workers.process_pool import Workers
from studies.cli.interrupt import Interrupt
from studies.search.join import Joining, join_study
from studies.search.records import CLAIMS, with_results
from studies.search.run import Watcher, run_search
from studies.store import claims
from studies.store.claims import GRACE_SECONDS, Claim, Presence, is_alive
from studies.store.names import GOAL
from studies.store.storages import open_storage
from studies.store.store import Store
from tests.studies import searches
from tests.studies.searches import command, request, trials_of


def worker(storage, *more):
    return [
        sys.executable, "-c", "from studies.cli import main; main()", "worker", "--storage", storage,
        "--study", "shared", "--workers", "1", "--device", "cpu", "--json", *more,
    ]  # fmt: skip


class Running:
    """A command whose JSON lines are read."""

    def __init__(self, arguments, stack):
        self.process = stack.enter_context(
            subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, start_new_session=True)
        )
        stack.callback(self.process.kill)
        self.evaluated = []

    def read(self, count=None):
        """Until `count` evaluations were said, or to the end."""
        for line in self.process.stdout:
            said = json.loads(line)
            if said["event"] == "evaluated":
                self.evaluated.append(said["number"])
                if len(self.evaluated) == count:
                    return
            elif said["event"] == "started" and count == 0:
                return


@pytest.mark.slow
def test_two_searches_started_at_once_share_the_work(undisturbed, small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/shared.db"
    with ExitStack() as stack:
        both = [Running(command(small_toml, storage, "--workers", "1"), stack) for _ in range(2)]
        for one in both:
            one.read()
            assert one.process.wait() == 0
        assert sorted(both[0].evaluated + both[1].evaluated) == list(range(24))
        assert all(one.evaluated for one in both)
    assert trials_of(storage) == undisturbed


@pytest.mark.slow
def test_workers_in_postgresql_survive_the_death_of_the_search(undisturbed, small_toml, postgresql):
    with ExitStack() as stack:
        search = Running(
            command(small_toml, postgresql, "--study", "shared", "--workers", "1"), stack
        )
        search.read(2)
        workers = [Running(worker(postgresql), stack) for _ in range(2)]
        workers[0].read(0)
        search.process.kill()
        workers[1].read(1)
        workers[1].process.kill()
        workers[0].read()
        assert workers[0].process.wait() == 0
    assert trials_of(postgresql, "shared") == undisturbed


@pytest.mark.slow
def test_a_worker_goes_on_with_the_finalists(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/finals.db"
    asked = request(
        small_toml, storage, evaluations=8, contenders=2, contender_seeds=2, finalists=1,
        finalist_seeds=3, study="shared",
    )  # fmt: skip
    alone = run_search(replace_storage(asked, f"sqlite:///{tmp_path}/alone.db"))

    class Helper(Watcher):
        """Somebody who joins while the finalists are trained, and trains some of them."""

        helped = None

        def finals(self, done, total):
            if done == 0 and self.helped is None:
                self.helped = subprocess.Popen(worker(storage), stdout=subprocess.DEVNULL)

    helper = Helper()
    result = run_search(asked, helper)
    assert helper.helped.wait(300) == 0
    assert [(row.name, row.accuracies) for row in result.finalists] == [
        (row.name, row.accuracies) for row in alone.finalists
    ]
    keys = [(t[5]["notation"], t[5]["seed"]) for t in trials_of(storage, "shared-finalists")]
    assert len(keys) == len(set(keys)) == 12


def replace_storage(asked, storage):
    from dataclasses import replace

    return replace(asked, storage=storage)


@pytest.fixture
def begun(small_toml, tmp_path):
    """A study of five trials, the last of which is running, claimed by a process of another machine."""
    storage = f"sqlite:///{tmp_path}/begun.db"
    run_search(request(small_toml, storage, evaluations=5, study="shared"))
    with sqlalchemy.create_engine(storage).begin() as database:
        database.execute(sqlalchemy.text("UPDATE trials SET state = 'RUNNING' WHERE number = 4"))
    claim(storage, Claim("0123456789abcdef-elsewhere"))
    return storage


def claim(storage, claim, seconds=0):
    """Claims the running trial, as of so many seconds ago."""
    with sqlalchemy.create_engine(storage).begin() as database:
        text = json.dumps({"owner": claim.owner, "times": claim.times})
        database.execute(
            sqlalchemy.text(
                "UPDATE trial_system_attributes SET value_json = :text WHERE key = 'nas:claim' "
                "AND trial_id = (SELECT trial_id FROM trials WHERE number = 4)"
            ),
            {"text": text},
        )
        ago = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=seconds)
        database.execute(
            sqlalchemy.text(
                "UPDATE trial_heartbeats SET heartbeat = :ago WHERE "
                "trial_id = (SELECT trial_id FROM trials WHERE number = 4)"
            ),
            {"ago": ago},
        )


def test_trials_of_another_machine_are_left_to_it_while_it_lives(begun):
    store = Store.load(open_storage(begun), "shared")
    with store.joined(begun):
        assert store.take_lost() == []
        claim(begun, Claim("0123456789abcdef-elsewhere"), seconds=GRACE_SECONDS + 5)
        [(trial, times)] = store.take_lost()
        assert (trial.number, times) == (4, 2)
        assert store.take_lost() == []


def test_a_trial_that_was_given_back_is_free_at_once(begun):
    claim(begun, Claim("", 0))
    store = Store.load(open_storage(begun), "shared")
    with store.joined(begun):
        assert [(t.number, times) for t, times in store.take_lost()] == [(4, 1)]
    # it was not evaluated, so leaving gave it back
    with store.joined(begun):
        assert [(t.number, times) for t, times in store.take_lost()] == [(4, 1)]


def test_who_was_taken_for_dead_and_comes_back_records_nothing(begun, small_space, monkeypatch):
    claim(begun, Claim("0123456789abcdef-elsewhere"), seconds=GRACE_SECONDS + 5)
    first, second = (Store.load(open_storage(begun), "shared") for _ in range(2))
    result = failed(Genome.plain(4), small_space.skeleton, 0, "test")
    with first.joined(begun):
        first.take_lost()
        claim(begun, Claim(first.me, 2), seconds=GRACE_SECONDS + 5)
        with second.joined(begun), monkeypatch.context() as patch:
            patch.setattr(claims, "is_alive", lambda name: None)  # as from elsewhere
            assert [t.number for t, _ in second.take_lost()] == [4]
            before = trials_of(begun)[4]
            first.judge(4, {"rung": 9})
            first.report(4, 3, 0.9)
            assert not first.finish(4, result, ())
            assert trials_of(begun)[4] == before
            assert before[2] == "RUNNING"
            assert second.finish(4, result, ())
            assert trials_of(begun)[4][2] == "FAIL"


def test_two_that_take_the_same_trial_at_once_do_not_both_get_it(begun, small_space):
    claim(begun, Claim("", 0), seconds=0)
    first, second = (Store.load(open_storage(begun), "shared") for _ in range(2))
    with first.joined(begun), second.joined(begun):
        seen = second.records.claims()
        assert len(first.take_lost()) == 1
        second.records.claims = lambda: seen
        assert second.take_lost() == []
        first.finish(4, failed(Genome.plain(4), small_space.skeleton, 0, "test"), ())
        assert not first.records.take(seen[0].number, Claim(first.me, 1), Claim(second.me))


def test_a_trial_that_no_search_survives_has_failed_and_the_search_goes_on(begun, small_toml):
    claim(begun, Claim("0123456789abcdef-elsewhere", CLAIMS), seconds=GRACE_SECONDS + 5)
    result = run_search(request(small_toml, begun, evaluations=8, study="shared"))
    assert len(result.trials) == 8
    assert result.trials[4].state.name == "FAIL"
    assert result.trials[4].attrs["why"] == f"{CLAIMS} searches ended while it ran"


def test_signs_of_life_do_not_depend_on_time_zones(small_toml, postgresql, monkeypatch):
    run_search(request(small_toml, postgresql, evaluations=3, study="shared"))
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    Store.load(open_storage(postgresql), "shared").add(3, Genome.plain(4), {})
    monkeypatch.setenv("PGTZ", "America/New_York")
    [claimed] = Store.load(open_storage(postgresql), "shared").records.claims()
    assert 0 <= claimed.age < GRACE_SECONDS


def test_who_is_alive():
    with Presence() as here:
        assert is_alive(here.name)
        code = f"from studies.store.claims import is_alive; assert is_alive({here.name!r})"
        subprocess.run([sys.executable, "-c", code], check=True)
    assert not is_alive(here.name)
    dead = "from studies.store.claims import *; p = Presence(); p.__enter__(); print(p.name, flush=True); import os; os.kill(os.getpid(), 9)"
    said = subprocess.run([sys.executable, "-c", dead], check=False, capture_output=True, text=True)
    assert not is_alive(said.stdout.strip())
    assert is_alive("0123456789abcdef-elsewhere") is None


@pytest.mark.slow
def test_a_journal_file_is_for_one_process_at_a_time(small_toml, tmp_path):
    storage = str(tmp_path / "held.log")
    run_search(request(small_toml, storage, evaluations=3, study="shared"))
    with (
        Store.load(open_storage(storage), "shared").joined(storage),
        pytest.raises(InputError, match="is being searched by another process"),
    ):
        run_search(request(small_toml, storage, study="shared"))
    run_search(request(small_toml, storage, evaluations=4, study="shared"))


@pytest.mark.slow
def test_a_journal_respects_another_machine(small_toml, tmp_path):
    storage = str(tmp_path / "lease.log")
    run_search(request(small_toml, storage, evaluations=3, study="shared"))
    store = Store.load(open_storage(storage), "shared")
    store.note("nas:lease", {"host": "elsewhere", "time": time.time()})
    with pytest.raises(InputError, match="is being searched on elsewhere"):
        run_search(request(small_toml, storage, study="shared"))
    store.note("nas:lease", {"host": "elsewhere", "time": time.time() - 100})
    run_search(request(small_toml, storage, evaluations=4, study="shared"))


def test_a_journal_is_kept_from_other_machines_while_finalists_are_trained(
    small_toml, tmp_path, monkeypatch
):
    monkeypatch.setattr(studies.store.store, "BEAT_SECONDS", -1)
    storage, times = str(tmp_path / "lease.log"), []

    class Outdating(Watcher):
        def finals(self, done, total):
            store = Store.load(open_storage(storage), "shared")
            times.append(store.notes()["nas:lease"]["time"])
            store.note("nas:lease", {"host": "elsewhere", "time": 0.0})

    asked = request(
        small_toml, storage, evaluations=5, study="shared", finalists=1, finalist_seeds=2
    )
    searches.run_search(asked, Outdating())
    assert len(times) > 2
    assert 0.0 not in times


def test_a_worker_needs_the_study_and_a_device_of_its_kind(begun, monkeypatch):
    with pytest.raises(InputError, match=r"study 'sharde'"):
        join_study(Joining(study="sharde", storage=begun, device="cpu", wait=0))
    monkeypatch.setattr(
        studies.search.machines, "device_kind", lambda *_: {"type": "cpu", "torch": "1.0"}
    )
    with pytest.raises(InputError, match=r'device.torch is ".*", not "1.0"'):
        join_study(Joining(study="shared", storage=begun, device="cpu"))
    assert len(trials_of(begun)) == 5


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_finishes_what_runs(undisturbed, small_toml, tmp_path, number):
    storage = f"sqlite:///{tmp_path}/once.db"
    with ExitStack() as stack:
        search = Running(command(small_toml, storage, "--workers", "2"), stack)
        search.read(3)
        os.killpg(search.process.pid, number)  # as a terminal and Slurm do
        search.read()
        assert search.process.wait() == 130
    stopped = trials_of(storage)
    assert {trial[2] for trial in stopped} == {"COMPLETE"}
    assert 3 <= len(stopped) <= 8
    run_search(request(small_toml, storage))
    assert trials_of(storage) == undisturbed


@pytest.mark.slow
def test_two_signals_stop_at_once(undisturbed, small_toml, tmp_path, monkeypatch):
    storage = f"sqlite:///{tmp_path}/twice.db"
    slow = tmp_path / "slow.toml"
    slow.write_text(small_toml.read_text().replace("epochs = 2", "epochs = 4000"))
    with ExitStack() as stack:
        search = Running(command(slow, storage, "--workers", "1"), stack)
        search.read(0)
        while len(trials_of(storage)) < 1:
            time.sleep(0.1)
        time.sleep(1)
        search.process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            search.process.wait(3)
        search.process.send_signal(signal.SIGINT)
        assert search.process.wait(100) == 130
    assert {trial[2] for trial in trials_of(storage)} == {"RUNNING"}
    opened = open_storage(storage)
    store = Store.load(opened, opened.get_all_studies()[0].study_name)
    with store.joined(storage):  # given back, so free at once and for everybody
        assert [times for _, times in store.take_lost()][:1] == [1]


@pytest.mark.slow
def test_a_search_does_not_wait_longer_than_its_own_time_for_others(begun, small_toml):
    result = run_search(request(small_toml, begun, evaluations=9, study="shared", max_seconds=8))
    assert result.outcome.reason == "clock"
    assert result.trials[4].state.name == "RUNNING"
    assert len(result.trials) > 5  # the lag lets the others be proposed


def test_a_search_does_not_wait_for_trials_beyond_its_own_number(begun, small_toml):
    result = run_search(request(small_toml, begun, evaluations=4, study="shared"))
    assert result.outcome.reason == "budget"
    assert result.trials[4].state.name == "RUNNING"


@pytest.mark.slow
def test_a_worker_whose_time_is_up_trains_no_finalists_of_half_a_study(begun):
    store = Store.load(open_storage(begun), "shared")
    store.note(GOAL, {**store.notes()[GOAL], "finalists": 1, "evaluations": 7})
    result = join_study(Joining(study="shared", storage=begun, device="cpu", max_seconds=2))
    assert result.outcome.reason == "clock"
    assert [s.study_name for s in open_storage(begun).get_all_studies()] == ["shared"]


def test_how_far_a_lost_trial_came_says_nothing():
    """Its curve is longer where an earlier try came further, which a resumed search would see."""
    past = PastTrial(0, Genome.plain(4), None, inside=True, parent=False)
    for status in ("out of memory", "failed"):
        record = with_results(past, (0.0,), status, {1: 0.5}, {"rung": 1})
        assert record.curve == record.judged == {}


def test_a_message_that_nobody_reads_does_not_end_the_search(monkeypatch):
    def closed(*_):
        raise BrokenPipeError

    with Interrupt("said") as stop:
        monkeypatch.setattr(os, "write", closed)
        signal.raise_signal(signal.SIGINT)
        assert stop()


def test_a_pool_that_only_waits_does_not_spin(begun, small_toml, monkeypatch):
    asked = []
    reports = Workers.reports
    monkeypatch.setattr(
        Workers, "reports", lambda self, timeout: asked.append(1) or reports(self, timeout)
    )
    run_search(request(small_toml, begun, evaluations=5, study="shared", max_seconds=3))
    assert len(asked) < 30

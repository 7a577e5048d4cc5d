"""The simulator of tests/benchmarks/scaling.py against closed forms and a pencil."""

import numpy as np
import pytest

from nas.strategies.problem import Problem
from studies.search.settings import recorded_space
from studies.store.storages import existing_storage
from studies.store.store import Store
from tests.benchmarks.scaling import Replica, simulate


@pytest.mark.parametrize(("workers", "lag"), [(1, 1), (4, 4), (4, 8), (50, 50), (50, 49)])
def test_equal_durations_keep_everyone_busy_within_the_lag(workers, lag):
    line = simulate(np.full(20 * workers, 3.0), workers, lag)
    assert line.seconds == pytest.approx(20 * 3.0)
    assert line.utilisation == pytest.approx(1)
    assert line.per_minute == pytest.approx(60 * workers / 3.0)


@pytest.mark.parametrize(("workers", "lag"), [(16, 8), (100, 1), (1000, 8)])
def test_beyond_the_lag_one_more_than_the_lag_runs_at_once(workers, lag):
    # k needs the results before k - lag: it can run beside k - lag, ..., k - 1.
    line = simulate(np.full(40 * (lag + 1), 2.0), workers, lag)
    assert line.utilisation == pytest.approx((lag + 1) / workers)
    running = [(line.starts <= at) & (at < line.ends) for at in np.arange(0.5, line.seconds)]
    assert {int(row.sum()) for row in running} == {lag + 1}


def test_a_straggler_holds_up_what_must_see_it():
    # Two workers, lag 2. Trials 0, 1 and 2 see nothing; 3 sees 0, 4 sees 0 and 1, and so on.
    # 0: 0 to 5 on A; 1: 0 to 1 on B; 2: 1 to 2 on B; 3: B is idle at 2, but 0 ends at 5.
    # A and B are both idle at 5: 3: 5 to 6; 4: 5 to 8; 5 sees 2, on the first: 6 to 7; 6 sees 3: 7 to 8.
    line = simulate([5, 1, 1, 1, 3, 1, 1], workers=2, lag=2)
    assert line.starts.tolist() == [0, 0, 1, 5, 5, 6, 7]
    assert line.ends.tolist() == [5, 1, 2, 6, 8, 7, 8]
    assert line.utilisation == pytest.approx(13 / 16)


def test_a_long_lag_lets_others_go_on_beside_a_straggler():
    line = simulate([5, 1, 1, 1, 1, 1], workers=2, lag=6)
    assert line.starts.tolist() == [0, 0, 1, 2, 3, 4]
    assert line.utilisation == 1


def test_the_storage_serves_one_trial_at_a_time():
    line = simulate([1.0] * 6, workers=3, lag=3, overhead=0.25)
    # The first round starts at 0.25, 0.5 and 0.75; each worker comes back a second later.
    assert line.starts.tolist() == [0.25, 0.5, 0.75, 1.5, 1.75, 2.0]
    assert line.utilisation == pytest.approx(6 / (3 * 3.0))
    crowded = simulate([1.0] * 4000, workers=1000, lag=1000, overhead=0.25)
    assert crowded.per_minute == pytest.approx(60 / 0.25, rel=0.001)


def test_nobody_sees_what_is_not_there_and_nobody_waits_for_nothing():
    seconds = np.random.default_rng(0).exponential(1.0, 300)
    for workers, lag in ((1, 5), (7, 3), (7, 7), (7, 20)):
        line = simulate(seconds, workers, lag)
        for k in range(len(seconds)):
            before = line.ends[: max(0, k - lag)]
            running = (line.starts[:k] <= line.starts[k]) & (line.starts[k] < line.ends[:k])
            assert running.sum() < workers
            assert before.size == 0 or before.max() <= line.starts[k]
            # It starts at an end of another trial, or at once.
            assert line.starts[k] == 0 or line.starts[k] in line.ends


def test_a_replica_proposes_what_the_search_proposed(searched):
    storage = existing_storage(f"sqlite:///{searched}")
    store = next(
        store
        for store in (Store.load(storage, s.study_name) for s in storage.get_all_studies())
        if "strategy" in store.settings
    )
    settings = store.settings
    problem = Problem(recorded_space(settings), (1.0,), population=settings["population"])
    replica = Replica("regularized", problem, settings["lag"], settings["seed"], noise=0)
    for trial in store.trials():
        assert replica.propose() == trial.genome, trial.number
        replica.tell(trial.genome, trial.attrs["accuracy"])

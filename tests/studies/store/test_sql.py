"""What is written and read directly is what Optuna's own calls write and read."""

import math
import os
import time
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import optuna
import pytest
import sqlalchemy
from optuna.storages._rdb import models
from optuna.trial import TrialState

from nas import Genome, InputError
from nas.evaluation.result import Evaluation
from studies.store.calls import OptunaTrials
from studies.store.claims import CLAIM
from studies.store.database.sql import SqlTrials
from studies.store.storages import open_storage
from studies.store.store import Store
from studies.store.trial import Genes, distributions, nondominated_values
from studies.store.trials import trials_in

FAST = Evaluation(
    Genome.plain(4), 0, "ok", "", 0.5, (0.25, 0.5), (2.0, 1.0), ((1.0, 2.0), (0.5, math.inf)),
    10, 20, 0.1, None,
)  # fmt: skip


@pytest.fixture(params=["sqlite", "journal", "postgresql"])
def url(request, tmp_path):
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql")
    return f"sqlite:///{tmp_path}/a.db" if request.param == "sqlite" else f"{tmp_path}/a.log"


def opened(url, objectives=2, name="study"):
    return Store.open(
        open_storage(url), name, {"strategy": "random"}, [True, False][:objectives],
        ["accuracy", "params"][:objectives],
    )  # fmt: skip


def fill(store, space):
    """Trials of every state, inside and outside the space, with values that are hard to write."""
    inside = Genome.parse("add(1) concat(1,2@0.5) - add(1,2,3)")
    outside = Genome.parse("gate(1) -*3")
    finished = [
        (FAST, (0.5, math.inf)), (FAST, (-math.inf, 1e-300)),
        (replace(FAST, status="diverged", accuracy=0.0, losses=(math.nan,)), (0.0, 0.1 + 0.2)),
        (replace(FAST, status="pruned"), (0.5, 3.0)), (replace(FAST, status="failed"), (0.0, 0.0)),
    ]  # fmt: skip
    attrs = {"parents": [1, 2], "role": "ä 'quoted'", "seed": None}
    for number, (evaluation, values) in enumerate(finished):
        genome = outside if number == 1 else inside
        genes = Genes.of(genome, space) if genome in space else None
        store.add(number, genome, attrs, genes, {"sampler:generation": number})
        store.report(number, 1, math.nan)
        store.report(number, 2, math.inf)
        store.judge(number, {"rung": 1})
        store.finish(number, evaluation, values)
    store.add(len(finished), inside, attrs, Genes.of(inside, space))
    store.report_seconds = 0
    store.judge(len(finished), {"rung": 0})
    store.report(len(finished), 1, 0.1)
    store.report_seconds = math.inf
    store.report(len(finished), 2, -math.inf)
    return inside, outside


def same(value):
    """NaN is not equal to itself, and attributes have no order."""
    if isinstance(value, dict):
        return sorted((key, same(one)) for key, one in value.items())
    return repr(value)


def test_reading_directly_is_reading_through_optuna(url, small_space):
    opened(url, name="beside").add(0, Genome.plain(4), {})
    store = opened(url)
    inside, outside = fill(store, small_space)
    trials = Store.load(open_storage(url), "study").trials()
    calls = OptunaTrials(open_storage(url), store.study_id).read(0)
    assert [same(vars(trial)) for trial in trials] == [same(vars(trial)) for trial in calls]
    states = [trial.state.name for trial in trials]
    assert states == ["COMPLETE"] * 3 + ["PRUNED", "FAIL", "RUNNING"]
    assert trials[0].values == (0.5, math.inf)
    assert trials[1].values == (-math.inf, 1e-300)
    assert trials[2].values == (0.0, 0.30000000000000004)
    assert trials[4].values is trials[5].values is None
    assert [trial.genome for trial in trials[:2]] == [inside, outside]
    assert trials[0].genes == small_space.params_of(inside)
    assert list(trials[0].genes) == [gene.name for gene in small_space.genes]
    assert trials[1].genes == {}
    assert same(trials[0].curve) == same({1: math.nan, 2: math.inf})
    assert trials[5].curve == {1: 0.1}  # the second followed too fast, and is written later
    assert trials[5].attrs["pruner"] == {"rung": 0}
    assert trials[3].memory == {"sampler:generation": 3}


def test_optuna_reads_what_it_would_have_written(url, small_space, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")  # times are kept in UTC
    time.tzset()
    try:
        fill(opened(url), small_space)
        monkeypatch.setattr(SqlTrials, "of", lambda *_: None)
        fill(opened(url, name="calls"), small_space)
        mine, theirs = (
            optuna.load_study(study_name=name, storage=open_storage(url)).get_trials()
            for name in ("study", "calls")
        )
        for one, other in zip(mine, theirs, strict=True):
            one.system_attrs.pop(CLAIM, None)  # where several processes may write
            for name in ("number", "state", "user_attrs", "system_attrs", "intermediate_values"):
                assert same(getattr(one, name)) == same(getattr(other, name))
            assert same(one.values) == same(other.values)
            assert (one.params, one.distributions) == (other.params, other.distributions)
            assert one.distributions in ({}, distributions(small_space))
            assert abs(one.datetime_start - datetime.now()) < timedelta(minutes=10)
            assert (one.datetime_complete is None) == (other.datetime_complete is None)
            if one.datetime_complete:
                assert one.datetime_complete >= one.datetime_start
    finally:
        monkeypatch.undo()
        time.tzset()


def test_databases_are_read_directly_and_other_storages_through_calls(url, tmp_path):
    records = opened(url).records
    assert type(records) is (OptunaTrials if url.endswith(".log") else SqlTrials)


def test_another_processs_trial_is_noticed(url, small_space):
    store = opened(url)
    store.add(0, Genome.plain(4), {}, Genes.of(Genome.plain(4), small_space))
    optuna.load_study(study_name="study", storage=open_storage(url)).ask()
    assert not store.add(1, Genome.residual(4), {}, Genes.of(Genome.residual(4), small_space))
    trials = open_storage(url).get_all_trials(store.study_id)
    assert [t.state for t in trials[:2]] == [TrialState.RUNNING] * 2
    assert not [t for t in trials[2:] if t.state != TrialState.FAIL]


def test_a_second_look_sees_what_came_meanwhile(url, small_space):
    """Trials that had finished are not read again; those that had not are."""
    store, reader = opened(url), Store.load(open_storage(url), "study")
    for number in range(3):
        store.add(
            number, Genome.plain(4), {"number": number}, Genes.of(Genome.plain(4), small_space)
        )
    store.finish(0, FAST, (0.5, 10.0))
    store.finish(2, FAST, (0.5, 10.0))
    assert [t.state.name for t in reader.trials()] == ["COMPLETE", "RUNNING", "COMPLETE"]
    store.finish(1, FAST, (0.25, 1.0))
    store.add(3, Genome.plain(4), {"number": 3}, Genes.of(Genome.plain(4), small_space))
    again = reader.trials()
    assert [t.state.name for t in again] == ["COMPLETE"] * 3 + ["RUNNING"]
    assert again[1].values == (0.25, 1.0)
    assert [same(vars(t)) for t in again] == [
        same(vars(t)) for t in Store.load(open_storage(url), "study").trials()
    ]


def test_a_trial_is_two_writes(small_space, tmp_path, monkeypatch):
    """Created with its genome, then everything that was measured, in one write each."""
    path = tmp_path / "a.log"
    store = opened(str(path))
    writes = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: writes.append(path.stat().st_size))
    store.report_seconds = math.inf
    store.add(0, Genome.plain(4), {}, Genes.of(Genome.plain(4), small_space))
    store.report(0, 1, 0.5)
    store.finish(0, FAST, (0.5, 10.0))
    assert len(writes) == 2


def test_what_is_written_together_is_there_as_a_whole(url, small_space):
    """The end of one trial and the beginning of the next; a journal's writes are there at once."""
    store, reader = opened(url), Store.load(open_storage(url), "study")
    store.add(0, Genome.plain(4), {}, Genes.of(Genome.plain(4), small_space))
    transaction = not url.endswith(".log")

    def write(number):
        store.add(number, Genome.plain(4), {}, Genes.of(Genome.plain(4), small_space))
        store.finish(number - 1, FAST, (0.5, 10.0))

    if transaction:
        with pytest.raises(KeyboardInterrupt), store.together():
            write(1)
            raise KeyboardInterrupt
        assert [t.state.name for t in reader.trials()] == ["RUNNING"]
    commits = []
    if transaction:
        sqlalchemy.event.listen(store.records.engine, "commit", commits.append)
    with store.together():
        write(1)
        assert [t.state.name for t in reader.trials()] == (
            ["RUNNING"] if transaction else ["COMPLETE", "RUNNING"]
        )
    assert [t.state.name for t in reader.trials()] == ["COMPLETE", "RUNNING"]
    assert len(commits) == transaction


def test_a_number_that_is_taken_does_not_take_back_what_else_was_written(url, small_space):
    store = opened(url)
    store.add(0, Genome.plain(4), {}, Genes.of(Genome.plain(4), small_space))
    other = Store.load(open_storage(url), "study")
    other.add(1, Genome.residual(4), {})
    with store.together():
        assert not store.add(1, Genome.plain(4), {}, Genes.of(Genome.plain(4), small_space))
        assert store.finish(0, FAST, (0.5, 10.0))
    trials = open_storage(url).get_all_trials(store.study_id)
    assert [t.state for t in trials[:2]] == [TrialState.COMPLETE, TrialState.RUNNING]
    assert trials[1].user_attrs["notation"] == str(Genome.residual(4))
    assert not [t for t in trials[2:] if t.state != TrialState.FAIL]


def test_the_front_is_optunas(url, small_space):
    store = opened(url)
    for number, values in enumerate([(0.5, 3), (0.5, 3), (0.6, 9), (0.4, 9), (math.inf, 9)]):
        store.add(number, Genome.plain(4), {}, Genes.of(Genome.plain(4), small_space))
        store.finish(number, FAST, values)
    best = optuna.load_study(study_name="study", storage=open_storage(url)).best_trials
    values = np.array([trial.values for trial in store.trials()])
    front = np.flatnonzero(nondominated_values(values, store.maximise))
    assert list(front) == [trial.number for trial in best] == [0, 1, 4]


def test_tables_that_are_not_as_known_are_refused_with_a_way_out(tmp_path, monkeypatch):
    """Rather than to go on slowly, without sharing."""
    storage = open_storage(f"sqlite:///{tmp_path}/a.db")
    monkeypatch.delattr(models, "TrialHeartbeatModel")
    with pytest.raises(InputError, match=r"pip install 'optuna>=5\.0,<5\.1'"):
        trials_in(storage, 1)

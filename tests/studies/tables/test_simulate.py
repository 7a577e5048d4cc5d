"""Searches in a made-up table: what they miss, against brute force."""

import json
from dataclasses import replace

import numpy as np
import pytest

from nas import InputError, Table
from nas.tables.rows import Rows
from studies.tables.comparison import compared
from studies.tables.simulate import Judge, Simulation, simulate
from tests.helpers import nas, refused
from tests.nas.tables.tables import SPACE, contents


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "tiny.npz"
    contents().write(path)
    return path


@pytest.fixture(scope="module")
def table(path):
    return Table(path)


def test_regret_is_what_the_other_seeds_say_of_the_pick(table):
    """A random search: its candidates are told again here, and the table's arrays give the same."""
    found = Judge(table).run(Simulation("random", 12), seed=5)
    scores = table.contents.trainings[0].scores[:, -1].reshape(-1, 3)
    best = scores.mean(axis=1).max()
    again = Judge(table).run(Simulation("random", 12), seed=5)
    np.testing.assert_array_equal(found.regrets, again.regrets)
    possible = {round(best - np.delete(row, seed).mean(), 9) for row in scores for seed in range(3)}
    assert {round(float(one), 9) for one in found.regrets} <= possible
    np.testing.assert_allclose(found.seconds, 2 * np.arange(1, 13), rtol=1e-3)


def test_a_space_that_is_searched_through_ends_with_its_best(table):
    every = SPACE.distinct + 20
    found = Judge(table).run(Simulation("random", every), seed=0)
    assert len(found.regrets) == every
    assert found.seconds[-1] == found.seconds[SPACE.distinct - 1]
    assert abs(found.regrets[-1]) < 0.05  # the luckiest of the best
    assert all(found.until)


def test_what_a_proposal_sees_has_the_lag_of_a_search(table):
    """With a lag as long as the search, evolution sees no result: it proposes as in any other table."""
    other = Judge(table)
    other.scores = -other.scores
    seconds = np.arange(other.seconds.size, dtype=float).reshape(
        other.seconds.shape
    )  # tell patterns apart

    def candidates(lag):
        runs = []
        for judge in (Judge(table), other):
            judge.seconds = seconds
            runs.append(judge.run(Simulation("regularized", 30, lag, population=4), 1).seconds)
        return np.array_equal(*runs)

    assert candidates(lag=30)
    assert not candidates(lag=8)


def test_strategies_are_compared_seed_by_seed(table):
    runs = simulate(table, ["random", "regularized"], seeds=6, evaluations=40)
    found = compared(table.name, runs)
    first, second = found.strategies
    assert (first.difference, first.p) == (None, None)
    ends = [np.array([run.regrets[-1] for run in runs[one.strategy]]) for one in (first, second)]
    assert second.difference == pytest.approx((ends[1] - ends[0]).mean())
    assert first.by_evaluations[-1] == pytest.approx(np.quantile(ends[0], (0.25, 0.5, 0.75)))
    assert 0 <= second.p <= 1
    assert len(first.by_seconds) == len(found.moments)
    alone = compared(table.name, {"random": runs["random"][:1]})
    assert alone.strategies[0].p is None


def test_a_part_of_a_table_is_not_searched(tmp_path):
    made = contents()
    replace(made, trainings=(Rows.empty(3), made.trainings[1])).write(tmp_path / "a.npz")
    with pytest.raises(InputError, match="searches need all"):
        simulate(Table(tmp_path / "a.npz"), ["random"], 1, 5)


@pytest.mark.slow
def test_processes_find_the_same(table):
    asked = (table, ["random"], 4, 20)
    here, there = simulate(*asked), simulate(*asked, workers=2)
    for one, other in zip(here["random"], there["random"], strict=True):
        np.testing.assert_array_equal(one.regrets, other.regrets)


def test_the_command(path, tmp_path, capsys):
    out = tmp_path / "a.png"
    asked = ("compare", "--table", path, "--workers", 1, "--evaluations", 25)
    code, text, err = nas(
        capsys, *asked, "--seeds", 3, "--out", out, "--json", "regularized", "random"
    )
    assert code == 0, err
    assert [one["strategy"] for one in json.loads(text)["strategies"]] == ["regularized", "random"]
    assert out.read_bytes()[:4] == b"\x89PNG"
    code, text, err = nas(capsys, *asked, "--seeds", 1, "--out", "", "random")
    assert "until best 0.1 %" in text, err
    assert "--seeds 0" in refused(capsys, *asked, "--seeds", 0)
    assert "strategy 'nothing'" in refused(capsys, *asked, "nothing")
    assert "table" in refused(capsys, "compare")

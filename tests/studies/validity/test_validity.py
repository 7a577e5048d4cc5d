"""Reliability and rank correlations against closed forms, and the command that measures them."""

import json

import numpy as np
import pytest

from nas import InputError
from studies.validity.facts import Validity, measure, reliability
from studies.validity.run import ValidationRequest, validate_space
from studies.validity.study import validate_study
from tests.helpers import nas
from tests.studies.searches import request, run_search


def made(between, within, patterns=4000, seeds=4):
    rng = np.random.default_rng(0)
    own = rng.normal(0.8, between, (patterns, 1))
    return own, own + rng.normal(0, within, (patterns, seeds))


@pytest.mark.parametrize(("between", "within"), [(0.3, 0.1), (0.1, 0.1), (0.02, 0.1)])
def test_reliability_is_the_patterns_share_of_the_variance(between, within):
    _, scores = made(between, within)
    found = reliability(scores)
    share = between**2 / (between**2 + within**2)
    assert found.one == pytest.approx(share, abs=0.03)
    assert found.between == pytest.approx(between, rel=0.2)
    assert found.within == pytest.approx(within, rel=0.05)
    assert found.of(4) == pytest.approx(4 * share / (1 + 3 * share), abs=0.04)
    wanted = found.seeds_for(0.9)
    assert found.of(wanted) >= 0.9 > found.of(wanted - 1)


def test_luck_alone_has_no_reliability():
    rng = np.random.default_rng(1)
    found = reliability(rng.normal(0, 1, (4000, 3)))
    assert found.one < 0.03
    assert reliability(np.ones((5, 2))).seeds_for(0.9) == float("inf")


def test_ranks_are_spearmans_and_the_tenth_is_chosen_by_other_seeds():
    own, scores = made(0.1, 0.001, patterns=200)
    found = measure("accuracy", scores, own[:, 0])
    assert found.ranks > 0.99
    assert found.best.patterns == 20
    assert found.best.one > 0.9
    reversed_ = measure("accuracy", scores, -own[:, 0])
    assert reversed_.ranks < -0.99
    assert reversed_.ranks_best < -0.9
    few = measure("accuracy", scores[:20], None)
    assert (few.best, few.ranks, few.ranks_best) == (None, None, None)


@pytest.mark.parametrize(
    ("between", "within", "words"),
    [(0.3, 0.01, "1 seed a pattern"), (0.1, 0.1, "are needed"), (0.0, 0.1, "luck")],
)
def test_it_recommends(between, within, words):
    own, scores = made(between, within, patterns=100)
    found = Validity(
        "s", 100, 4, 5.0, 449, 0.5, (measure("accuracy", scores, own[:, 0]),),
        tuple(map(tuple, scores)), False, tuple(own[:, 0]),
    )  # fmt: skip
    assert words in found.recommendation


def asked(toml, storage, **more):
    values = {
        "patterns": 20,
        "seeds": 2,
        "longer": 2,
        "longer_seeds": 1,
        "workers": 1,
        "device": "cpu",
    }
    return ValidationRequest(space=str(toml), storage=storage, **{**values, **more})


@pytest.mark.slow
def test_a_space_is_measured_once(small_toml, tmp_path, capsys):
    storage = f"sqlite:///{tmp_path}/a.db"
    stops, told = iter([False] * 30 + [True] * 1000), []
    assert validate_space(asked(small_toml, storage), stop=lambda: next(stops)) is None
    found = validate_space(
        asked(small_toml, storage), lambda done, total: told.append((done, total))
    )
    assert told[-1] == (60, 60)
    assert told[0][0] > 0  # what the first had trained
    assert (found.patterns, found.seeds, found.longer) == (20, 2, 2.0)
    assert 0 <= found.measures[0].overall.one <= 1
    assert len(found.long) == 20
    assert [one.name for one in found.measures] == ["accuracy", "loss"]
    out = tmp_path / "v.png"
    code, text, err = nas(
        capsys, "validate", small_toml, "--storage", storage, "--patterns", 20, "--seeds", 2, "--longer", 2,
        "--longer-seeds", 1, "--workers", 1, "--device", "cpu", "--json", "--out", out,
    )  # fmt: skip
    assert code == 0, err
    assert json.loads(text)["short"] == [list(row) for row in found.short]
    assert out.read_bytes()[:4] == b"\x89PNG"
    code, text, err = nas(capsys, "studies", "--storage", storage)
    assert "validation" not in text  # it is no search


@pytest.mark.slow
def test_a_studys_contenders_are_measured_and_few_are_refused(small_toml, tmp_path, capsys):
    storage = f"sqlite:///{tmp_path}/a.db"
    few = request(small_toml, storage, study="few", evaluations=5)
    run_search(few)
    with pytest.raises(InputError, match="fewer than 5 candidates"):
        validate_study("few", storage)
    run_search(request(
        small_toml, storage, study="s", evaluations=14, contenders=6, contender_seeds=2, finalists=1,
        finalist_seeds=1,
    ))  # fmt: skip
    found = validate_study("s", storage)
    assert (found.patterns, found.seeds, found.long) == (6, 2, ())
    assert found.recommendation.startswith("Among the best 6 ")
    code, _, err = nas(capsys, "validate", "few", "--storage", storage)
    assert code == 2
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"patterns": 3}, "--patterns 3"),
        ({"seeds": 1}, "--seeds 1"),
        ({"longer": -1}, "--longer -1"),
    ],
)
def test_bad_numbers_are_one_line(small_toml, tmp_path, change, words):
    with pytest.raises(InputError, match=words):
        validate_space(asked(small_toml, f"sqlite:///{tmp_path}/a.db", **change))
    assert not (tmp_path / "a.db").exists()

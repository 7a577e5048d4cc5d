"""`nas score`: its statistics against scipy and regression, its output, and what it refuses."""

import json
import shutil

import numpy as np
import pytest
from scipy import stats

from nas import Genome, load_data, score
from nas.predictors.zero_cost import SCORES
from nas.statistics import correlate, partial_spearman, spearman
from search_spaces import SPACES
from studies.store.storages import open_storage
from tests.helpers import nas
from tests.studies.searches import trials_of


@pytest.fixture
def three():
    """A score, accuracy with ties, and numbers of skips."""
    rng = np.random.default_rng(0)
    skips = rng.integers(0, 8, 60)
    return skips + rng.normal(size=60), np.round(skips / 9 + rng.normal(size=60), 1), skips


def residuals(y, z):
    """Of ranks, after a linear regression on the ranks of z."""
    y, z = stats.rankdata(y), stats.rankdata(z)
    return y - np.polyval(np.polyfit(z, y, 1), z)


def test_correlations_against_scipy_and_regression(three):
    scores, accuracies, skips = three
    found = correlate(*three)
    assert found.rho == pytest.approx(stats.spearmanr(scores, accuracies).statistic)
    left = residuals(scores, skips), residuals(accuracies, skips)
    assert found.partial == pytest.approx(stats.pearsonr(*left).statistic)
    assert (found.n, found.infinite) == (60, 0)
    drawn = np.random.default_rng(5).integers(0, 60, (3, 60))
    rows = [column[drawn] for column in three]
    for one in range(3):
        each = [row[one] for row in rows]
        assert spearman(*rows[:2])[one] == pytest.approx(stats.spearmanr(*each[:2]).statistic)
        assert partial_spearman(*rows)[one] == pytest.approx(partial_spearman(*each))


def test_the_interval_is_as_wide_as_theory_says():
    """Fisher's: tanh(atanh ρ ± 1.96 · √(1.06 / (n - 3))) for ranks (Fieller et al. 1957)."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=200)
    y = x + rng.normal(size=200)
    found = correlate(x, y, rng.integers(0, 9, 200))
    half = 1.96 * np.sqrt(1.06 / 197)
    expected = [np.tanh(np.arctanh(found.rho) + sign * half) for sign in (-1, 1)]
    assert found.bounds == pytest.approx(expected, abs=0.04)
    assert found.partial_bounds == pytest.approx(expected, abs=0.06)


def test_a_score_that_only_counts_skips_is_unmasked():
    rng = np.random.default_rng(2)
    skips = rng.integers(0, 10, 300)
    accuracies = skips + rng.normal(size=300)
    counting = correlate(skips + 0.1 * rng.normal(size=300), accuracies, skips)
    assert counting.rho > 0.8
    assert counting.partial_bounds[0] < 0 < counting.partial_bounds[1]
    exactly = correlate(np.exp(skips), accuracies, skips)
    assert exactly.rho > 0.8
    assert exactly.partial is exactly.partial_bounds is None


def test_what_is_not_finite_ranks_worst_and_constants_say_nothing(three):
    scores, accuracies, skips = three
    worst = scores.copy()
    worst[accuracies.argmax()] = scores.min() - 1
    for value in (np.nan, np.inf, -np.inf):
        scores[accuracies.argmax()] = value
        found = correlate(scores, accuracies, skips)
        assert found.rho == pytest.approx(stats.spearmanr(worst, accuracies).statistic)
        assert found.infinite == 1
    assert correlate(np.ones(60), accuracies, skips).rho is None
    same = correlate(worst, accuracies, np.full(60, 3))
    assert same.partial == pytest.approx(same.rho)


def test_patterns_are_scored(capsys):
    patterns = ["-*9", "add(1)*9", "concat(1) gate(1,2@0.5)*8"]
    code, out, err = nas(capsys, "score", *patterns, "--space", "digits9")
    assert (code, err) == (0, "")
    for text in (*SCORES, *patterns[:2], "269.4k", "272.2k"):
        assert text in out
    code, out, _ = nas(
        capsys,
        "score",
        *patterns,
        "--space",
        "digits9",
        "--score",
        "naswot",
        "--seed",
        "3",
        "--json",
    )
    rows = json.loads(out)["scores"]
    space, data = SPACES["digits9"], load_data("digits")
    expected = [
        score(Genome.parse(p), space.skeleton, space.proxy, 3, data, "naswot", "cpu")
        for p in patterns
    ]
    assert [row["naswot"] for row in rows] == expected
    assert rows[0].keys() == {"genome", "naswot"}


def test_a_study_is_scored(capsys, tmp_path, searched):
    path = shutil.copy(searched, tmp_path / "nas.db")
    storage = f"sqlite:///{path}"
    name = min(study.study_name for study in open_storage(storage).get_all_studies())
    asked = ["score", "--study", name, "--storage", storage, "--score", "params", "--score", "snip"]
    code, out, err = nas(capsys, *asked, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    trials = trials_of(storage, name)
    assert [row["genome"] for row in found["trials"]] == [t[1] for t in trials]
    assert [row["params"] for row in found["trials"]] == [t[5]["params"] for t in trials]
    accuracies = [t[5]["accuracy"] for t in trials]
    for one in ("params", "snip"):
        rho = stats.spearmanr([row[one] for row in found["trials"]], accuracies).statistic
        assert found["correlations"][one]["rho"] == pytest.approx(rho)
        assert found["correlations"][one]["n"] == 12
    code, out, _ = nas(capsys, *asked)
    assert code == 0
    assert f"{found['correlations']['snip']['rho']:+.2f} (" in out
    assert "ρ given skips" in out


def test_a_score_from_a_plugin(capsys, tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text("SCORES = {'layers': lambda found: len(found.planned.layers)}\n")
    code, out, _ = nas(
        capsys, "score", "-*9", "--space", "digits9", "--plugin", plugin, "--score", "layers", "--json"
    )  # fmt: skip
    assert code == 0
    assert json.loads(out)["scores"] == [{"genome": "-*9", "layers": 9.0}]
    del SCORES["layers"]

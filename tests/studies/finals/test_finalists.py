"""The paired comparison against textbook values."""

import math

import pytest
from scipy import stats

from nas import Genome
from nas.statistics import holm
from studies.finals.finalists import Finalist, compare


def test_holm_on_a_worked_example():
    # Holm 1979: sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, made monotone
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def row(name, accuracies):
    return Finalist(name, Genome.plain(1), tuple(accuracies), 1, 1)


def test_only_what_was_searched_is_tested_and_corrected():
    residual = [0.90, 0.92, 0.91, 0.93]
    first, second = [0.95, 0.96, 0.95, 0.99], [0.91, 0.91, 0.93, 0.93]
    rows = compare(
        [row("trial 5", first), row("trial 9", second), row("plain", [0.1] * 4), row("residual", residual)]
    )  # fmt: skip
    raw = [stats.ttest_rel(a, residual).pvalue for a in (first, second)]
    assert rows[0].p == pytest.approx(min(1, 2 * raw[0]))
    assert rows[1].p == pytest.approx(max(2 * raw[0], raw[1]))
    assert rows[0].difference == pytest.approx(0.0475)
    assert rows[2].p is None
    assert rows[2].difference == pytest.approx(-0.815)
    assert rows[3].difference is None


def test_what_could_not_be_trained_is_left_out_of_the_comparison():
    rows = compare(
        [
            row("trial 1", [0.95, None, 0.97, 0.9, 0.92]),
            row("residual", [0.9, 0.9, None, 0.91, 0.9]),
        ]
    )
    assert rows[0].scores == [0.95, 0.97, 0.9, 0.92]
    assert rows[0].difference == pytest.approx(0.02)
    assert rows[0].p == pytest.approx(stats.ttest_1samp([0.05, -0.01, 0.02], 0).pvalue)
    lost = compare([row("trial 1", [None, None]), row("residual", [0.9, 0.9])])
    assert lost[0].difference is None
    assert math.isnan(lost[0].mean)


def test_few_seeds_have_no_test():
    rows = compare([row("trial 1", [0.5]), row("residual", [0.4])])
    assert math.isnan(rows[0].std)
    assert rows[0].p is None
    assert compare([row("trial 1", [0.5, 0.6]), row("residual", [0.4, 0.4])])[0].p is None


def test_equal_differences_are_no_evidence():
    rows = compare([row("trial 1", [0.5, 0.6, 0.7]), row("residual", [0.4, 0.5, 0.6])])
    assert rows[0].difference == pytest.approx(0.1)

"""What objectives say of an evaluation."""

from dataclasses import replace

import pytest

from nas import Genome, Skeleton, Stage
from nas.evaluation.result import failed
from studies.search.objectives import OBJECTIVES, WORST_DECADES, WORST_SECONDS
from tests.studies.searches import request, run_search

BASE = replace(
    failed(Genome.plain(2), Skeleton((1, 8, 8), 10, (Stage(2, 8),)), 0, ""),
    status="ok", accuracy=0.75, latency_1=0.002, latency_full=0.05,
)  # fmt: skip


def value(name, **change):
    return OBJECTIVES[name].value(replace(BASE, **change))


def test_gradient_ratio_counts_decades_both_ways():
    assert value("gradient-ratio", gradients=((1.0, 1.0), (2.0, 2.0))) == 0
    assert value("gradient-ratio", gradients=((100.0, 1.0),)) == pytest.approx(2)
    assert value("gradient-ratio", gradients=((0.01, 1.0), (1.0, 1.0))) == pytest.approx(1)


@pytest.mark.parametrize(
    "change",
    [
        {"gradients": ()},
        {"gradients": ((0.0, 1.0),)},
        {"gradients": ((float("inf"), 1.0),)},
        {"gradients": ((1.0, float("inf")),)},
        {"gradients": ((float("nan"), 1.0),)},
        {"gradients": ((1.0, 1.0),), "status": "diverged"},
    ],
)
def test_gradients_that_vanish_or_explode_are_the_worst(change):
    assert value("gradient-ratio", **change) == WORST_DECADES


def test_latency_that_could_not_be_measured_is_the_worst():
    assert value("latency-1") == 0.002
    assert value("latency-full", latency_full=None) == WORST_SECONDS


@pytest.mark.slow
def test_a_search_for_latency_and_even_gradients(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/a.db"
    names = "accuracy,latency-1,latency-full,gradient-ratio"
    result = run_search(
        request(small_toml, storage, strategy="nsga3", objectives=names, evaluations=12)
    )
    for trial in result.trials:
        accuracy, single, full, ratio = trial.values
        assert accuracy == trial.attrs["accuracy"]
        assert single == trial.attrs["latency_1"] > 0
        assert full == trial.attrs["latency_full"] > single
        assert 0 <= ratio < 10
    assert result.front

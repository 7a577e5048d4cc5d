"""The exercises end to end on small data, their statistics against known values."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy import stats

from baselines import BASELINES
from baselines.exercises.features import features, lesions, statistics
from baselines.exercises.gradients import LawJob, gradient_law
from baselines.exercises.profiles import PROFILES
from baselines.exercises.runner import EXERCISES, find_profile, run_exercises
from baselines.exercises.verdicts import (
    FAILS,
    HOLDS,
    OPEN,
    Context,
    absolute,
    converged,
    every,
    more,
    most,
)
from nas import InputError, Proxy
from nas.statistics import geometric_factor, interval

TINY = replace(
    PROFILES["quick"],
    width_divisor=32,
    proxy=Proxy(epochs=1, images=64, validation_images=64, batch=32, precision="fp32"),
    seeds=2,
    law_width=4,
    law_blocks=(2, 4),
    law_seeds=1,
    deep_divisor=64,
    deep_steps=2,
    deep_batch=2,
)


def law(norm, init, relu, width=16, blocks=(2, 6, 12, 20)):
    job = LawJob(0, "", norm, init, relu, "train", width, blocks, (0, 1))
    rows = gradient_law(job)["rows"]
    return geometric_factor([2 * r["blocks"] for r in rows], [r["first"] / r["last"] for r in rows])


def test_without_norm_gradients_vanish_as_theory_says():
    factor, r2 = law("none", "pytorch", True)
    assert 0.36 < factor < 0.40  # figures: 0.38-0.39, theory √(1/6)·padding = 0.374
    assert r2 > 0.99


def test_with_batch_norm_gradients_explode():
    factor, r2 = law("batch", "pytorch", True)
    assert 1.13 < factor < 1.20  # figures: 1.15-1.18
    assert r2 > 0.98
    factor, r2 = law("batch", "pytorch", False)
    assert 1.05 < factor < 1.11  # the sheet's block: 1.07-1.09
    assert r2 > 0.97


def test_the_sheets_block_without_norm():
    factor, r2 = law("none", "pytorch", False)
    assert 0.44 < factor < 0.49  # figures: 0.46-0.47
    assert r2 > 0.98


def test_geometric_factor_of_an_exact_law():
    depths = [4, 8, 16, 32]
    factor, r2 = geometric_factor(depths, [7 * 0.9**d for d in depths])
    assert factor == pytest.approx(0.9)
    assert r2 == pytest.approx(1)


def test_statistics_of_a_gaussian():
    values = torch.randn(400_000, generator=torch.Generator().manual_seed(0)) * 3
    found = statistics(values, histogram=True)
    assert found["std"] == pytest.approx(3, rel=0.01)
    assert abs(found["excess_kurtosis"]) < 0.05
    assert found["near_zero"] == pytest.approx(0.0399, abs=0.002)
    assert sum(found["histogram"]["counts"]) == pytest.approx(1, abs=0.001)
    uniform = statistics(torch.rand(100_000) - 0.5)
    assert uniform["excess_kurtosis"] == pytest.approx(-1.2, abs=0.02)


def test_features_are_input_branch_and_sum(digits):
    baseline = BASELINES["resnet-56"].narrowed(16)
    network = replace(baseline, skeleton=baseline.skeleton.for_data((1, 8, 8), 10)).network()
    rows = features(network, digits, Proxy(batch=64), torch.device("cpu"))
    assert [row["layer"] for row in rows] == list(range(1, 29))
    for row in rows:
        assert row["sum"]["mean"] == pytest.approx(row["x"]["mean"] + row["F"]["mean"], abs=1e-4)
        assert row["x"]["min"] >= 0  # x comes out of a ReLU
        assert row["output"]["min"] >= 0
    assert rows[4]["x"]["mean"] == pytest.approx(rows[3]["output"]["mean"], abs=1e-6)
    assert [row["layer"] for row in rows if "histogram" in row["F"]] == [1, 9, 19, 28]


def test_a_lesion_leaves_the_skip_and_nothing_else(digits):
    baseline = BASELINES["resnet-56"].narrowed(16)
    network = replace(baseline, skeleton=baseline.skeleton.for_data((1, 8, 8), 10)).network().eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = lesions(network, digits, Proxy(batch=64, precision="fp32"), torch.device("cpu"))
    assert len(found["without"]) == 28
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    images = torch.randn(2, 1, 8, 8)
    seen = {}
    layer = network.layers["5"]
    handles = [
        layer.branch.register_forward_hook(lambda m, i, o: torch.zeros_like(o)),
        layer.register_forward_hook(lambda m, i, o: seen.update(x=i[0], out=o)),
    ]
    network(images)
    for handle in handles:
        handle.remove()
    assert torch.equal(seen["x"], seen["out"])


def test_intervals_and_verdicts():
    values = [0.1, 0.3, 0.2, 0.25]
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert interval(values) == pytest.approx(expected)
    assert interval([1.0]) == (-math.inf, math.inf)
    assert more("", [0.9, 0.91, 0.92], [0.8, 0.81, 0.82]).verdict == HOLDS
    assert more("", [0.8, 0.81, 0.82], [0.9, 0.91, 0.93]).verdict == FAILS
    assert more("", [0.8, 0.95], [0.9, 0.85]).verdict == OPEN
    sheet = Context("cifar10", "full")
    assert absolute("", 0.75, [0.74, 0.75, 0.76], sheet).verdict == HOLDS
    assert absolute("", 0.75, [0.90, 0.91, 0.90], sheet).verdict == FAILS
    assert absolute("", 0.75, [0.74, 0.75, 0.76], Context("digits", "full")).verdict == OPEN
    assert absolute("", 0.75, [0.75], sheet).verdict == OPEN
    assert absolute("", 0.75, [0.30, 0.45, 0.90], sheet).verdict == OPEN
    assert most("", [0.8, 0.9, 0.85], "x").verdict == HOLDS
    assert most("", [0.1, 0.2, 0.15], "x").verdict == FAILS
    assert most("", [0.9], "x").verdict == OPEN
    assert every("", [True, True], "x").verdict == HOLDS
    assert every("", [True, False], "x").verdict == FAILS
    refuted = more("", [0.8, 0.81, 0.82], [0.9, 0.91, 0.93])
    assert converged(refuted, Context("digits", "quick")).verdict == OPEN
    assert converged(refuted, Context("digits", "full")).verdict == FAILS


@pytest.fixture(scope="module")
def small_pictures():
    """Twenty-pixel pictures of two kinds, large enough for ResNet-50's strides."""
    from nas.data.dataset import Raw, make_data

    rng = np.random.default_rng(0)
    labels = np.arange(400) % 10
    images = rng.integers(0, 80, (400, 1, 20, 20)) + 17 * labels[:, None, None, None]
    return make_data("pictures", Raw(images.astype(np.uint8), labels, tuple("0123456789")))


@pytest.fixture(scope="module")
def finished(small_pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("exercises") / "out"
    pages = run_exercises(EXERCISES, small_pictures, TINY, out, device="cpu")
    return out, pages


def test_every_exercise_writes_its_page_figures_and_tables(finished):
    out, pages = finished
    assert [page.exercise for page in pages] == list(EXERCISES)
    for page in pages:
        text = (out / f"{page.exercise}.md").read_text()
        for point in page.points:
            assert f"| **{point.verdict}** |" in text
            assert point.expected.replace("|", "\\|") in text
            assert point.verdict in (HOLDS, FAILS, OPEN)
        for name in page.figures:
            with Image.open(out / f"{page.exercise}-{name}.png") as picture:
                assert picture.size[0] > 1000
        for name, table in page.tables.items():
            read = pd.read_csv(out / f"{page.exercise}-{name}.csv")
            assert len(read) == len(table) > 0


def test_a_second_run_trains_nothing_and_says_the_same(finished, small_pictures):
    out, pages = finished
    before = {path: path.stat().st_mtime_ns for path in (out / "runs").iterdir()}
    again = run_exercises(EXERCISES, small_pictures, TINY, out, device="cpu")
    assert {path: path.stat().st_mtime_ns for path in (out / "runs").iterdir()} == before
    assert [page.points for page in again] == [page.points for page in pages]


def test_a_run_that_lost_a_part_goes_on(finished, small_pictures):
    out, pages = finished
    lost = out / "runs" / "resnet-50 seed 1.json"
    old = json.loads(lost.read_text())
    lost.unlink()
    again = run_exercises(["exercise-4"], small_pictures, TINY, out, device="cpu")
    assert json.loads(lost.read_text())["step_loss"] == old["step_loss"]
    assert [p.measured for p in again[0].points[:5]] == [p.measured for p in pages[3].points[:5]]


def test_another_runs_results_are_kept(finished, small_pictures):
    out, _ = finished
    other = replace(TINY, proxy=replace(TINY.proxy, epochs=2))
    with pytest.raises(InputError, match="holds another run's results"):
        run_exercises(["exercise-4"], small_pictures, other, out, device="cpu")


def test_a_folder_that_is_no_runs(tmp_path, small_pictures):
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(InputError, match="is not a run's folder"):
        run_exercises(["exercise-1"], small_pictures, TINY, tmp_path, device="cpu")
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_pictures_too_small_are_refused_before_anything_is_written(digits, tmp_path):
    with pytest.raises(InputError, match="the least side is 17"):
        run_exercises(["exercise-4"], digits, TINY, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_unknown_names():
    with pytest.raises(InputError, match="did you mean quick"):
        find_profile("quik", None)
    with pytest.raises(InputError, match="--seeds 0"):
        find_profile("quick", 0)

"""The exercises end to end on small data, their statistics against known values."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from baselines import BASELINES
from baselines.exercises.features import (
    channel_kurtosis,
    features,
    gates,
    lesions,
    statistics,
)
from baselines.exercises.gradients import LawJob, gradient_law
from baselines.exercises.jobs import PROFILES
from baselines.exercises.residuals import MOMENTS, growth
from baselines.exercises.runner import EXERCISES, find_profile, run_exercises
from baselines.exercises.verdicts import EARNED, FAILS, HOLDS, NOT_EARNED, OPEN, RULE, WRONG
from nas import Genome, InputError, Proxy, compile_network
from nas.statistics import geometric_factor
from studies.cli.commands.baseline import announced

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


@pytest.mark.slow
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


def test_features_before_training_are_those_of_batch_statistics(digits):
    baseline = BASELINES["resnet-56"].narrowed(16)
    network = replace(baseline, skeleton=baseline.skeleton.for_data((1, 8, 8), 10)).network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    rows = features(network, digits, Proxy(batch=64), torch.device("cpu"), trained=False)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    for row in rows:  # batch norm with γ = 1 and β = 0
        assert row["F"]["std"] == pytest.approx(1, abs=1e-3)
        assert row["F"]["mean"] == pytest.approx(0, abs=1e-5)
    other = features(network, digits, Proxy(batch=64), torch.device("cpu"))
    assert other[0]["F"]["std"] < 0.5  # in evaluation mode an identity


def test_kurtosis_within_channels_is_free_of_their_scales():
    scales = torch.logspace(-3, 3, 64)[None, :, None, None]
    values = torch.randn(64, 64, 16, 16, generator=torch.Generator().manual_seed(0)) * scales
    assert abs(channel_kurtosis(values)) < 0.05
    assert statistics(values)["excess_kurtosis"] > 10


def test_gates_that_do_not_see_the_image_can_be_held(small_space, digits):
    network = compile_network(Genome.parse("attention(1) se(1) - add(1)"), small_space.skeleton)
    proxy = Proxy(batch=64, precision="fp32")
    expands = [network.layers[i].merge.excitation.expand for i in ("1", "2")]
    for convolution in expands:
        torch.nn.init.zeros_(convolution.weight)
    found = gates(network, digits, proxy, torch.device("cpu"))
    assert found["held"] == found["whole"]
    assert found["between_images"] == pytest.approx(0, abs=1e-7)
    biases = [torch.sigmoid(c.bias.detach().double()).std(correction=0) for c in expands]
    assert found["between_channels"] == pytest.approx(float(torch.stack(biases).mean()), rel=1e-4)
    for convolution in expands:
        torch.nn.init.normal_(
            convolution.weight, std=30, generator=torch.Generator().manual_seed(0)
        )
    assert gates(network, digits, proxy, torch.device("cpu"))["between_images"] > 0.01


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


def sheet_rubrics():
    """(stars, mark, line) of every exercise on the sheet."""
    return {
        "exercise-1": [
            (3, 7, "Shows deeper network is worse without skip connections"),
            (4, 9, "Includes gradient analysis showing vanishing gradients"),
            (5, 10, "Shows mathematical relationship: grad_norm ∝ (0.9)^depth"),
        ],
        "exercise-2": [
            (4, 8, "Correctly implements ResNet blocks and shows improvement"),
            (4, 9, "Compares gradient flow between plain and ResNet"),
            (5, 10, "Shows that ResNet enables much deeper networks (100+) layers"),
        ],
        "exercise-3": [
            (4, 8, "Visualizes and analyzes residual distributions"),
            (4, 9, "Explains why residuals are smaller than full outputs"),
            (5, 10, "Discovers that residuals are sparse (many zeros)"),
        ],
        "exercise-4": [
            (4, 8, "Implements bottleneck blocks and builds deep ResNets"),
            (4, 9, "Trains multiple depths and shows all converge"),
            (5, 10, "Shows accuracy improves with depth (up to ~152 layers)"),
        ],
        "exercise-5": [
            (4, 9, "Implements multiple skip variants and compares"),
            (5, 10, "Discovers that identity skip is surprisingly good baseline"),
        ],
    }


class Read(HTMLParser):
    """A page's words, tags, addresses and the ids that it defines and uses."""

    def __init__(self, text):
        super().__init__()
        self.words, self.tags, self.addresses, self.ids = [], [], [], []
        self.images = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.addresses += [given[k] for k in ("href", "src", "xlink:href") if k in given]
        if given.get("role") == "img":
            self.images.append(given.get("aria-label"))

    handle_startendtag = handle_starttag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def said(self):
        return " ".join(" ".join(self.words).split())


@pytest.mark.parametrize("number", range(5))
@pytest.mark.slow
def test_every_exercise_writes_its_page_and_tables(finished, number):
    out, pages = finished
    page = pages[number]
    assert page.exercise == EXERCISES[number]
    text = (out / f"{page.exercise}.html").read_text()
    read = Read(text)
    for point in page.points:
        assert point.verdict in (HOLDS, FAILS, OPEN)
        assert bool(point.why) == (point.verdict == OPEN)
        for words in (point.expected, point.measured, point.verdict, point.why):
            assert " ".join(words.split()) in read.said
    for words in (*page.conclusion, *page.explanation, *page.notes, *RULE):
        assert " ".join(words.split()) in read.said
    assert [(g.stars, g.mark, g.line) for g in page.grades] == sheet_rubrics()[page.exercise]
    for grade in page.grades:
        assert grade.state in (EARNED, NOT_EARNED, WRONG)
        assert f"{'★' * grade.stars} {grade.mark} of 10 {grade.line} {grade.state} :" in read.said
    for figure in page.figures:
        assert figure.title in read.said
        assert figure.svg in text
    for name, table in page.tables.items():
        kept = pd.read_csv(out / f"{page.exercise}-{name}.csv")
        assert len(kept) == len(table) > 0
        assert f"{page.exercise}-{name}.csv" in read.said


@pytest.mark.parametrize("number", range(5))
@pytest.mark.slow
def test_the_page_fetches_nothing_and_all_figures_have_alt_texts(finished, number):
    out, pages = finished
    text = (out / f"{EXERCISES[number]}.html").read_text()
    read = Read(text)
    assert not {"script", "link", "img", "iframe", "object"} & set(read.tags)
    assert "default-src 'none'" in text
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org/)", text)
    assert len(read.ids) == len(set(read.ids))
    assert all(a.startswith("#") and a[1:] in read.ids for a in read.addresses)
    assert len(read.images) == len(pages[number].figures)
    assert all(len(label) > 20 for label in read.images)
    assert not re.search(r"#10000\d", text)  # every placeholder has become a variable


@pytest.mark.slow
def test_a_conclusion_is_two_sentences(finished):
    for page in finished[1]:
        for sentence in page.conclusion:
            assert len(re.findall(r"[.?!](?= [A-Z]|$)", sentence)) == 1
            assert sentence.endswith(".")


@pytest.mark.slow
def test_the_first_exercise_says_what_happens_to_the_gradient(finished):
    out, pages = finished
    runs = [json.loads((out / "runs" / f"plain-56 seed {s}.json").read_text()) for s in (0, 1)]
    norms = [[run["gradients"][when]["norms"] for run in runs] for when in (0, -1)]
    ratios = [stats.gmean([n[0] / n[-1] for n in found if n[0]]) for found in norms]
    assert ratios[0] > 1
    assert "explodes towards the input at the start" in pages[0].conclusion[1]
    assert f"{float(f'{ratios[0]:.3g}'):,.0f} times" in pages[0].conclusion[1]
    assert f"({ratios[1]:.3g} times at the last step)" in pages[0].conclusion[1]


@pytest.mark.slow
def test_why_residuals_are_small_is_measured(finished):
    out, pages = finished
    runs = [json.loads((out / "runs" / f"resnet-56 seed {s}.json").read_text()) for s in (0, 1)]
    table = pages[2].tables["norms"]
    assert len(table) == 2 * 28
    for when, label in MOMENTS.items():
        rows = table[table["when"] == label].reset_index(drop=True)
        for layer in (0, 13, 27):
            squares = [
                r[when][layer]["F"]["mean"] ** 2 + r[when][layer]["F"]["std"] ** 2 for r in runs
            ]
            assert rows["‖F‖²"][layer] == pytest.approx(np.mean(squares))
    start = table[table["when"] == MOMENTS["features_initial"]]
    assert start["‖F‖²"].to_numpy() == pytest.approx(np.ones(28), abs=1e-3)  # batch norm, γ = 1
    assert start["‖x‖²"].iloc[-1] > 4 * start["‖x‖²"].iloc[0]
    fit = stats.linregress(range(1, 29), start["‖x‖²"])
    assert f"by {fit.slope:.2f} a layer" in pages[2].explanation[1]
    assert growth(runs[0], "features_initial", "F") == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_hostile_names_are_text(small_pictures, finished, tmp_path):
    out, _ = finished
    shutil.copytree(out, tmp_path / "copy")
    odd = replace(small_pictures, name='<b>"x"</b><script>alert(1)</script>{{ 7*7 }}')
    settings = json.loads((tmp_path / "copy" / "settings.json").read_text())
    (tmp_path / "copy" / "settings.json").write_text(json.dumps({**settings, "data": odd.name}))
    run_exercises(["exercise-4"], odd, TINY, tmp_path / "copy", device="cpu")
    text = (tmp_path / "copy" / "exercise-4.html").read_text()
    assert "<script" not in text
    assert '<b>"x"' not in text
    assert odd.name in "".join(Read(text).words)


@pytest.mark.slow
def test_a_run_says_what_it_will_do_and_how_far_it_is(finished, small_pictures):
    out, _ = finished
    (out / "runs" / "resnet-101 seed 0.json").unlink()
    plans, told = [], []
    run_exercises(
        ["exercise-4"], small_pictures, TINY, out, device="cpu", workers=1,
        on_start=plans.append, on_progress=lambda *given: told.append(given),
    )  # fmt: skip
    (plan,) = plans
    assert (plan.trainings, plan.networks, plan.laws, plan.done) == (6, 3, 0, 5)
    assert announced(plan)[0] == "Exercise 4: 6 trainings of 3 networks."
    assert (
        "1 epoch on 64 images, widths divided by 32, 2 seeds; 1 worker on cpu" in announced(plan)[1]
    )
    assert announced(plan)[2] == f"Into {out}: 5 of 6 are done already, 1 are left."
    assert told == [(5, 6, "", 0.0), (6, 6, "resnet-101 seed 0", 1.0)]


@pytest.mark.slow
def test_results_that_lack_a_measurement_are_measured_again(finished, small_pictures):
    out, _ = finished
    path = out / "runs" / "resnet-50_attention seed 1.json"
    old = json.loads(path.read_text())
    assert set(old["gates"]) == {"whole", "held", "between_images", "between_channels"}
    path.write_text(json.dumps({k: v for k, v in old.items() if k != "gates"}))
    run_exercises(["exercise-5"], small_pictures, TINY, out, device="cpu", workers=1)
    assert json.loads(path.read_text())["gates"] == old["gates"]


@pytest.mark.slow
def test_a_second_run_trains_nothing_and_says_the_same(finished, small_pictures):
    out, pages = finished
    before = {path: path.stat().st_mtime_ns for path in (out / "runs").iterdir()}
    again = run_exercises(EXERCISES, small_pictures, TINY, out, device="cpu")
    assert {path: path.stat().st_mtime_ns for path in (out / "runs").iterdir()} == before
    assert [page.points for page in again] == [page.points for page in pages]


@pytest.mark.slow
def test_a_run_that_lost_a_part_goes_on(finished, small_pictures):
    out, pages = finished
    lost = out / "runs" / "resnet-50 seed 1.json"
    old = json.loads(lost.read_text())
    lost.unlink()
    again = run_exercises(["exercise-4"], small_pictures, TINY, out, device="cpu")
    assert json.loads(lost.read_text())["step_loss"] == old["step_loss"]
    assert [p.measured for p in again[0].points[:5]] == [p.measured for p in pages[3].points[:5]]


@pytest.mark.slow
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

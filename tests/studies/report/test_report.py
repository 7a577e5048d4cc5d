"""The report: its numbers against closed forms and brute force, its page as a browser meets it."""

import copy
import csv
import io
import itertools
import json
import os
import random
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest
import torch
from scipy import special, stats

import studies
from nas import Genome, InputError, compile_network, evaluate
from nas.architecture.plan import plan
from nas.drawing.canvas import spread
from nas.evaluation.result import failed
from nas.strategies.problem import Limits
from studies.analysis.facts import collect
from studies.analysis.lineage import describe
from studies.finals.finalists import recorded_finalists
from studies.knockouts.lesions import skips_of, without_skip
from studies.knockouts.run import KnockoutRequest
from studies.report import write, write_report
from studies.report.figures import window
from studies.report.page import render
from studies.report.words import answer
from studies.search.request import SearchRequest
from studies.search.settings import SearchSettings, recorded_space
from studies.search.verdict import verdict
from studies.store.names import DATA, FINALISTS, KNOCKOUTS
from studies.store.storages import open_storage
from studies.store.store import Store
from studies.store.trial import Genes
from tests.conftest import write_small_space
from tests.helpers import nas
from tests.studies.searches import run_search

MEASURED = {
    "seconds",
    "finalists_seconds",
    "knockout_seconds",
    "peak_bytes",
    "share_of_training",
    "first",
    "last",
    "storage",
    "command",
}
"""Facts that are measurements, dates, or where and how the study was made."""
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


class Made:
    """A study written by hand through the store: any genomes with any results."""

    def __init__(
        self, folder, space, data, name="made", objectives=("accuracy",), strategy="random"
    ):
        self.url = f"{folder}/{name if name.isalnum() else 'odd'}.log"
        device = {"type": "cpu", "torch": torch.__version__}
        settings = SearchSettings(
            space, data, strategy, objectives, seed=0, lag=8, limits=Limits(), device=device
        )
        self.space, self.storage = space, open_storage(self.url)
        self.store = Store.open(
            self.storage, name, settings.record(), settings.maximise, objectives
        )  # fmt: skip
        self.count = 0

    def add(
        self, genome, accuracy=None, status="ok", role="", parents=(), seconds=1.0, values=None
    ):
        """A trial; without an accuracy it stays running."""
        genome = Genome.parse(genome) if isinstance(genome, str) else genome
        planned = plan(genome, self.space.skeleton)
        attrs = {"params": planned.params, "macs": planned.macs, "role": role,
                 "parents": list(parents), "seed": 0}  # fmt: skip
        genes = Genes.of(genome, self.space) if genome in self.space else None
        self.store.add(self.count, genome, attrs, genes)
        if accuracy is not None:
            evaluation = replace(
                failed(genome, self.space.skeleton, 0, "" if status == "ok" else "it broke"),
                status=status, accuracy=accuracy, accuracies=(accuracy,), seconds=seconds,
            )  # fmt: skip
            self.store.finish(self.count, evaluation, values or [accuracy])
        self.count += 1

    @property
    def facts(self):
        return collect(self.store, self.url)


@pytest.fixture
def made(tmp_path, small_space, digits):
    return Made(tmp_path, small_space, digits)


def request(small, storage, **more):
    values = {"evaluations": 12, "contenders": 0, "finalists": 1, "finalist_seeds": 3} | {
        "population": 6, "workers": 1, "tuning_seeds": 0,
    }  # fmt: skip
    return SearchRequest(space=str(small), storage=storage, **{"device": "cpu", **values, **more})


@pytest.fixture(scope="session")
def searched(tmp_path_factory):
    """A small search with finalists: (its journal, its space's file)."""
    folder = tmp_path_factory.mktemp("report")
    small = write_small_space(folder)
    run_search(request(small, f"{folder}/nas.log"))
    return folder / "nas.log", small


@pytest.fixture
def url(searched, tmp_path):
    shutil.copy(searched[0], tmp_path / "nas.log")
    return f"{tmp_path}/nas.log"


def store_of(url):
    opened = open_storage(url)
    name = min((s.study_name for s in opened.get_all_studies()), key=len)
    return Store.load(opened, name)


def without_measures(value):
    if isinstance(value, dict):
        return {k: without_measures(v) for k, v in value.items() if k not in MEASURED}
    return [without_measures(v) for v in value] if isinstance(value, list) else value


# What was found


def test_best_so_far_counts_candidates_only_and_adds_up_seconds(made):
    made.add("-*4", 0.99, role="plain", seconds=5)
    made.add("add(1) -*3", 0.5, seconds=2)
    made.add("add(1)*2 -*2", 0.0, status="diverged", seconds=1)
    made.add("add(1@0.7) -*3", 0.9, seconds=1)  # outside the space
    made.add("add(1)*3 -", 0.4, seconds=1)
    made.add("add(1)*4", 0.7, seconds=3)
    made.add("add(1) -*2 add(1)", None)
    found = made.facts.progress
    assert found.evaluations == (2, 6)
    assert found.accuracies == (0.5, 0.7)
    assert found.seconds == (7, 13)
    cost = made.facts.cost
    assert (cost.trials, cost.candidates, cost.outside, cost.seconds) == (7, 5, 1, 13)
    assert cost.statuses == {"ok": 5, "diverged": 1, "unfinished": 1}
    assert made.facts.winner.number == 5


def test_finalists_have_students_intervals_that_stay_within_0_and_1(url):
    facts = collect(store_of(url), url)
    rows = {row.name: row for row in facts.finals.rows}
    assert list(rows) == sorted(rows, key=lambda name: -rows[name].mean)
    assert (facts.finals.done, facts.finals.total) == (12, 12)
    residual = rows["residual"]
    for row in facts.finals.rows:
        # Student's t, two degrees of freedom, 97.5 %, over the slope of the logit
        half = 4.3026527 * stats.sem(row.accuracies) / (row.mean * (1 - row.mean))
        ends = special.logit(row.mean) - half, special.logit(row.mean) + half
        assert row.interval == pytest.approx(tuple(special.expit(ends)))
        assert 0 < row.interval[0] < row.mean < row.interval[1] < 1
        if row is not residual:
            pairs = stats.ttest_rel(row.accuracies, residual.accuracies)
            low, high = pairs.confidence_interval(0.95)
            assert row.difference_interval == pytest.approx((low, high))
    assert rows[f"trial {facts.winner.number}"].p == pytest.approx(
        stats.ttest_rel(rows[f"trial {facts.winner.number}"].accuracies, residual.accuracies).pvalue
    )


def test_the_answer_begins_with_the_verdict(url):
    facts = collect(store_of(url), url)
    said = answer(facts)
    assert said[0] == facts.verdict.sentence
    assert "flattered by luck" in said[1]
    store, own = store_of(url), facts.winner.number
    rows = recorded_finalists(
        store, store.beside(FINALISTS), recorded_space(store.searched()).skeleton
    )
    best = next(trial for trial in store.ranked() if trial.number == own)
    again = verdict(best, store.ranked(), rows, store.notes()[DATA])
    assert facts.verdict == again
    outside = replace(facts, outside=("residual", "dense"))
    assert "residual and dense are outside them, and only a reference" in " ".join(answer(outside))


# The front


def test_hypervolume_of_a_worked_example(tmp_path, small_space, digits):
    made = Made(tmp_path, small_space, digits, objectives=("accuracy", "params"), strategy="nsga2")
    for accuracy, params in ((0.2, 50), (0.4, 200), (0.8, 400), (0.3, 450)):
        made.add(small_space.sample(random.Random(params)), accuracy, values=[accuracy, params])
    made.add("-*4", 0.0, role="plain", values=[0.0, 100.0])
    made.add("add(1)*4", 1.0, role="residual", values=[1.0, 500.0])
    front = made.facts.front
    assert front.reference == (0.0, 500.0)
    assert front.ideal == (1.0, 50.0)
    # steps of height 0.2, 0.4 and 0.8 from 50, 200 and 400 to 500, in a box of 1 by 450
    assert front.hypervolume == pytest.approx((150 * 0.2 + 200 * 0.4 + 100 * 0.8) / 450)
    assert front.given == 0
    assert [p.number for p in front.points if p.front] == [0, 1, 2, 5]
    steps = [450 * 0.2, 150 * 0.2 + 300 * 0.4, 150 * 0.2 + 200 * 0.4 + 100 * 0.8]
    assert front.history == tuple((i, pytest.approx(step / 450)) for i, step in enumerate(steps, 1))


def test_the_front_by_brute_force_in_three_objectives(tmp_path, small_space, digits):
    names = ("accuracy", "params", "macs")
    made = Made(tmp_path, small_space, digits, objectives=names, strategy="nsga2")
    rng = random.Random(1)
    for values in {(rng.randrange(6), rng.randrange(6), rng.randrange(6)) for _ in range(40)}:
        made.add(small_space.sample(rng), values[0] / 6, values=[values[0] / 6, *values[1:]])
    front = made.facts.front
    signed = {p.number: (-p.values[0], *p.values[1:]) for p in front.points}
    for point in front.points:
        mine = signed[point.number]
        beaten = any(
            o != mine and all(a <= b for a, b in zip(o, mine, strict=True)) for o in signed.values()
        )
        assert point.front is not beaten
    cells = itertools.product(range(5), repeat=3)  # of the grid between worst and best
    best = front.ideal[1], front.ideal[2]
    inside = sum(
        any(
            round(6 * p.values[0] - 6 * front.reference[0]) > x
            and p.values[1] - best[0] <= y
            and p.values[2] - best[1] <= z
            for p in front.points
        )
        for x, y, z in cells
    )
    assert front.hypervolume == pytest.approx(inside / 5**3)
    assert "no other is as good in all objectives" in render(made.facts)


# Habits and importance


def test_habits_by_counting(made, small_space):
    rng = random.Random(2)
    genomes = list(dict.fromkeys(small_space.sample(rng) for _ in range(80)))[:60]
    made.add("add(1)*4", 1.0, role="residual")
    for index, genome in enumerate(genomes[:49]):
        made.add(genome, 0.01 * index)
    assert made.facts.habits is None
    for index, genome in enumerate(genomes[49:], 49):
        made.add(genome, 0.01 * index)
    made.add("add(1@0.7) -*3", 1.0)  # outside the space
    habits = made.facts.habits
    assert (habits.best, habits.all) == (6, 60)
    assert habits.chance == pytest.approx(2 / 3)
    skips, merges, strengths = habits.grids
    for found, pool in ((skips.best, genomes[-6:]), (skips.all, genomes)):
        for row, d in enumerate((1, 2, 3)):
            for layer in range(4):
                if d > layer + 1:
                    assert found[row][layer] is None
                    continue
                has = [any(s.distance == d for s in g.layers[layer].skips) for g in pool]
                assert found[row][layer] == pytest.approx(sum(has) / len(pool))
    assert merges.rows == ("add", "concat", "plain")
    assert all(sum(column) == pytest.approx(1) for column in zip(*merges.all, strict=True))
    concat = [g.layers[2].merge == "concat" for g in genomes]
    assert merges.all[1][2] == pytest.approx(sum(concat) / 60)
    twos = [s.strength for g in genomes for x in g.layers for s in x.skips if s.distance == 2]
    assert strengths.all[0][1] == pytest.approx(twos.count(0.5) / len(twos))


@pytest.mark.parametrize("objectives", [("accuracy",), ("accuracy", "params")])
def test_the_gene_that_decides_everything_comes_first_by_far(
    tmp_path, small_space, digits, objectives
):
    strategy = "random" if len(objectives) == 1 else "nsga2"
    made = Made(tmp_path, small_space, digits, objectives=objectives, strategy=strategy)
    rng = random.Random(3)
    for genome in dict.fromkeys(small_space.sample(rng) for _ in range(80)):
        accuracy = 0.9 if small_space.params_of(genome)["l3.d2"] == 0.5 else 0.2
        size = plan(genome, small_space.skeleton).params
        made.add(genome, accuracy, values=[accuracy, size][: len(objectives)])
    found = made.facts.importance
    first, second = found.genes[:2]
    assert (first.name, first.layer, first.distance) == ("l3.d2", 3, 2)
    assert first.share > 5 * second.share
    assert first.share > 3 * first.noise
    assert found.layers[2] == max(found.layers)
    assert sum(found.layers) == pytest.approx(1)
    assert sum(g.share for g in found.genes) == pytest.approx(1)
    page = render(made.facts)
    assert re.search(r"stands? out of (its|their) noise \(l3\.d2", page)


def test_nothing_is_said_of_genes_without_evidence(made, small_space):
    rng = random.Random(4)
    genomes = list(dict.fromkeys(small_space.sample(rng) for _ in range(90)))
    for genome in genomes[:49]:
        made.add(genome, 0.5)
    assert made.facts.importance.why == "Too few candidates for a statement: 49, of at least 50."
    made.add(genomes[49], 0.5)
    assert "same score" in made.facts.importance.why
    assert "same score" in render(made.facts)


# Lineage


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("-*3", "- add(1@0.5) -", ["layer 2: skip 1 added at strength 0.5, merge add"]),
        ("add(1)*2", "add(1) gate(1)", ["layer 2: merge add → gate"]),
        ("add(1)*2", "add(1) -", ["layer 2: made plain (was add(1))"]),
        ("add(1) add(1,2)", "add(1) add(2@0.5)", ["layer 2: skip 1 removed, skip 2 strength 1 → 0.5"]),
        ("-*2 add(1)", "-*2 add(3)", ["layer 3: skip moved from distance 1 to 3"]),
        ("-*3", "add(1) - se(2)",
         ["layer 1: skip 1 added at strength 1, merge add", "layer 3: skip 2 added at strength 1, merge se"]),
        ("- add(1) se(1) gate(1) -", "- gate(1) add(1) se(1) -",
         ["layers 2–4: patterns moved up by one, the last one to layer 2"]),
        ("- add(1) se(1) gate(1)", "- se(1) gate(1) add(1)",
         ["layers 2–4: patterns moved down by one, the first one to layer 4"]),
    ],
)  # fmt: skip
def test_changes_in_words(before, after, words):
    assert describe(Genome.parse(before), Genome.parse(after)) == words


def test_the_line_follows_the_better_parent_to_the_first_ancestor(tmp_path, small_space, digits):
    made = Made(tmp_path, small_space, digits, strategy="mu-plus-lambda")
    made.add("-*4", 0.1, role="plain")
    made.add("add(1) -*3", 0.3)
    made.add("- add(1) - concat(1)", 0.4)
    made.add("add(1)*2 -*2", 0.2, parents=[1])
    made.add("add(1)*2 - concat(1)", 0.6, parents=[3, 2])
    made.add("add(1) add(2) - concat(1)", 0.5, parents=[4])
    made.add("add(1) add(2) -*2", 0.55, parents=[1])
    steps = made.facts.lineage.steps
    assert [step.number for step in steps] == [2, 4]
    assert steps[1].parent == 2
    assert steps[1].other == 3
    assert steps[1].changes == ("layer 1 from trial 3",)
    assert steps[1].changed == (1,)
    assert steps[1].gained == pytest.approx(0.2)
    assert made.facts.lineage.ancestors == 3
    assert "crossed with trial 3" in render(made.facts)


def test_samplers_have_no_ancestors(made, small_space):
    made.add(small_space.sample(random.Random(0)), 0.5)
    assert not made.facts.lineage.recorded
    assert "records no parents of its candidates" in render(made.facts)


# Knock-outs


def trained(genome, skeleton):
    """A network with weights and statistics that differ everywhere."""
    network = compile_network(Genome.parse(genome), skeleton, seed=1)
    generator = torch.Generator().manual_seed(0)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            low = 0.0 if name.endswith("running_var") else -0.5
            tensor.add_(0.4 * (low + torch.rand(tensor.shape, generator=generator)))
    return network.eval()


@pytest.mark.parametrize(
    "merge", ["add", "scale", "channel", "attention", "se", "gate", "dense", "concat"]
)
@pytest.mark.parametrize(("layer", "distance"), [(3, 2), (3, 1), (4, 3)])
def test_a_skip_cut_out_is_a_skip_that_adds_nothing(small_space, merge, layer, distance):
    network = trained(f"{merge}(1)*2 {merge}(1@0.5,2) {merge}(1,2@0.5,3)", small_space.skeleton)
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    cut = without_skip(network, layer, distance)
    silent = copy.deepcopy(network)  # by hand: what the adapter gives is multiplied by zero
    adapter = silent.layers[str(layer)].adapters[str(distance)]
    adapter.register_forward_hook(lambda module, inputs, output: 0 * output)
    with torch.no_grad():
        assert torch.allclose(cut.eval()(images), silent(images), atol=1e-5)
        assert (cut(images) - network(images)).abs().max() > 1e-3


def test_a_layer_without_its_last_skip_is_its_branch(small_space):
    network = trained("- add(1) concat(2) gate(1)", small_space.skeleton)
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    for layer, distance in skips_of(network.genome):
        bare = copy.deepcopy(network)
        bare.layers[str(layer)].merge = None
        with torch.no_grad():
            cut = without_skip(network, layer, distance).eval()
            assert torch.allclose(cut(images), bare(images), atol=1e-6)
            assert (cut(images) - network(images)).abs().max() > 1e-4


@pytest.fixture(scope="session")
def knocked(searched, tmp_path_factory):
    """The searched study with its knock-outs."""
    folder = tmp_path_factory.mktemp("knocked")
    shutil.copy(searched[0], folder / "nas.log")
    url = f"{folder}/nas.log"
    write_report(None, url, folder / "a.html", knock_out=KnockoutRequest(device="cpu", workers=1))
    return url


def beside(url):
    store = store_of(url)
    return store.beside(KNOCKOUTS).trials()


def test_knock_outs_are_evaluations_and_are_not_trained_twice(knocked, digits):
    store = store_of(knocked)
    facts = collect(store, knocked)
    found = facts.knockout
    winner = facts.winner.genome
    assert found.whole == facts.winner.accuracy
    assert found.missing == 0
    assert [(x.layer, x.distance) for x in found.losses] == skips_of(winner)
    space = recorded_space(store.settings)
    known = {row.genome: row.accuracy for row in facts.trials}
    for loss in found.losses:
        layer = winner.layers[loss.layer - 1]
        left = tuple(s for s in layer.skips if s.distance != loss.distance)
        layers = list(winner.layers)
        layers[loss.layer - 1] = replace(layer, skips=left, merge=layer.merge if left else None)
        genome = Genome(tuple(layers))
        own = evaluate(genome, space.skeleton, space.proxy, 0, digits, "cpu").accuracy
        assert loss.retrained == own
        assert (loss.trial is None) is (genome not in known)
        assert 0 <= loss.cut <= 1
    trials = beside(knocked)
    write_report(
        None, knocked, "-", form="json", knock_out=KnockoutRequest(device="cpu", workers=1)
    )
    assert beside(knocked) == trials


@pytest.mark.slow
def test_interrupted_knock_outs_go_on(knocked, url, monkeypatch):
    """Killed while the cuts of one training are being recorded."""
    finish, calls = Store.finish, []

    def dies(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        finish(*arguments)

    means = KnockoutRequest(device="cpu", workers=1)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Store, "finish", dies)
        write_report(None, url, "-", form="json", knock_out=means)
    facts = collect(store_of(url), url)
    found = facts.knockout
    scored = [x.cut is not None for x in found.losses]
    assert scored.count(True) == 1
    assert found.whole is None
    assert found.missing == found.total - 1 - sum(x.trial is not None for x in found.losses)
    assert "networks are not scored yet" in render(facts)
    write_report(None, url, "-", form="json", knock_out=replace(means, workers=2))
    ended, straight = (collect(store_of(u), u) for u in (url, knocked))
    assert replace(ended.knockout, seconds=0) == replace(straight.knockout, seconds=0)


def test_knock_outs_only_where_the_study_was_searched(url, tmp_path, monkeypatch, fashion_mnist):
    def message(**means):
        with pytest.raises(InputError) as caught:
            write_report(
                None,
                url,
                tmp_path / "a.html",
                knock_out=KnockoutRequest(**{"device": "cpu", **means}),
            )
        return str(caught.value)

    assert "not the data of the study" in message(data="fashion-mnist")
    assert "--workers 0" in message(workers=0)
    monkeypatch.setattr(torch, "__version__", "2.99")
    assert 'device.torch is "' in message()
    assert not (tmp_path / "a.html").exists()
    assert len(open_storage(url).get_all_studies()) == 2


# The page


class Page(HTMLParser):
    """Checks nesting, and collects what a page is made of."""

    VOID = frozenset({"meta", "input", "br", "link", "img", "hr"})

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.addresses, self.metas, self.words = [], [], [], {}, []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "xlink:href", "action")]
        self.ids += [given["id"]] if "id" in given else []
        if tag == "meta" and "name" in given:
            self.metas[given["name"]] = given["content"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.mark.slow
def test_the_page_needs_nothing_else_and_repeats_itself(knocked):
    text = render(collect(store_of(knocked), knocked))
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert page.addresses
    assert all(a.startswith("#") and a[1:] in page.ids for a in page.addresses)
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org/)", text)
    assert render(collect(store_of(knocked), knocked)) == text
    again = subprocess.run(
        [sys.executable, "-c", "import sys; from studies.report import write_report\n"
         "write_report(None, sys.argv[1], '-')", knocked],
        check=True, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert again.stdout == text
    said = " ".join(" ".join(page.words).split())
    for words in ("Finalists", "Progress", "Trade-off", "What each skip is worth", "fingerprint",
                  "nas search --space", "no pattern was trained twice"):  # fmt: skip
        assert words in said


ODD = '<b>"x"& {{ 7*7 }}</b><script>alert(1)</script>'


def test_names_are_text_and_not_markup(tmp_path, small_space, digits, monkeypatch):
    made = Made(tmp_path, replace(small_space, name="<i>mine"), digits, name=ODD)
    made.add("-*4", 0.2, role="plain")
    made.add("add(1) -*3", 0.3)
    made.add("add(1)*4", 0.0, status="failed")
    made.store.note("nas:command", "nas search --study '<u>'")
    made.store.note("nas:versions", {"<em>": "1"})
    text = render(made.facts)
    page = Page(text)
    for tag in ('<b>"', "<script>alert", "<i>mine", "<u>", "<em>"):
        assert tag not in text.replace("<em class", "")
    assert ODD in "".join(page.words)
    monkeypatch.chdir(tmp_path)
    path = write_report(ODD, made.url)
    assert path.name == "b-x-7-7-b-script-alert-1-script.html"
    assert write_report(ODD, made.url) == path


def test_figures_show_what_there_is(knocked):
    text = render(collect(store_of(knocked), knocked))
    trials = len(store_of(knocked).trials())
    assert text.count('role="img"') >= trials + 6
    for name in ("progress-evaluations", "front-params", "finalists", "knockout"):
        assert f'id="{name}-' in text
    assert "#1000" not in text.replace("#10000", "")
    assert not re.search(r"#10000\d", text)  # every placeholder has become a variable


def test_labels_are_spread_and_outliers_kept_out():
    assert spread([1.0, 5.0], 1) == [1, 5]
    assert spread([1.0, 1.0, 5.0], 1) == [0.5, 1.5, 5]
    placed = spread([3.0, 1.0, 1.1, 1.2], 1)
    assert sorted(b - a for a, b in itertools.pairwise(sorted(placed)))[0] >= 1 - 1e-9
    low, high = window([90.0, 91.0, 92.0, 10.0], [])
    assert 88 < low < 90
    assert 92 < high < 93


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium (Debian's package chromium)")
def test_in_a_browser_nothing_overflows_and_tables_sort(knocked, tmp_path):
    text = render(collect(store_of(knocked), knocked))
    (tmp_path / "frames.html").write_text(
        FRAMES.replace("PAGE", json.dumps(text).replace("</", "<\\/"))
    )
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path}/browser", "--virtual-time-budget=15000", "--dump-dom",
        f"file://{tmp_path}/frames.html",
    ]  # fmt: skip
    out = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    found = json.loads(re.search(r"<pre>(.*?)</pre>", out, re.DOTALL)[1])
    assert [width for _, _, width in found["widths"]] == [390, 1280]
    assert all(scroll == client for scroll, client, _ in found["widths"])
    assert found["errors"] == []
    assert found["accuracies"] == sorted(found["accuracies"], reverse=True)
    assert len(found["accuracies"]) == 12
    assert found["shown"] == found["concat"] > 0


FRAMES = """<!doctype html><meta charset="utf-8"><pre></pre><script>
const page = PAGE, found = {widths: [], errors: []};
const frames = [390, 1280].map((width) => {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:900px;border:0`;
  frame.srcdoc = page;
  document.body.append(frame);
  return frame;
});
setTimeout(() => {
  for (const frame of frames) {
    const root = frame.contentDocument.documentElement;
    found.widths.push([root.scrollWidth, root.clientWidth, frame.offsetWidth]);
  }
  const inner = frames[0].contentDocument, table = inner.getElementById("all-trials");
  const rows = () => [...table.tBodies[0].rows];
  table.tHead.querySelectorAll("button")[1].click();
  found.accuracies = rows().map((row) => parseFloat(row.cells[1].textContent));
  found.concat = rows().filter((row) => row.textContent.includes("concat")).length;
  const input = inner.querySelector("input");
  input.value = "CONCAT";
  input.dispatchEvent(new frames[0].contentWindow.Event("input"));
  found.shown = rows().filter((row) => row.offsetHeight > 0).length;
  document.querySelector("pre").textContent = JSON.stringify(found);
}, 1500);
</script>"""


# The same study, however it was made


def test_a_study_that_was_killed_and_resumed_gives_the_same_report(searched, tmp_path):
    """What a killed search leaves is the beginning of its journal (test_search kills real ones)."""
    journal, small = searched
    storage, lines = f"{tmp_path}/killed.log", journal.read_bytes().splitlines(keepends=True)
    (tmp_path / "killed.log").write_bytes(b"".join(lines[: int(0.45 * len(lines))]))
    running = collect(store_of(storage), storage)
    assert 3 < len(running.trials) < 12
    assert running.cost.statuses["unfinished"] in (1, 2)  # the next begins before one is recorded
    assert "unfinished" in render(running)
    run_search(request(small, storage, workers=2))
    ways = [storage, str(journal)]
    killed, straight = (without_measures(collect(store_of(u), u).as_json()) for u in ways)
    assert killed == straight
    assert killed["finals"]["rows"]
    assert killed["trials"]


# Forms and files


def test_json_and_csv(url, tmp_path, capsys):
    name = store_of(url).name
    assert write_report(name, url, "-", form="json") is None
    found = json.loads(capsys.readouterr().out)
    assert found["study"] == name
    assert len(found["trials"]) == 12
    path = write_report(name, url, tmp_path / "a.csv", form="csv")
    table = pd.read_csv(path, index_col="number")
    frame = studies.load(name, url)
    assert list(table.columns) == list(frame.columns)
    assert list(table["accuracy"]) == pytest.approx(list(frame["accuracy"]))
    rows = list(csv.reader(io.StringIO(path.read_text())))
    assert len({len(row) for row in rows}) == 1


def test_a_table_has_every_objective(tmp_path, small_space, digits):
    names = ("accuracy", "gradient-ratio")
    made = Made(tmp_path, small_space, digits, objectives=names, strategy="nsga2")
    made.add("add(1)*4", None)
    made.add("add(1) -*3", 0.5, values=[0.5, 1.25])
    frame = studies.load("made", made.url)
    assert list(frame.columns[:1]) == ["state"]
    assert frame.loc[1, "gradient-ratio"] == 1.25
    assert frame.loc[1, "accuracy"] == 0.5
    assert list(frame["state"]) == ["running", "complete"]


@pytest.mark.parametrize("form", ["html", "json", "csv"])
def test_a_file_of_another_name_is_replaced_by_force_alone(form, made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made.add("add(1)*4", 0.5)
    own = write_report("made", made.url, form=form)
    assert own.name == f"made.{form}"
    before = own.read_bytes()
    made.add("-*4", 0.7)
    assert write_report("made", made.url, own.name, form=form) == own
    assert own.read_bytes() != before
    notes = tmp_path / f"notes.{form}"
    notes.write_text("mine")
    with pytest.raises(InputError, match=r"notes\..*the file exists; .*--force"):
        write_report("made", made.url, notes, form=form)
    assert notes.read_text() == "mine"
    write_report("made", made.url, notes, form=form, force=True)
    assert notes.read_bytes() == own.read_bytes()


def test_passwords_stay_out(made, monkeypatch):
    made.add("add(1)*4", 0.5)
    secret = "postgresql://me:hunter2@host/nas"
    made.store.note("nas:command", SearchRequest(storage=secret).command)
    monkeypatch.setattr(write, "find_study", lambda name, storage: made.store)
    for form in ("html", "json"):
        path = write_report(
            "made", secret, f"{made.url.removeprefix('sqlite:///')}.{form}", form=form
        )
        assert "hunter2" not in path.read_text()
        assert "me:***@host" in path.read_text()


def test_a_study_with_a_plugins_merge_asks_for_the_plugin(made, capsys):
    made.add("add(1)*4", 0.5)
    made.store.note("nas:settings", {**made.store.settings, "plugins": {"unheard.py": "abc"}})
    code, _, err = nas(capsys, "report", "made", "--storage", made.url, "--out", "-")
    assert code == 2
    assert "needs the plugin unheard.py: name the file with --plugin" in err


def test_the_only_search_needs_no_name(capsys, url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = store_of(url).name
    code, out, err = nas(capsys, "report", "--storage", url)
    assert (code, out, err) == (0, f"Report: {name}.html\n", "")
    assert f"<title>{name}: report</title>" in (tmp_path / f"{name}.html").read_text()
    code, out, _ = nas(capsys, "report", "--storage", url, "--format", "json", "--out", "-")
    assert json.loads(out)["study"] == name


def test_a_study_where_everything_failed_is_explained(made):
    made.add("-*4", 0.0, role="plain", status="diverged")
    for genome in ("add(1) -*3", "add(1)*4"):
        made.add(genome, 0.0, status="failed", values=[])
    facts = made.facts
    assert facts.winner is None
    text = " ".join(" ".join(Page(render(facts)).words).split())
    assert "None of 2 candidates could be trained to the end" in text
    assert "failed: it broke" in text
    assert "Best so far" not in text


def test_a_pruned_candidate_is_no_winner_but_counts(made, small_space):
    rng = random.Random(5)
    genomes = list(dict.fromkeys(small_space.sample(rng) for _ in range(80)))
    made.add(genomes[0], 0.9, status="pruned")
    made.add(genomes[1], 0.6)
    facts = made.facts
    assert facts.winner.number == 1
    assert facts.cost.statuses == {"pruned": 1, "ok": 1}
    assert facts.progress.accuracies == (0.6,)
    assert facts.habits is None
    assert "trained to the end for a best tenth: 1, of at least 50" in render(facts)
    for genome in genomes[2:51]:
        made.add(genome, 0.5)
    assert made.facts.habits.all == 51
    assert made.facts.habits.best == 5
    assert "pruned" in render(made.facts)


def test_the_command_starts_without_torch():
    code = "import sys, studies.cli; assert not {'torch', 'optuna', 'jinja2'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

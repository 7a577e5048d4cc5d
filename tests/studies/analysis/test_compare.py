"""Comparisons of strategies, on studies written with known accuracies."""

import json
import random
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from nas import InputError
from nas.architecture.references import FIRST, reference
from nas.evaluation.result import failed
from nas.strategies.problem import Limits
from studies import cli
from studies.analysis.compare import compare_studies
from studies.search.settings import SearchSettings
from studies.store.storages import open_storage
from studies.store.store import Store


def write_study(storage, space, data, name, accuracies, **change):
    """A study whose candidates have these accuracies, after the hand-made patterns."""
    settings = SearchSettings(
        space, data, change.pop("strategy", "random"), ("accuracy",), change.pop("seed", 0), 8,
        Limits(), {"type": "cpu"}, **change,
    )  # fmt: skip
    store = Store.open(storage, name, settings.record(), [True], ["accuracy"])
    rng = random.Random(name)
    genomes = {role: reference(role, space.skeleton) for role in FIRST}
    roles = [*genomes, *[""] * len(accuracies)]
    found = [*genomes.values(), *(space.sample(rng) for _ in accuracies)]
    scores = [0.5, 0.8, 0.7, *accuracies]
    for number, (role, genome, score) in enumerate(zip(roles, found, scores, strict=True)):
        store.add(number, genome, {"role": role, "params": 1, "macs": 1, "parents": []})
        done = replace(failed(genome, space.skeleton, 0, ""), status="ok", why="", seconds=2.0)
        store.finish(number, replace(done, accuracy=score, accuracies=(0.1, score)), [score])
    return store


@pytest.fixture
def contest(small_space, digits, tmp_path):
    """Three strategies over five seeds; `finals` is what each ended with."""
    url = f"{tmp_path}/contest.log"
    storage = open_storage(url)
    rng = np.random.default_rng(0)
    finals = {
        "regularized": 0.90 + 0.01 * rng.standard_normal(5),
        "tpe": 0.91 + 0.01 * rng.standard_normal(5),
        "random": 0.85 + 0.01 * rng.standard_normal(5),
    }
    for strategy, ends in finals.items():
        for seed, end in enumerate(ends):
            scores = [0.4, float(end) - 0.05, 0.3, float(end), 0.2]
            write_study(
                storage, small_space, digits, f"{strategy}-{seed}", scores,
                strategy=strategy, seed=seed,
            )  # fmt: skip
    return url, storage, finals


def test_means_tests_and_targets(contest):
    _, storage, finals = contest
    found = compare_studies(storage, ["regularized-*", "tpe-*", "random-*"])
    assert [one.label for one in found.contenders] == ["regularized", "tpe", "random"]
    assert found.evaluations == 8
    assert found.patterns == pytest.approx({"plain": 0.5, "residual": 0.8, "dense": 0.7})
    raw = {}
    for one in found.contenders:
        ends = finals[one.label]
        assert one.seeds == (0, 1, 2, 3, 4)
        assert one.finals == pytest.approx(list(ends))
        assert one.std == pytest.approx(np.std(ends, ddof=1))
        assert one.seconds == pytest.approx([16.0] * 5)
        assert one.epochs == (16,) * 5
        curve = [0, 0, 0, 0.4, ends[0] - 0.05, ends[0] - 0.05, ends[0], ends[0]]
        assert one.curves[0] == pytest.approx(curve)
        # the mean of random search's ends is passed by the second candidate, by the fourth, or not
        goal = finals["random"].mean()
        assert one.reached == tuple(
            5 if end - 0.05 >= goal else 7 if end >= goal else None for end in ends
        )
        raw[one.label] = stats.ttest_rel(ends, finals["regularized"])
    low, high = sorted([raw["tpe"].pvalue, raw["random"].pvalue])
    holm = {low: 2 * low, high: max(2 * low, high)}
    for one in found.contenders[1:]:
        delta = finals[one.label] - finals["regularized"]
        assert one.difference == pytest.approx(delta.mean())
        assert one.p == pytest.approx(holm[raw[one.label].pvalue])
        bounds = raw[one.label].confidence_interval(0.95)
        assert one.bounds == pytest.approx((bounds.low, bounds.high))
    assert found.contenders[0].p is None


def test_a_target_that_some_reach(contest):
    _, storage, finals = contest
    target = float(np.median(finals["tpe"]))
    tpe = compare_studies(storage, ["tpe-*", "random-*"], target).contenders[0]
    assert [k is not None for k in tpe.reached] == [end >= target for end in finals["tpe"]]


def test_the_shortest_study_sets_the_budget_and_seeds_pair(contest, small_space, digits):
    _, storage, _ = contest
    write_study(
        storage, small_space, digits, "short", [0.6, 0.7], strategy="mu-plus-lambda", seed=3
    )
    found = compare_studies(storage, ["random-*", "short"])
    assert found.evaluations == 5
    assert found.contenders[1].pairs == 1
    assert found.contenders[1].p is None
    assert json.loads(json.dumps(found.as_json()))["contenders"][1]["std"] is None


def test_labels_say_what_differs(contest, small_space, digits):
    _, storage, _ = contest
    write_study(storage, small_space, digits, "wide", [0.6] * 5, strategy="tpe", population=32)
    write_study(storage, small_space, digits, "cut", [0.6] * 5, strategy="tpe", pruner="median")
    found = compare_studies(storage, ["tpe-0", "wide", "cut"])
    assert [one.label for one in found.contenders] == ["tpe", "tpe (population=32)", "tpe + median"]


def test_what_cannot_be_compared(contest, small_space, digits):
    _, storage, _ = contest
    other = replace(small_space, proxy=replace(small_space.proxy, epochs=7))
    write_study(storage, other, digits, "longer", [0.6])
    write_study(storage, small_space, digits, "again", [0.6] * 5, strategy="tpe")
    storage.create_new_study([1], "empty")
    for names, message in [
        (["tpe-0"], "tpe-0 is one study"),
        (["tpe-0", "tpe-9"], "unknown study 'tpe-9'"),
        (["tpe-0", "longer"], r"cannot be compared: proxy\.epochs is 1, not 7"),
        (["tpe-0", "empty"], "'empty' was not made by nas search"),
        (["tpe-*", "again"], "'tpe-0' and 'again' are the same search with the same seed"),
    ]:
        with pytest.raises(InputError, match=message):
            compare_studies(storage, names)


def run(capsys, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["nas", "compare", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code, *capsys.readouterr()


def test_the_command_prints_a_table_a_verdict_and_a_picture(contest, capsys, monkeypatch, tmp_path):
    url, *_ = contest
    picture = tmp_path / "c.png"
    names = ["regularized-*", "tpe-*", "random-*"]
    code, out, err = run(capsys, monkeypatch, *names, "--storage", url, "--out", picture)
    assert (code, err) == (0, "")
    assert "random ends" in out
    assert "below regularized (95 % interval" in out
    assert "n = 5)" in out
    with Image.open(picture) as image:
        assert image.size[0] > 1000
    code, out, _ = run(capsys, monkeypatch, *names, "--storage", url, "--out", "", "--json")
    assert [one["label"] for one in json.loads(out)["contenders"]] == [
        "regularized",
        "tpe",
        "random",
    ]
    code, _, err = run(capsys, monkeypatch, "tpe-0", "--storage", "no-" + url[1:])
    assert code == 2
    assert "there is no f" in err  # file or folder

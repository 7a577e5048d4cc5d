"""An own loop: ask, tell, prune, stop, and go on."""

import random
import subprocess
import sys

import pytest
import torch
from torch import nn

from nas import InputError, SearchSpace, compile_network, evaluate, load_data, wrap
from nas.evaluation.result import failed
from studies import AskTell, open_study
from studies.pages.views import Shown
from studies.report.write import write_report
from tests.studies.searches import trials_of


def cost(genome):
    """A score of no training: more skips cost more."""
    return sum(len(layer.skips) for layer in genome.layers) + len(str(genome)) / 100


def loop(small_toml, storage, wanted, at_once=1, stop=None, rng=None, **more):
    """Asks so many at once, and tells them in a random order; stops without telling the rest."""
    options = {"objectives": "min:cost", "population": 6, "lag": 4, **more}
    with AskTell(str(small_toml), "mine", storage, **options) as search:
        while (done := len(search)) < wanted:
            asked = [search.ask() for _ in range(min(at_once, wanted - done))]
            (rng or random.Random(0)).shuffle(asked)
            for trial in asked:
                if stop is not None and len(search) == stop:
                    return
                search.tell(trial, cost(trial.genome))


@pytest.mark.parametrize(
    "more", [{}, {"strategy": "tpe"}, {"objectives": "max:cost,params", "strategy": "nsga2"}]
)
@pytest.mark.parametrize("form", ["sqlite:///{}/nas.db", "{}/nas.log"])
def test_the_same_trials_in_any_order_and_after_any_interruption(small_toml, tmp_path, form, more):
    found = []
    for name, at_once, stop in (("whole", 1, None), ("many", 4, None), ("stopped", 3, 10)):
        (tmp_path / name).mkdir()
        storage = form.format(tmp_path / name)
        loop(small_toml, storage, 20, at_once, stop, **more)
        loop(small_toml, storage, 20, **more)
        found.append(trials_of(storage, "mine"))
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 20


def test_what_a_killed_process_asked_is_asked_again(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/nas.db"
    code = (
        "import os; from studies import AskTell; "
        f"search = AskTell({str(small_toml)!r}, 'mine', {storage!r}); "
        "search.tell(search.ask(), 0.5); print(search.ask().genome, flush=True); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 9, done.stderr
    with AskTell(str(small_toml), "mine", storage) as search:
        trial = search.ask()
        assert (trial.number, str(trial.genome)) == (1, done.stdout.strip())


def test_it_is_an_ordinary_study(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/nas.db"
    loop(small_toml, storage, 12)
    study = open_study("mine", storage)
    best = min((t for t in study.trials if not t.attrs["role"]), key=lambda t: t.values[0])
    assert study.best.number == best.number
    assert study.progress() == "12 of 12 evaluated"
    assert list(study.frame["cost"]) == [t.values[0] for t in study.trials]
    assert f"{best.values[0]:.4g}" in repr(study)
    page = write_report("mine", storage, tmp_path / "mine.html").read_text()
    assert "best validation cost" in page
    assert "validation accuracy" not in page


def test_the_pruner_advises_and_the_end_is_recorded(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/nas.db"
    ends = []
    options = {"objectives": "min:loss", "pruner": "median", "lag": 1, "population": 4}
    with AskTell(str(small_toml), "mine", storage, **options) as search:
        for k in range(14):
            trial, loss = search.ask(), 1.0 + k  # worse and worse
            stop = search.report(trial, 1, loss)
            ends.append("pruned" if stop else "ok")
            search.tell(trial, loss)
        failed = search.ask()
        search.tell(failed, failed="the rain")
        trials = search.store.trials()
    assert [trial.attrs["status"] for trial in trials] == [*ends, "failed"]
    assert set(ends[:3]) == {"ok"}
    assert ends[-1] == "pruned"
    assert [dict(trial.curve) for trial in trials[:2]] == [{1: 1.0}, {1: 2.0}]
    assert trials[-1].attrs["why"] == "the rain"


def test_evaluations_are_told_as_they_are(small_space, tmp_path):
    storage = f"sqlite:///{tmp_path}/nas.db"
    with AskTell(
        small_space, "mine", storage, objectives="accuracy,macs", strategy="nsga2"
    ) as search:
        trial = search.ask()
        data = load_data("digits")
        found = evaluate(trial.genome, search.space.skeleton, search.space.proxy, 0, data, "cpu")
        search.tell(trial, found)
        assert search.store.trials()[0].values == (found.accuracy, found.macs)
        other = search.ask()
        with pytest.raises(InputError, match=r"told the evaluation of"):
            search.tell(other, found)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("good", "a number is expected"),
        (float("nan"), "a finite number"),
        ({"f1": 0.5}, "a dict of f1; accuracy is expected"),
        (93.0, "from 0 to 1"),
        (None, "a number is expected"),
    ],
)
def test_what_is_no_score_is_refused_and_can_be_told_again(small_toml, tmp_path, told, said):
    with AskTell(str(small_toml), "mine", f"sqlite:///{tmp_path}/nas.db") as search:
        trial = search.ask()
        with pytest.raises(InputError, match=f"trial 0 was told .*{said}") as refused:
            search.tell(trial, told)
        assert "\n" not in str(refused.value)
        assert search.tell(trial, 0.5)
        with pytest.raises(InputError, match="trial 0 is not open"):
            search.tell(trial, 0.5)


def test_a_failed_evaluation_needs_no_score(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/nas.db"
    with AskTell(str(small_toml), "mine", storage, objectives="min:cost") as search:
        search.tell(search.ask(), 3.0)
        trial = search.ask()
        skeleton = search.space.skeleton
        search.tell(trial, failed(trial.genome, skeleton, 0, "too large", "out of memory"))
        search.tell(search.ask(), 5.0)
        assert [trial.attrs["status"] for trial in search.study.trials] == [
            "ok",
            "out of memory",
            "ok",
        ]
        rows = Shown.of(search.store, storage).rows
    assert [row.accuracy for row in rows] == [-3.0, None, -5.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("studies.pages.views.SHOWN", 2)
        assert [row.trial.number for row in Shown.of(search.store, storage).rows] == [0, 2]


def test_inputs_need_not_be_pictures(tmp_path):
    model = nn.Sequential(nn.Linear(12, 8), nn.Sequential(*(nn.Linear(8, 8) for _ in range(3))), nn.Linear(8, 2))  # fmt: skip
    space = SearchSpace(wrap(model, (12,), 2, "1"), (1, 2), ("add",), (1.0,))
    with AskTell(space, "mine", f"sqlite:///{tmp_path}/nas.db", objectives="max:r2") as search:
        trial = search.ask()
        assert compile_network(trial.genome, space.skeleton)(torch.zeros(4, 12)).shape == (4, 2)
        assert search.tell(trial, -0.5)


def test_more_than_the_lag_cannot_be_asked_at_once(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/nas.db"
    with AskTell(str(small_toml), "mine", storage, lag=2) as search:
        asked = [search.ask(), search.ask(), search.ask()]
        with pytest.raises(InputError, match="trial 3 sees the results of trials 0 to 0"):
            search.ask()
        search.tell(asked[0], 0.5)
        assert search.ask().number == 3
    with pytest.raises(InputError, match="closed"):
        search.ask()
    assert (len(search), len(search.study.trials)) == (1, 4)
    with pytest.raises(InputError, match="other settings: lag is 2, not 8"):
        AskTell(str(small_toml), "mine", storage)


@pytest.mark.parametrize("objectives", ["f1", "max:", "params,max:f1", "best:f1"])
def test_objectives_that_are_refused(small_toml, tmp_path, objectives):
    with pytest.raises(InputError, match="--objectives"):
        AskTell(
            str(small_toml),
            "mine",
            f"sqlite:///{tmp_path}/nas.db",
            objectives=objectives,
            strategy="tpe",
        )

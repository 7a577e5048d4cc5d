"""Promise 2: the study is the only state. Same trials whoever runs it and however it is disturbed."""

import json
import shlex
import subprocess

import optuna
import pytest
import torch

import studies
from nas import Genome, InputError
from nas.architecture.references import FIRST, REFERENCES
from nas.workers.process_pool import Workers
from studies.cli.progress import points_of
from studies.retraining.pattern import find_pattern
from studies.search.choice import POINTS
from studies.search.loop import Search
from studies.search.machines import open_pool
from studies.search.request import SearchRequest
from studies.store.storages import open_storage
from studies.store.store import Store
from tests.studies.searches import command, request, run_search, trials_of


@pytest.mark.slow
def test_the_same_trials_with_one_and_two_workers_and_any_budget(undisturbed, small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/two.db"
    run_search(request(small_toml, storage, workers=2, evaluations=10))
    assert trials_of(storage) == undisturbed[:10]
    result = run_search(request(small_toml, storage, workers=2))
    assert trials_of(storage) == undisturbed
    assert result.outcome.reason == "budget"
    assert result.best.attrs["accuracy"] == max(
        t[5]["accuracy"] for t in undisturbed if not t[5]["role"]
    )
    keys = [t[5]["notation"] for t in undisturbed]
    assert len(set(keys)) == 24
    patterns = [str(REFERENCES[name].tiled(4)) for name in FIRST]
    assert [t[1] for t in undisturbed[:3]] == patterns
    assert [t[5]["role"] for t in undisturbed[:4]] == ["plain", "residual", "dense", ""]
    assert any(t[5]["parents"] for t in undisturbed)


def test_other_settings_are_refused_and_named(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/a.db"
    run_search(request(small_toml, storage, study="mine", evaluations=3))
    with pytest.raises(InputError) as caught:
        run_search(request(small_toml, storage, study="mine", seed=1, lag=4))
    text = str(caught.value)
    assert "seed is 0, not 1" in text
    assert "lag is 8, not 4" in text
    assert "--study NAME" in text
    assert len(trials_of(storage, "mine")) == 3
    small_toml.write_text(small_toml.read_text().replace("epochs = 2", "epochs = 3", 1))
    with pytest.raises(InputError, match=r"proxy\.epochs is 2, not 3"):
        run_search(request(small_toml, storage, study="mine"))


def test_a_device_of_another_kind_is_refused(small_toml, tmp_path, monkeypatch):
    storage = f"sqlite:///{tmp_path}/a.db"
    run_search(request(small_toml, storage, evaluations=3))
    monkeypatch.setattr(torch, "__version__", "2.99")
    with pytest.raises(InputError, match=r'device\.torch is ".*", not "2\.99"'):
        run_search(request(small_toml, storage))


def test_the_record_is_complete_and_optuna_reads_it(undisturbed_storage):
    study = optuna.load_study(study_name=None, storage=undisturbed_storage)
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert study.metric_names == ["accuracy"]
    settings = study.user_attrs["nas:settings"]
    assert settings["data"]["fingerprint"]
    assert settings["trainer"] >= 1
    assert study.user_attrs["nas:versions"]["torch"]
    outside = [t for t in study.trials if not t.params]
    assert [t.number for t in outside] == []  # all three hand-made patterns lie in this space
    trial = study.trials[5]
    assert set(trial.params) >= {"l1.d1", "l4.d3", "l2.merge"}
    assert trial.value == trial.user_attrs["accuracy"] == trial.intermediate_values[2]
    assert {
        "notation", "parents", "strategy", "params", "macs", "seconds", "peak_bytes",
        "gradient_norm_first", "gradient_norm_last", "status", "seed",
    } <= set(trial.user_attrs)  # fmt: skip
    optuna.importance.get_param_importances(study)


def test_a_study_as_a_table(undisturbed, undisturbed_storage):
    name = open_storage(undisturbed_storage).get_all_studies()[0].study_name
    frame = studies.load(name, undisturbed_storage)
    assert list(frame.index) == list(range(24))
    assert list(frame["notation"]) == [t[1] for t in undisturbed]
    assert frame["accuracy"].max() == max(t[3][0] for t in undisturbed)
    assert set(frame["l4.d3"]) <= {0.0, 0.5, 1.0}
    assert (frame["state"] == "complete").all()
    with pytest.raises(InputError, match=f"unknown study 'none'.*{name}"):
        studies.load("none", undisturbed_storage)


@pytest.mark.slow
def test_hand_made_patterns_outside_the_space_have_no_parameters(small_toml, tmp_path):
    small_toml.write_text(small_toml.read_text().replace('["add", "concat"]', '["gate"]'))
    storage = f"sqlite:///{tmp_path}/a.db"
    run_search(request(small_toml, storage))
    study = optuna.load_study(study_name=None, storage=storage)
    assert [t.number for t in study.trials if not t.params] == [1, 2]
    assert not {1, 2} & {p for t in study.trials for p in t.user_attrs["parents"]}


def test_a_search_from_a_notation_evaluates_it_after_the_patterns(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/a.db"
    start = Genome.parse("concat(1) concat(2@0.5) - concat(1,3)")
    result = run_search(request(small_toml, storage, start=str(start), evaluations=9))
    assert result.trials[3].genome == start
    assert result.trials[3].attrs["role"] == "start"
    with pytest.raises(
        InputError, match=r"layer 1 'add\(1@0\.7\)': strength 0\.7 is not in this space"
    ):
        run_search(request(small_toml, storage, start="add(1@0.7) -*3"))
    with pytest.raises(InputError, match=r"did you mean .*resnet-56"):
        run_search(request(small_toml, storage, start="resnet-57"))


def test_a_search_from_a_baseline_runs_on_its_skeleton(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/a.db"
    wanted = request(small_toml, storage, start="cifar/resnet-20", evaluations=5)
    result = run_search(wanted)
    assert result.settings.space.skeleton.adapter == "A"
    assert result.settings.space.skeleton.layers == 9
    assert result.settings.space.skeleton.input_shape == (1, 8, 8)
    assert all(trial.ok for trial in result.trials)


def test_a_skeleton_that_cannot_skip_everywhere_is_searched_without(small_toml, tmp_path):
    text = small_toml.read_text().replace("classes = 10", 'classes = 10\nadapter = "A"')
    small_toml.write_text(text.replace("width = 4", "width = 16"))
    storage = f"sqlite:///{tmp_path}/a.db"
    result = run_search(request(small_toml, storage, evaluations=8))
    assert [t.attrs["role"] for t in result.trials[:2]] == ["plain", ""]
    assert all(trial.ok for trial in result.trials)


def test_a_read_only_storage_is_one_line(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/a.db"
    open_storage(storage)
    with pytest.raises(InputError, match=r"--storage sqlite"):
        run_search(request(small_toml, f"sqlite:///file:{tmp_path}/a.db?mode=ro&uri=true"))


@pytest.mark.slow
def test_several_objectives(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/a.db"
    result = run_search(request(small_toml, storage, strategy="nsga2", objectives="accuracy,macs"))
    study = optuna.load_study(study_name=None, storage=storage)
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    trial = study.trials[7]
    assert trial.values == [trial.user_attrs["accuracy"], trial.user_attrs["macs"]]
    assert result.settings.objectives == ("accuracy", "macs")
    assert trial.intermediate_values == {}
    front = [t.values for t in result.front]
    found = [t.values for t in result.trials if not t.attrs["role"]]
    for values in front:
        others = [other for other in found if other != values]
        assert not any(o[0] >= values[0] and o[1] <= values[1] for o in others)
    assert front == sorted(front, key=lambda v: -v[0])
    more = {"contenders": 3, "contender_seeds": 1, "finalists": 1, "finalist_seeds": 1}
    goals = {"strategy": "nsga2", "objectives": "accuracy,macs"}
    again = run_search(request(small_toml, storage, **goals, **more))
    named = {find_pattern(f"best:{again.study}/{point}", None, None, storage, {}).origin["trial"]
             for point in POINTS}  # fmt: skip
    assert set(points_of(again).values()) == named <= {t.number for t in again.front}
    assert all(t.again is not None for t in again.front)
    shown = studies.open_study(again.study, storage)
    assert shown.front == {t.number for t in again.front}


@pytest.mark.slow
def test_limits_and_an_exhausted_space_end_the_search(small_toml, tmp_path):
    text = small_toml.read_text().replace("[1, 2, 3]", "[1]").replace("[0.5, 1.0]", "[1.0]")
    small_toml.write_text(text)
    storage = f"sqlite:///{tmp_path}/a.db"
    result = run_search(request(small_toml, storage, evaluations=200, workers=2))
    assert result.outcome.reason == "exhausted"
    # every genome of the space, and the dense pattern, which lies outside it
    assert len(result.trials) == result.settings.space.distinct + 1 == 82
    assert sum(t.attrs["duplicates"] for t in result.trials) > 10
    again = run_search(request(small_toml, storage, evaluations=200))
    assert len(again.trials) == 82


def test_the_clock_ends_a_search(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/a.db"
    result = run_search(request(small_toml, storage, evaluations=10**6, max_seconds=6))
    assert result.outcome.reason == "clock"
    assert all(t.complete for t in result.trials)


def test_finalists_are_tested_over_fresh_seeds_and_resume(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/a.db"
    wanted = request(small_toml, storage, evaluations=8, finalists=2, finalist_seeds=2)
    first = run_search(wanted)
    assert [row.name for row in first.finalists[2:]] == ["plain", "residual", "dense"]
    names = sorted(s.study_name for s in open_storage(storage).get_all_studies())
    finals = optuna.load_study(study_name=names[1], storage=storage)
    assert len(finals.trials) == 10
    assert {t.user_attrs["seed"] for t in finals.trials} == {1_000_000, 1_000_001}
    again = run_search(wanted)
    assert again.finalists == first.finalists
    assert len(finals.get_trials()) == 10
    more = run_search(SearchRequest(**{**vars(wanted), "finalist_seeds": 3}))
    assert len(finals.get_trials()) == 15
    assert [r.accuracies[:2] for r in more.finalists] == [r.accuracies for r in first.finalists]


@pytest.mark.slow
def test_a_user_merge_from_a_plugin(small_toml, tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from nas.architecture.merges import Merge, total\n"
        "class Maximum(Merge):\n"
        "    def forward(self, learnt, branch, skips, previous):\n"
        "        return branch.maximum(total(skips))\n"
        "MERGES = {'maximum': Maximum()}\n"
    )
    small_toml.write_text(small_toml.read_text().replace('"concat"', '"maximum"'))
    storage = f"sqlite:///{tmp_path}/a.db"
    found = subprocess.run(
        [*command(small_toml, storage), "--plugin", str(plugin)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    assert any("maximum(" in line.get("notation", "") for line in lines)
    assert {line["status"] for line in lines if line["event"] == "evaluated"} == {"ok"}


def test_the_command_that_is_kept_repeats_the_study_and_keeps_no_password(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/a.db"
    run_search(request(small_toml, storage, evaluations=5, strategy="tpe", start="-*4"))
    run_search(
        request(small_toml, storage, evaluations=3, strategy="tpe", start="-*4", max_seconds=9)
    )
    opened = open_storage(storage)
    store = Store.load(opened, opened.get_all_studies()[0].study_name)
    words = shlex.split(store.notes()["nas:command"])
    assert words[:2] == ["nas", "search"]
    given = dict(zip(words[2::2], words[3::2], strict=True))
    assert given["--evaluations"] == "5"
    assert given["--from"] == "-*4"
    assert "--max-seconds" not in given
    secret = SearchRequest(storage="postgresql://me:secret@host/studies")
    assert secret.command == "nas search --storage 'postgresql://me:***@host/studies'"


def test_genomes_in_the_store_are_the_notation(undisturbed):
    for _, notation, *_, attrs in undisturbed:
        assert attrs["notation"] == str(Genome.parse(notation))


def test_a_worker_does_not_wait_for_records_and_proposals_see_only_what_is_recorded(
    small_toml, tmp_path, monkeypatch
):
    done = []

    def noted(owner, name, number):
        call = getattr(owner, name)

        def noting(self, *arguments):
            done.append((name, number(*arguments)))
            return call(self, *arguments)

        monkeypatch.setattr(owner, name, noting)

    noted(Store, "add", lambda k, *_: k)
    noted(Workers, "submit", lambda job: job.number)
    noted(Store, "finish", lambda k, *_: k)
    noted(Search, "_proposal", lambda k: k)
    run_search(request(small_toml, f"sqlite:///{tmp_path}/a.db", lag=3), make_pool=open_pool)
    at = {call: place for place, call in enumerate(done)}
    for k in range(1, 24):
        assert at["_proposal", k] < at["add", k] < at["submit", k] < at["finish", k - 1]
        recorded = {number for name, number in done[: at["_proposal", k]] if name == "finish"}
        assert recorded >= set(range(k - 3))

"""Trackers are told of a search, and nothing that they do changes it."""

import os
import threading
from inspect import signature

import pytest

from studies.search.run import Watcher
from studies.tracking.tracker import Tracker
from studies.tracking.watchers import TrackedSearch
from tests.helpers import nas, refused
from tests.studies.searches import request, run_search, trials_of


class Telling(Tracker):
    def __init__(self):
        self.calls, self.files = [], {}

    def started(self, run):
        self.calls.append(run)

    def trial(self, trial):
        self.calls.append(trial)
        trial.genes.clear()  # copies, which are its own

    def ended(self, end):
        self.calls.append(end)
        self.files = {name: path.read_bytes() for name, path in end.artefacts.items()}


class Hostile(Tracker):
    """Fails in every way that Python has."""

    def __init__(self):
        self.told = 0

    def started(self, run):
        run.settings.clear()

    def trial(self, trial):
        self.told += 1
        raise SystemExit("no server")


def test_own_trackers_are_told_all_and_change_nothing(small_toml, tmp_path):
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("alone", "tracked")]
    telling, hostile, warnings = Telling(), Hostile(), []
    run_search(request(small_toml, urls[0], evaluations=8))
    for evaluations in (5, 8):
        watcher = TrackedSearch([telling, hostile], Watcher(), warnings.append)
        result = run_search(request(small_toml, urls[1], evaluations=evaluations), watcher)
    assert trials_of(urls[0]) == trials_of(urls[1])
    assert len(warnings) == 2  # one each time
    assert all("Hostile" in line and "no server" in line for line in warnings)
    assert hostile.told == 2
    first, *told, end, again, six, seven, eight, last = telling.calls
    assert [one.number for one in told] == [0, 1, 2, 3, 4]
    assert [one.number for one in again.trials] == [0, 1, 2, 3, 4]
    assert [one.number for one in (six, seven, eight)] == [5, 6, 7]
    assert (first.kind, first.name, first.settings["seed"]) == ("search", result.study, "0")
    assert (end.status, last.status) == ("budget", "budget")
    recorded = result.trials[5]
    assert six.notation == str(recorded.genome)
    assert six.scores["accuracy"] == recorded.attrs["accuracy"]
    assert list(six.curve) == recorded.attrs["accuracies"]
    assert six.scores["params"] == recorded.attrs["params"]
    assert last.sentence == result.verdict.sentence
    assert telling.files["picture"].startswith(b"\x89PNG")
    assert result.study.encode() in telling.files["report"]


def test_trackers_are_told_own_scores_by_name(small_toml, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from nas import returns\n\n@returns(cost='min', size='max')\ndef train(run):\n"
        "    run.report(1, 7)\n    run.report(2, 3 + run.part.count('t'))\n"
        "    return {'cost': 3 + run.part.count('t'), 'size': 5}\n"
    )
    telling = Telling()
    asked = request(
        small_toml, f"sqlite:///{tmp_path}/own.db", evaluate=f"{tmp_path}/mine.py:train",
        evaluations=5, finalists=1, finalist_seeds=2,
    )  # fmt: skip
    for _ in range(2):
        run_search(asked, TrackedSearch([telling]))
    first, *told, end, again, _ = telling.calls
    assert first.score == "cost"
    assert [trial.scores["cost"] for trial in told] == [4.0] * 5
    assert {trial.scores["size"] for trial in told} == {5.0}
    assert {trial.curve for trial in (*told, *again.trials)} == {(7.0, 4.0)}
    assert [trial.scores for trial in again.trials] == [
        {**trial.scores, "seconds": other.scores["seconds"]}
        for trial, other in zip(told, again.trials, strict=True)
    ]
    assert end.scores["validation cost, best"] == 4.0
    assert end.scores["test cost, residual"] == 5.0  # "test" has a t more than "validation"
    assert not any("accuracy" in name for trial in told for name in (*trial.scores, *end.scores))


def test_who_watches_beside_trackers_is_told_all():
    telling = {name for name in vars(Watcher) if not name.startswith("_")}
    own = {"started", "evaluated", "elsewhere", "ended"}  # told to trackers first
    watcher = Watcher()
    said = []
    for name in telling - own:
        setattr(watcher, name, lambda *_, name=name: said.append(name))
    tracked = TrackedSearch([], watcher)
    for name in telling - own:
        getattr(tracked, name)(*[0] * (len(signature(getattr(Watcher, name)).parameters) - 1))
    assert {*said} == telling - own


def test_a_tracker_that_hangs_holds_nothing_up(small_toml, tmp_path, monkeypatch):
    monkeypatch.setattr("studies.tracking.watchers.WAIT_SECONDS", 0.2)
    for_ever = threading.Event()

    class Hanging(Tracker):
        def started(self, run):
            for_ever.wait()

    warnings = []
    watcher = TrackedSearch([Hanging()], Watcher(), warnings.append)
    result = run_search(request(small_toml, f"sqlite:///{tmp_path}/nas.db", evaluations=4), watcher)
    for_ever.set()
    assert len(result.trials) == 4
    assert len(warnings) == 1
    assert "no answer" in warnings[0]


def test_tensorboard_has_scores_by_trial_and_a_curve_for_each(small_toml, tmp_path, monkeypatch):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.chdir(tmp_path)
    for evaluations in (3, 5):
        asked = request(
            small_toml, f"sqlite:///{tmp_path}/nas.db", evaluations=evaluations, study="boarded"
        )
        result = run_search(asked, TrackedSearch(["tensorboard"]))

    def events(folder):
        found = accumulator.EventAccumulator(str(tmp_path / "runs" / folder))
        found.Reload()
        return found

    scores = events("boarded").Scalars("trials/accuracy")
    assert [one.step for one in scores] == [0, 1, 2, 3, 4]
    wanted = [trial.attrs["accuracy"] for trial in result.trials]
    assert [one.value for one in scores] == pytest.approx(wanted)
    curve = events("boarded/trial-00004").Scalars("accuracy/validation")
    assert [one.value for one in curve] == pytest.approx(result.trials[4].attrs["accuracies"])


def test_mlflow_has_a_run_for_the_search_and_one_for_each_trial(small_toml, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_ARTIFACT_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for evaluations in (3, 5):
        asked = request(
            small_toml, f"sqlite:///{tmp_path}/nas.db", evaluations=evaluations, study="logged"
        )
        result = run_search(asked, TrackedSearch(["mlflow"]))
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("logged").experiment_id
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert len(runs) == 6
    search = runs["search"]
    assert search.info.status == "FINISHED"
    assert search.data.params["seed"] == "0"
    found = {item.path for item in client.list_artifacts(search.info.run_id)}
    assert found == {"logged.png", "logged.html"}
    trial, recorded = runs["trial 4"], result.trials[4]
    assert trial.data.params["notation"] == str(recorded.genome)
    assert trial.data.params["l2.merge"] == recorded.genes["l2.merge"]
    assert trial.data.metrics["accuracy"] == recorded.attrs["accuracy"]
    curve = client.get_metric_history(trial.info.run_id, "curve")
    assert [one.value for one in curve] == recorded.attrs["accuracies"]


def test_without_a_package_or_class_it_is_one_line(small_toml, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    own = tmp_path / "own.py"
    own.write_text("class Fine:\n    pass\n")
    for name, word in (
        ("mlflow", "pip install"), ("wandb", "allowed"), (f"{own}:Missing", "class over"),
        (f"{own}:Fine", "class over"), ("no.py:X", "no.py"),
    ):  # fmt: skip
        url = f"sqlite:///{tmp_path}/nas.db"
        told = refused(capsys, "search", "--space", small_toml, "--storage", url, "--track", name)
        assert word in told
    assert not os.path.exists(tmp_path / "nas.db")


def test_the_command_takes_a_users_own(small_toml, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(
        "from studies.tracking.tracker import Tracker\n"
        "class Mine(Tracker):\n"
        "    def trial(self, trial):\n"
        "        with open('told.txt', 'a') as file:\n"
        "            print(trial.number, file=file)\n"
    )
    code, _, err = nas(
        capsys, "search", "--space", small_toml, "--evaluations", 4, "--contenders", 0,
        "--finalists", 0, "--workers", 1, "--device", "cpu", "--track", "own.py:Mine", "--quiet",
    )  # fmt: skip
    assert code == 0, err
    assert (tmp_path / "told.txt").read_text().split() == ["0", "1", "2", "3"]

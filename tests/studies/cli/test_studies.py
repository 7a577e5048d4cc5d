"""`nas studies`: what is listed, and that a renamed study is the same and a deleted one is gone."""

import io
import json
from dataclasses import replace

import optuna
import pytest

from studies.dashboard.painter import Painter, Pictures
from studies.notebook.study import Study
from studies.retraining.pattern import from_study
from studies.search.run import run_search
from studies.search.settings import SearchSettings
from studies.store.claims import Presence
from studies.store.names import TABLE, search_names, study_names
from studies.store.storages import open_storage, picture_folder, weights_folder
from studies.store.store import Store
from tests.helpers import nas, refused
from tests.studies.searches import here, request, trials_of

FINALS = {"contenders": 2, "contender_seeds": 1, "finalists": 1, "finalist_seeds": 1}


def searched(small_toml, storage, **more):
    asked = request(small_toml, storage, **{"evaluations": 8, **FINALS, **more})
    return asked, run_search(asked, make_pool=here)


def painted(url):
    """The storage, once a dashboard has drawn all its pictures."""
    storage, folder = open_storage(url), picture_folder(url)
    folder.mkdir(parents=True, exist_ok=True)
    painter = Painter(storage, Pictures(folder), folder, url, print)
    while painter.look():
        pass
    return storage


@pytest.fixture(
    params=[
        "sqlite",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("journal", "postgresql")),
    ],
)
def url(request, tmp_path):
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql")
    return f"sqlite:///{tmp_path}/a.db" if request.param == "sqlite" else f"{tmp_path}/a.log"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Where pictures and weights of servers lie."""
    monkeypatch.setenv("HOME", str(tmp_path))


def artifacts(storage, name):
    """File names of a study's pictures by trial."""
    study_id = storage.get_study_id_from_name(name)
    numbers = {trial._trial_id: trial.number for trial in storage.get_all_trials(study_id)}
    return {
        numbers[int(key.split(":")[2])]: json.loads(value)["artifact_id"]
        for key, value in storage.get_study_system_attrs(study_id).items()
        if key.startswith("dashboard:artifacts:")
    }


@pytest.mark.slow
def test_a_renamed_study_is_the_same_study(url, small_toml, capsys):
    asked, found = searched(small_toml, url, study="old", inherit=True)
    storage = painted(url)
    searched(small_toml, url, study="other", seed=1, finalists=0)
    before = {what: trials_of(url, f"old{what}") for what in ("", "-contenders", "-finalists")}
    optuna.load_study(study_name="old", storage=storage).set_user_attr("mine", "kept")
    weights = sorted(path.name for path in weights_folder(url, "old").iterdir())
    assert weights
    code, out, err = nas(capsys, "studies", "rename", "old", "new", "--storage", url)
    assert (code, err) == (0, "")
    assert "with 8 trials, 2 of its contenders and 4 of its finalists" in out
    assert out.rstrip().endswith("--study new")

    storage = open_storage(url)
    names = {"new", "new-contenders", "new-finalists", "other"}
    assert set(study_names(storage)) == names
    for what, trials in before.items():
        assert trials_of(url, f"new{what}") == trials
    assert storage.get_study_user_attrs(storage.get_study_id_from_name("new"))["mine"] == "kept"
    assert not weights_folder(url, "old").exists()
    assert sorted(path.name for path in weights_folder(url, "new").iterdir()) == weights
    files = {path.name for path in picture_folder(url).iterdir() if path.suffix != ".lock"}
    drawn = artifacts(storage, "new")
    assert set(drawn) == set(range(8))
    assert {*drawn.values(), *artifacts(storage, "new-finalists").values()} <= files
    painted(url)
    assert artifacts(open_storage(url), "new") == drawn  # none is drawn again

    study = Study.read(Store.load_search(open_storage(url), "new"), url)
    assert [row.name for row in study.finalists] == [row.name for row in found.finalists]
    assert study.going_on.endswith("--study new --evaluations 16")
    assert from_study("best", "new", url, {}).genome == found.best.genome
    more = run_search(replace(asked, study="new", evaluations=10), make_pool=here)
    assert [(t.number, t.genome, t.attrs["accuracy"]) for t in more.trials[:8]] == [
        (t.number, t.genome, t.attrs["accuracy"]) for t in found.trials
    ]
    assert set(study_names(open_storage(url))) == names  # its finals go on, too
    assert len(trials_of(url, "new-finalists")) in (4, 5)


def test_a_copy_that_was_stopped_is_made_anew(small_toml, tmp_path, capsys, monkeypatch):
    url = f"{tmp_path}/a.log"
    searched(small_toml, url, study="old")
    whole = {what: trials_of(url, f"old{what}") for what in ("", "-finalists")}
    with monkeypatch.context() as patch:

        def stopped(self, study_id):
            raise KeyboardInterrupt

        patch.setattr("optuna.storages.JournalStorage.delete_study", stopped)
        assert nas(capsys, "studies", "rename", "old", "new", "--storage", url)[0] == 130
    assert {what: trials_of(url, f"old{what}") for what in whole} == whole
    assert nas(capsys, "studies", "rename", "old", "new", "--storage", url)[0] == 0
    assert {what: trials_of(url, f"new{what}") for what in whole} == whole
    assert set(study_names(open_storage(url))) == {"new", "new-contenders", "new-finalists"}


def test_what_is_refused(url, small_toml, capsys):
    searched(small_toml, url, study="a")
    searched(small_toml, url, study="b", seed=1, finalists=0)
    at = ["--storage", url]
    for arguments, said in [
        (["rename", "none", "c"], "unknown study 'none': allowed: a, b"),
        (["rename", "a", "b"], "there is a study 'b' already"),
        (["rename", "a", "a"], "study 'a' has this name already"),
        (["rename", "a", " "], "1 to 500 printable characters"),
        (["rename", "a-finalists", "c"], "study 'a-finalists' goes with study 'a': name that one"),
        (["delete", "none"], "unknown study 'none': allowed: a, b"),
        (["delete", "a"], "nobody can be asked"),
    ]:
        assert said in refused(capsys, "studies", *arguments, *at)
    assert "there is no file" in refused(capsys, "studies", "--storage", "no.log")
    storage = open_storage(url)
    store = Store.load(storage, "a-finalists")
    with store.joined(url), Presence() as there:
        if store.records.shared:
            last = store.trials()[-1]
            genome, attrs = last.genome, {"role": "final", "seed": 77}
            store.me = there.name
            assert store.add(last.number + 1, genome, attrs)
        for arguments in (["rename", "a", "c"], ["delete", "a", "--yes"]):
            said = refused(capsys, "studies", *arguments, *at)
            assert "study 'a-finalists' is being searched by another process" in said
            assert "wait for it, or stop it first" in said
    assert search_names(open_storage(url)) == ["a", "b"]


def test_a_deleted_study_is_gone_with_all_that_belongs_to_it(url, small_toml, capsys):
    searched(small_toml, url, study="a", inherit=True)
    searched(small_toml, url, study="b", seed=1, finalists=0)
    storage = painted(url)
    kept = set(artifacts(storage, "b").values())
    assert nas(capsys, "studies", "delete", "a", "--yes", "--storage", url)[0] == 0
    storage = open_storage(url)
    assert study_names(storage) == ["b"]
    assert not weights_folder(url, "a").exists()
    files = {path.name for path in picture_folder(url).iterdir() if path.suffix != ".lock"}
    assert files == kept
    assert len(trials_of(url, "b")) == 8


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_who_is_asked_can_say_no(small_toml, tmp_path, capsys, monkeypatch):
    url = f"sqlite:///{tmp_path}/a.db"
    searched(small_toml, url, study="a", finalists=0)
    for answer, left in (("n", ["a"]), ("y", [])):
        monkeypatch.setattr("sys.stdin", Terminal(f"{answer}\n"))
        code, out, _ = nas(capsys, "studies", "delete", "a", "--storage", url)
        assert "Delete study a for good, with 8 trials? [y/N]" in out
        assert code == 0
        assert study_names(open_storage(url)) == left


def test_the_list(small_toml, tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/a.db"
    _, first = searched(small_toml, url, study="first")
    searched(
        small_toml, url, study="second", strategy="nsga2", evaluations=4, finalists=0, contenders=0
    )
    code, out, _ = nas(capsys, "studies", "--storage", url)
    assert code == 0
    lines = out.splitlines()
    assert lines[1].split()[:1] == ["second"]
    assert "small, digits, nsga2, accuracy, params" in lines[1]
    assert lines[1].split()[-1] == "none"
    assert lines[2].split()[0] == "first"
    assert f"(trial {first.best.number})" in lines[2]
    assert lines[2].split()[-1] == "tested"
    code, out, _ = nas(capsys, "studies", "--storage", url, "--json")
    second, one = json.loads(out)
    assert second["objectives"] == ["accuracy", "params"]
    assert one["best"]["notation"] == str(first.best.genome)
    assert one["best"]["accuracy"] == first.best.attrs["accuracy"]
    assert (one["trials"], one["finalists"]) == (8, {"done": 4, "trainings": 4})
    store = Store.load(open_storage(url), "first")
    store.note(TABLE, {**store.notes()[TABLE], "seeds": [7, 8]})  # trainings of another table
    _, one = json.loads(nas(capsys, "studies", "--storage", url, "--json")[1])
    assert one["finalists"] == {"done": 0, "trainings": 8}


def test_an_empty_storage_is_no_error(tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/a.db"
    open_storage(url)
    code, out, _ = nas(capsys, "studies", "--storage", url)
    assert (code, "There are no searches" in out) == (0, True)
    assert nas(capsys, "studies", "--storage", url, "--json")[1] == "[]\n"


@pytest.mark.parametrize(("which", "more"), [(0, ""), (1, "regularized-seed0-")])
def test_a_study_under_a_longer_name_of_earlier_versions_goes_on(
    small_toml, tmp_path, monkeypatch, which, more
):
    url = f"sqlite:///{tmp_path}/a.db"
    with monkeypatch.context() as patch:
        patch.setattr(SearchSettings, "default_name", property(lambda s: s.earlier_names[which]))
        _, before = searched(small_toml, url, finalists=0)
    assert before.study.startswith(f"small-digits-{more}")
    _, after = searched(small_toml, url, finalists=0, evaluations=10)
    assert (after.study, len(after.trials)) == (before.study, 10)
    fresh = searched(small_toml, f"sqlite:///{tmp_path}/b.db", finalists=0)[1]
    digest = before.study.rpartition("-")[2]
    assert fresh.study == f"small-{digest}"  # and the space's usual data is not named

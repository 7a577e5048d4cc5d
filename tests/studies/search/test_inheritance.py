"""Searches whose children inherit weights: the promises hold, and files are a cache only."""

import json
import os
import random
import shlex
import shutil
import signal
import subprocess

import pytest

from nas import InputError, evaluate
from nas.evaluation.inheritance import WeightFolder
from studies.analysis.compare import compare_studies
from studies.analysis.facts import collect
from studies.knockouts.recorded import trained_keys
from studies.notebook.study import open_study
from studies.report.words import answer
from studies.search import run
from studies.store.storages import open_storage, weights_folder
from studies.store.store import Store
from tests.conftest import write_small_space
from tests.studies.searches import command, request, run_search, trials_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def inherited_storage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inherited")
    storage = f"sqlite:///{folder}/nas.db"
    run_search(request(write_small_space(folder), storage, inherit=True))
    return storage


@pytest.fixture(scope="session")
def inherited(inherited_storage):
    return trials_of(inherited_storage)


def folder_of(storage):
    name = min(s.study_name for s in open_storage(storage).get_all_studies())
    return weights_folder(storage, name)


def test_children_name_whom_they_inherit_from(inherited):
    children = [t for t in inherited if t[5]["parents"]]
    assert len(children) > 10
    generations = {}
    for number, *_, attrs in inherited:
        if not attrs["parents"]:
            assert not {"inherited_from", "inherited_tensors", "inherited_share"} & set(attrs)
            continue
        parent = attrs["inherited_from"]
        assert parent == attrs["parents"][0]
        generations[number] = 1 + generations.get(parent, 0)
        assert attrs["inherited_tensors"] > 50  # a plain network of this space has 62
        assert 0.5 < attrs["inherited_share"] <= 1
    assert max(generations.values()) > 1


def test_a_trial_is_its_lineages_evaluation(inherited_storage, inherited, digits):
    """The whole chain of one child, by hand."""
    store = Store.load(open_storage(inherited_storage), open_study(None, inherited_storage).name)
    trials = store.trials()
    space = open_study(None, inherited_storage).space
    heir = next(
        t for t in reversed(trials)
        if "inherited_from" in t.attrs and "inherited_from" in trials[t.attrs["inherited_from"]].attrs
    )  # fmt: skip
    chain = [heir]
    while "inherited_from" in chain[0].attrs:
        chain.insert(0, trials[chain[0].attrs["inherited_from"]])
    weights = None
    for trial in chain:
        kept = {}
        found = evaluate(
            trial.genome, space.skeleton, space.proxy, 0, digits, "cpu", start=weights,
            keep=lambda net, kept=kept: kept.update(net.state_dict()),
        )  # fmt: skip
        assert found.losses == tuple(trial.attrs["losses"]), trial.number
        weights = kept


@pytest.mark.parametrize(
    "strategy", ["regularized", pytest.param("mu-plus-lambda", marks=pytest.mark.slow)]
)
def test_the_same_trials_with_two_workers_and_without_the_files(
    strategy, inherited, small_toml, tmp_path
):
    storage = f"sqlite:///{tmp_path}/two.db"
    more = {"inherit": True, "strategy": strategy}
    if strategy != "regularized":
        whole = f"sqlite:///{tmp_path}/whole.db"
        run_search(request(small_toml, whole, **more))
        inherited = trials_of(whole)
    run_search(request(small_toml, storage, workers=2, evaluations=19, **more))
    assert trials_of(storage) == inherited[:19]
    shutil.rmtree(folder_of(storage))
    run_search(request(small_toml, storage, workers=2, **more))
    assert trials_of(storage) == inherited
    assert list(folder_of(storage).glob("[0-9]*.safetensors"))


def test_the_same_trials_though_files_never_stay(inherited, small_toml, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "POPULATIONS", -1)  # -1 × 6 + a lag of 8: two files
    storage = f"sqlite:///{tmp_path}/few.db"
    run_search(request(small_toml, storage, inherit=True))
    assert trials_of(storage) == inherited
    assert len(list(folder_of(storage).iterdir())) == 2


def test_kill_nine_and_resume(inherited, small_toml, tmp_path):
    storage, rng = f"sqlite:///{tmp_path}/killed.db", random.Random(5)
    done = 0
    for moment in (11, 18):
        process = subprocess.Popen(
            command(small_toml, storage, "--workers", "2", "--inherit"),
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        for line in process.stdout:
            done += json.loads(line)["event"] == "evaluated"
            if done >= moment:
                break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert len(trials_of(storage)) < 24
        for path in rng.sample(sorted(folder_of(storage).iterdir()), 3):
            path.write_bytes(path.read_bytes()[: rng.randrange(2000)])
    subprocess.run(
        command(small_toml, storage, "--inherit"), check=True, capture_output=True
    )  # fmt: skip
    assert trials_of(storage) == inherited


def test_the_disk_is_bounded(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/a.db"
    run_search(request(small_toml, storage, inherit=True, population=3, lag=2, evaluations=20))
    files = sorted(int(path.stem) for path in folder_of(storage).iterdir())
    assert len(files) == 4 * 3 + 2
    assert files[-1] == 19


def test_pruned_candidates_are_no_parents_and_keep_no_weights(small_toml, tmp_path):
    small_toml.write_text(small_toml.read_text().replace("epochs = 2", "epochs = 4", 1))
    more = {"pruner": "halving", "inherit": True, "lag": 4, "evaluations": 22}
    storage, other = f"sqlite:///{tmp_path}/a.db", f"sqlite:///{tmp_path}/b.db"
    run_search(request(small_toml, storage, **more))
    whole = trials_of(storage)
    pruned = {t[0] for t in whole if t[2] == "PRUNED"}
    assert pruned
    assert not pruned & {t[5].get("inherited_from") for t in whole}
    kept = {int(path.stem) for path in folder_of(storage).iterdir()}
    assert kept == {t[0] for t in whole} - pruned
    run_search(request(small_toml, other, **{**more, "evaluations": 15}, workers=2))
    shutil.rmtree(folder_of(other))
    run_search(request(small_toml, other, **more))
    assert trials_of(other) == whole


def test_finalists_start_from_scratch_and_say_nothing_of_it(small_toml, tmp_path, digits):
    storage = f"sqlite:///{tmp_path}/a.db"
    result = run_search(
        request(small_toml, storage, inherit=True, evaluations=20, finalists=1, finalist_seeds=1)
    )
    opened = open_storage(storage)
    finals = Store.load(opened, f"{result.study}-finalists")
    assert "inherit" not in json.dumps(finals.settings)
    assert not [t for t in finals.trials() if any("inherit" in name for name in t.attrs)]
    space, row = result.settings.space, result.finalists[0]
    alone = evaluate(
        row.genome, space.skeleton, space.final_proxy, 1_000_000, digits, "cpu", part="test"
    )
    assert row.accuracies == (alone.accuracy,)


def test_the_setting_is_the_studys(inherited_storage, small_toml, tmp_path):
    name = open_study(None, inherited_storage).name
    with pytest.raises(InputError, match="inherit is true, not null"):
        run_search(request(small_toml, inherited_storage, study=name))
    storage = f"sqlite:///{tmp_path}/a.db"
    run_search(request(small_toml, storage, evaluations=3, study="mine"))
    with pytest.raises(InputError, match="inherit is null, not true"):
        run_search(request(small_toml, storage, study="mine", inherit=True))
    assert not weights_folder(storage, "mine").exists() or not list(
        weights_folder(storage, "mine").iterdir()
    )


def test_it_is_said_wherever_the_search_is_shown(inherited_storage):
    study = open_study(None, inherited_storage)
    assert "--inherit" in shlex.split(study.command)
    assert "weights inherited" in dict(study.facts())["strategy"]
    facts = collect(Store.load(open_storage(inherited_storage), study.name), inherited_storage)
    assert facts.settings["inherit"] is True
    assert any("the training of all their ancestors" in sentence for sentence in answer(facts))


def test_knock_outs_take_accuracies_from_scratch_only(inherited_storage):
    trials = open_study(None, inherited_storage).trials
    known = {t.number for t in trained_keys(trials).values()}
    assert known == {t.number for t in trials if not t.attrs["parents"]}


def test_a_comparison_names_it(inherited_storage, small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/a.db"
    for inherit in (False, True):
        run_search(request(small_toml, storage, evaluations=6, inherit=inherit, study=f"{inherit}"))
    found = compare_studies(open_storage(storage), ["False", "True"])
    assert [one.label for one in found.contenders] == ["regularized", "regularized + inherit"]
    assert [one.inherits for one in found.contenders] == [False, True]


@pytest.mark.parametrize("strategy", ["tpe", "random", "nsga3"])
def test_strategies_without_parents_are_refused(strategy, small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/a.db"
    with pytest.raises(InputError, match=rf"--inherit: .* strategy {strategy} have no parents"):
        run_search(request(small_toml, storage, strategy=strategy, inherit=True))
    assert not (tmp_path / "a.db.weights").exists()


def test_a_folder_that_cannot_be_made_is_one_line(small_toml, tmp_path):
    (tmp_path / "a.db.weights").write_text("in the way")
    with pytest.raises(InputError, match=r"--inherit: .*a\.db\.weights"):
        run_search(request(small_toml, f"sqlite:///{tmp_path}/a.db", inherit=True))


def test_no_name_of_a_study_leads_out_of_the_folder(tmp_path):
    storage = f"sqlite:///{tmp_path}/a.db"
    names = ["a/b", "..", "a b", "ab", "a%2Fb", "."]
    folders = [weights_folder(storage, name) for name in names]
    assert {folder.parent for folder in folders} == {tmp_path / "a.db.weights"}
    assert len({folder.resolve() for folder in folders}) == len(names)
    for folder in folders:
        WeightFolder(folder, "", 1).prepare()


def test_a_study_definition_may_ask_for_it(small_toml, tmp_path):
    definition = tmp_path / "definition.toml"
    definition.write_text("inherit = true\nstrategy = 'tpe'\n")
    found = subprocess.run(
        [*command(small_toml, f"sqlite:///{tmp_path}/a.db"), "--config", str(definition)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 2
    assert found.stderr.startswith("error: --inherit: ")
    assert found.stderr.count("\n") == 1

"""Searches with a training of the user's own: scores, finals, record, pruning and faults."""

import json
from pathlib import Path

import pytest

from nas import Genome, InputError
from studies import load, nas_search
from studies.cli.progress import ConsoleWatcher
from studies.cli.terminal import make_console
from studies.report.write import write_report
from studies.search import run
from studies.store.names import FINALISTS
from studies.store.storages import open_storage
from studies.store.store import Store
from tests.helpers import nas, refused
from tests.studies.searches import request, run_search, trials_of

COUNTS = """
from nas import returns

def skips(run):
    return sum(len(layer.skips) for layer in run.genome.layers) + len(str(run.genome)) / 1000

@returns(cost="min", size="max")
def train(run):
    cost = skips(run) + run.seed % 97 / 1e4
    for epoch in range(1, run.epochs + 1):
        run.report(epoch, cost + 2 - epoch)
    return {"cost": cost, "size": len(run.data.part(run.part))}

@returns(cost="min")
def partless(run):
    return skips(run)

def faulty(run):
    kind = skips(run) * 1000 % 5
    if kind < 1:
        return "good"
    if kind < 2:
        return float("nan")
    if kind < 3:
        raise ValueError("no\\nway")
    if kind < 4:
        return {"f1": 0.5}
    return kind

def ends(run):
    import os, time
    many = int(skips(run))
    if many == 0:
        os._exit(3)
    if many == 4:
        time.sleep(1000)
    return many
"""


@pytest.fixture
def place(tmp_path):
    """The file of the trainings, and a storage."""
    (tmp_path / "mine.py").write_text(COUNTS)
    return f"{tmp_path}/mine.py", f"sqlite:///{tmp_path}/nas.db"


def skips(trial):
    return sum(len(layer.skips) for layer in trial.genome.layers) + len(str(trial.genome)) / 1000


def test_its_scores_rank_and_have_their_own_names(small_toml, place, tmp_path, capsys):
    file, storage = place
    asked = request(
        small_toml, storage, study="mine", evaluate=f"{file}:train", evaluations=14, contenders=3,
        finalists=1, tuning_seeds=1, finalist_seeds=3,
    )  # fmt: skip
    result = run_search(asked, ConsoleWatcher(make_console(), asked, False, None))
    found = [trial for trial in result.trials if not trial.attrs["role"]]
    assert result.best.number == min(found, key=skips).number
    assert [t.values[0] for t in result.trials] == pytest.approx([skips(t) for t in result.trials])
    assert result.trials[0].curve == pytest.approx(
        {1: skips(result.trials[0]) + 1, 2: skips(result.trials[0])}
    )
    assert {row.n for row in result.finalists} == {3}
    finals = Store.load(open_storage(storage), "mine").beside(FINALISTS).trials()
    assert {trial.attrs["scores"]["size"] for trial in finals} == {
        449
    }  # the test images of the digits
    said = capsys.readouterr().out
    assert "test cost" in said
    assert "accuracy" not in said
    assert "recognises" not in said
    page = write_report("mine", storage, tmp_path / "mine.html").read_text()
    assert "best validation cost" in page or "validation cost over fresh seeds" in page
    assert "validation accuracy" not in page
    assert nas(capsys, "studies", "--storage", storage)[0] == 0


def keys(told):
    """All keys of nested JSON values."""
    if isinstance(told, list):
        return {key for one in told for key in keys(one)}
    return (
        {*told, *(k for v in told.values() for k in keys(v))} if isinstance(told, dict) else set()
    )


def test_its_scores_have_their_names_and_signs_for_other_programs(small_toml, place, capsys):
    file, storage = place
    options = {
        "space": small_toml, "evaluate": f"{file}:train", "study": "mine", "storage": storage,
        "evaluations": 12, "population": 4, "contenders": 5, "contender-seeds": 2, "finalists": 1,
        "tuning-seeds": 1, "finalist-seeds": 3, "workers": 1, "device": "cpu",
    }  # fmt: skip
    words = (f"--{name}={value}" for name, value in options.items())
    code, out, err = nas(capsys, "search", *words, "--json", "--picture=")
    assert code == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    trials = Store.load(open_storage(storage), "mine").trials()
    told = {line["number"]: line for line in lines if line["event"] == "evaluated"}
    assert [told[t.number]["cost"] for t in trials] == pytest.approx([skips(t) for t in trials])
    assert {line["size"] for line in told.values()} == {449}  # validation images of the digits
    finals = [line for line in lines if line["event"] == "finalist"]
    for line in finals:
        many = sum(len(layer.skips) for layer in Genome.parse(line["notation"]).layers)
        assert [int(cost) for cost in line["cost"]] == [many] * 3

    where = ("--storage", storage)
    facts = json.loads(nas(capsys, "report", "mine", "--format", "json", "--out", "-", *where)[1])
    assert [row["cost"] for row in facts["trials"]] == [told[t.number]["cost"] for t in trials]
    costs = facts["progress"]["cost"]
    assert costs == sorted(costs, reverse=True)  # it was to become small
    for row in facts["finals"]["rows"]:
        low, high = row["interval"]
        assert low <= row["mean"] <= high
    assert facts["validity"]["measures"][0]["name"] == "cost"
    listed = json.loads(nas(capsys, "studies", "--json", *where)[1])
    assert listed[0]["best"]["cost"] == facts["winner"]["cost"]
    scored = json.loads(
        nas(capsys, "score", "--study", "mine", "--json", "--score", "skips", *where)[1]
    )
    assert scored["correlations"]["skips"]["rho"] > 0.9
    for one in (lines, facts, listed, scored):
        assert keys(one) & {"accuracy", "accuracies"} == set()
    frame = load("mine", storage)
    assert list(frame["cost"]) == pytest.approx([skips(trial) for trial in trials])
    assert set(frame["size"]) == {449}
    assert "accuracy" not in frame


def test_a_failed_training_has_no_score_in_json(small_toml, place, capsys):
    file, storage = place
    words = (
        f"--space={small_toml}", f"--evaluate={file}:faulty", f"--storage={storage}", "--evaluations=24",
        "--contenders=0", "--finalists=0", "--workers=1", "--device=cpu", "--json", "--picture=",
    )  # fmt: skip
    out = nas(capsys, "search", *words)[1]
    lines = [json.loads(line, parse_constant=pytest.fail) for line in out.splitlines()]
    told = [line for line in lines if line["event"] == "evaluated"]
    assert {line["status"]: line["score"] is None for line in told} == {"ok": False, "failed": True}


def test_a_training_that_never_asks_for_the_part_has_no_test(small_toml, place):
    file, storage = place
    asked = request(
        small_toml, storage, evaluate=f"{file}:partless", evaluations=10, contenders=2, finalists=1,
        finalist_seeds=2,
    )  # fmt: skip
    result = run_search(asked)
    assert result.finalists == []
    assert result.best.again is not None  # contenders need no test images
    assert "run.part" in result.verdict.sentence


def test_interrupted_or_not(small_toml, place):
    file, storage = place
    own = {"evaluate": f"{file}:train", "pruner": "halving"}
    whole = storage.replace("nas.db", "whole.db")
    run_search(request(small_toml, storage, study="s", **own | {"evaluations": 9}))
    run_search(request(small_toml, storage, study="s", workers=3, **own))
    run_search(request(small_toml, whole, study="s", **own))
    assert trials_of(storage, "s") == trials_of(whole, "s")
    assert "PRUNED" in {state for _, _, state, *_ in trials_of(whole, "s")}


def test_a_worker_goes_on_with_it(small_toml, place, tmp_path, capsys):
    file, storage = place
    whole = storage.replace("nas.db", "whole.db")
    own = {"evaluate": f"{file}:train", "pruner": "halving", "evaluations": 12, "study": "s"}
    run_search(request(small_toml, whole, **own))
    ended = []
    watcher = run.Watcher()
    watcher.evaluated = ended.append
    run_search(request(small_toml, storage, **own), watcher, lambda: len(ended) >= 5)
    moved = tmp_path / "elsewhere" / "mine.py"
    moved.parent.mkdir()
    Path(file).rename(moved)
    words = ("worker", "--study", "s", "--storage", storage, "--device", "cpu", "--workers", "1")
    assert "name the file with --evaluate" in refused(capsys, *words)
    moved.write_text(COUNTS + "# changed\n")
    assert "the file has changed" in refused(capsys, *words, "--evaluate", f"{moved}:train")
    moved.write_text(COUNTS)
    code, out, err = nas(capsys, *words, "--evaluate", f"{moved}:train", "--json")
    assert code == 0, err
    told = [json.loads(line) for line in out.splitlines()]
    assert len([line for line in told if line["event"] == "evaluated"]) == 12 - len(ended)
    assert trials_of(storage, "s") == trials_of(whole, "s")


def test_faults_cost_their_candidate_one_line(small_toml, place):
    file, storage = place
    result = run_search(request(small_toml, storage, evaluate=f"{file}:faulty", evaluations=24))
    said = {trial.attrs.get("why", "") for trial in result.trials}
    name = "--evaluate (faulty in mine.py)"
    assert said == {
        "", f"{name} returned 'good'; a number is expected", f"{name} returned nan; a finite number is expected",
        f"{name} raised ValueError: no way",
        f'{name} returned a dict of f1; score is expected; @returns(NAME="max") names others',
    }  # fmt: skip
    assert all(trial.ok != bool(trial.attrs.get("why")) for trial in result.trials)


@pytest.mark.slow
def test_crashes_and_endless_trainings_fail_alone(small_toml, place):
    file, storage = place
    study = nas_search(
        str(small_toml), storage=storage, evaluate=f"{file}:ends", evaluations=5, population=4,
        contenders=0, finalists=0, workers=2, device="cpu", time_limit=2,
    )  # fmt: skip
    ended = {trial.attrs["role"]: trial.attrs.get("why", "") for trial in study.trials[:3]}
    assert "exit code 3" in ended["plain"]
    assert "limit of 2 seconds" in ended["residual"]
    assert {trial.ok for trial in study.trials if int(skips(trial)) not in (0, 4)} == {True}


def test_another_source_is_refused(small_toml, place, tmp_path, capsys):
    file, storage = place
    asked = request(small_toml, storage, study="s", evaluate=f"{file}:train", evaluations=4)
    run_search(asked)
    store = Store.load(open_storage(storage), "s")
    assert store.settings["evaluate"]["file"] == "mine.py"
    assert store.settings["evaluate"]["function"] == "train"
    assert store.settings["objectives"] == ["min:cost"]
    (tmp_path / "mine.py").write_text(COUNTS + "# changed\n")
    with pytest.raises(InputError, match=r"mine.py:train: the file has changed"):
        run_search(asked)
    with pytest.raises(InputError, match=r"study 's' was trained by mine.py:train: name the file"):
        run_search(request(small_toml, storage, study="s", evaluations=4))
    with pytest.raises(InputError, match=r"mine.py:faulty: study 's' was trained by mine.py:train"):
        run_search(
            request(small_toml, storage, study="s", evaluate=f"{file}:faulty", evaluations=4)
        )
    for command in (
        ("report", "s", "--knock-out"),
        ("transfer", "s", "--layers", "8"),
        ("compare", "s", "s2"),
    ):
        if command[0] == "compare":
            run_search(request(small_toml, storage, study="s2", evaluations=4))
        assert "trained by mine.py:train" in refused(capsys, *command, "--storage", storage)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"objectives": "f1"}, "unknown objective 'f1'"),
        ({"objectives": "params"}, "a score of your own comes first"),
        ({"objectives": "accuracy"}, "unknown objective 'accuracy'"),
        ({"inherit": True}, "--inherit"),
        ({"evaluate": "named.py:train"}, "named.py:train: no score can be called seconds"),
        ({"evaluate": "gone.py:train"}, "gone.py"),
    ],
)
def test_what_does_not_go_together(small_toml, place, more, said, monkeypatch):
    file, storage = place
    monkeypatch.chdir(Path(file).parent)
    Path("named.py").write_text(COUNTS.replace('cost="min"', 'seconds="min"'))
    with pytest.raises(InputError, match=said) as error:
        run_search(request(small_toml, storage, **{"evaluate": f"{file}:train", **more}))
    assert "\n" not in str(error.value)


def test_a_function_is_found_by_itself(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "studies.notebook.search.run_search", lambda request, _: asked.append(request) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        nas_search("digits9", evaluate=test_a_function_is_found_by_itself)
    assert asked[0].evaluate == f"{__file__}:test_a_function_is_found_by_itself"
    with pytest.raises(InputError, match=r"at the top of a .py file"):
        nas_search("digits9", evaluate=lambda run: 1.0)
    with pytest.raises(InputError, match="unknown option 'evaluation'"):
        nas_search("digits9", evaluation=3)


def test_a_space_of_ones_own_needs_no_name(small_space, place):
    file, storage = place
    asked = request("", storage, evaluate=f"{file}:train", evaluations=4)
    result = run_search(run.replace(asked, space=small_space))
    assert result.settings.space.name == "small"
    assert len(result.trials) == 4

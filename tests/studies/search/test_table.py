"""Searches in a table: the same loop, pruning and records, and nothing is trained."""

import pytest

from nas import InputError, Table
from studies.search.request import SearchRequest
from studies.search.run import run_search
from tests.helpers import nas, refused
from tests.nas.tables.tables import SPACE, contents
from tests.studies.searches import trials_of


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "tiny.npz"
    contents().write(path)
    return path


def searched(path, tmp_path, name="a", **more):
    storage = f"sqlite:///{tmp_path}/{name}.db"
    asked = {"evaluations": 30, "population": 6, "storage": storage, **more}
    return run_search(SearchRequest(table=str(path), **asked)), storage


def test_trials_are_the_tables_trainings(path, tmp_path):
    result, _ = searched(path, tmp_path, seed=3)
    table = Table(path)
    assert len(result.trials) == 30
    assert result.finalists == []
    for trial in result.trials:
        recorded = table.query(trial.genome, seed=table.drawn(trial.genome, 3))
        assert trial.attrs["accuracy"] == recorded.accuracy
        assert trial.attrs["seconds"] == pytest.approx(recorded.seconds)
    assert result.settings.device == table.device
    assert result.settings.record()["table"].startswith("tiny ")
    names = [t.attrs["role"] for t in result.trials[:2]]
    assert names == ["plain", "residual"]


@pytest.mark.parametrize("pruner", ["none", "halving"])
def test_trials_are_the_same_by_any_number_of_workers_and_after_a_stop(path, tmp_path, pruner):
    asked = {"pruner": pruner, "strategy": "random"}
    once, storage = searched(path, tmp_path, "once", **asked)
    searched(path, tmp_path, "twice", **asked, evaluations=11)
    _, again = searched(path, tmp_path, "twice", **asked, workers=5)
    assert trials_of(storage) == trials_of(again)
    pruned = [t for t in once.trials if t.attrs["status"] == "pruned"]
    assert bool(pruned) == (pruner != "none")
    for trial in pruned:
        assert len(trial.curve) < SPACE.proxy.epochs


def test_what_a_table_cannot_answer_is_one_line(path, tmp_path, capsys):
    storage = f"sqlite:///{tmp_path}/a.db"
    asked = ("search", "--table", path, "--storage", storage)
    for more, words in (
        (("--space", "digits9"), "--space"),
        (("--inherit",), "--inherit"),
        (("--strategy", "nsga2", "--objectives", "accuracy,latency-1"), "latency-1"),
        (("--strategy", "nsga2", "--objectives", "accuracy,gradient-ratio"), "gradient-ratio"),
        (("--from", "cifar/resnet-20"), "skeleton"),
    ):
        assert words in refused(capsys, *asked, *more)
    assert not (tmp_path / "a.db").exists()
    assert "allowed" in refused(capsys, "search", "--table", "nothing", "--storage", storage)
    small = {"table": str(path), "evaluations": 5}
    run_search(SearchRequest(storage=storage, study="s", **small))
    assert "--table" in refused(capsys, "worker", "--study", "s", "--storage", storage)
    with pytest.raises(InputError, match="--data"):
        run_search(SearchRequest(storage=storage, data="digits", **small))


def test_a_study_of_a_table_is_reported(path, tmp_path, capsys):
    _, storage = searched(path, tmp_path, study="s")
    page = tmp_path / "s.html"
    code, _, err = nas(capsys, "report", "s", "--storage", storage, "--out", page)
    assert code == 0, err
    assert "tiny" in page.read_text()

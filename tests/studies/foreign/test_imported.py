"""`nas import`: earlier evaluations are the history of a new search, and none of its trials."""

import csv

import pytest

from studies.analysis.facts import collect
from studies.report.write import write_report
from studies.store.storages import open_storage
from studies.store.store import Store
from tests.helpers import nas, refused
from tests.studies.searches import request, run_search, trials_of
from tests.task_spaces import write_task_space


@pytest.fixture
def earlier(small_toml, tmp_path):
    """A search of ten, its storage, and its table."""
    url = f"sqlite:///{tmp_path}/earlier.db"
    run_search(request(small_toml, url, evaluations=10, study="first"))
    table = write_report("first", url, out=tmp_path / "first.csv", form="csv")
    return url, table


def test_a_reports_table_and_its_study_seed_the_same_search(earlier, small_toml, tmp_path, capsys):
    url, table = earlier
    trials = {}
    for name, source in (("from-csv", table), ("from-study", "first")):
        code, out, err = nas(
            capsys, "import", source, "--study", name, "--space", small_toml, "--storage", url
        )
        assert code == 0, err
        assert "10 earlier evaluations" in out
        for evaluations, workers in ((6, 1), (10, 2)):
            asked = request(
                small_toml, url, evaluations=evaluations, workers=workers, study=name, lag=2
            )
            result = run_search(asked)
        assert len(result.trials) == 10
        trials[name] = trials_of(url, name)
        facts = collect(Store.load(open_storage(url), name), url)
        assert "10 earlier evaluations imported from" in facts.elsewhere[0]
        assert facts.cost.trials == 10
    assert trials["from-csv"] == trials["from-study"]
    known = {notation for _, notation, *_ in trials_of(url, "first")}
    own = [notation for _, notation, *_ in trials["from-csv"][3:]]
    assert not known & set(own)  # none is trained again
    plain = run_search(request(small_toml, url, evaluations=4, study="alone", lag=2))
    assert own[0] != str(plain.trials[3].genome)  # bred, where that is a random one


def write(path, *rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("notation", "accuracy", "colour"), ("add(1)*4", 0.5, "red")], ("colour", "allowed")),
        ([("notation", "accuracy"), ("add(1)*4", 0.5), ("nonsense", 0.4)], ("line 3", "nonsense")),
        ([("notation", "accuracy"), ("add(1)*5", 0.5)], ("line 2", "5 layers")),
        ([("notation", "accuracy"), ("add(1)*4", 93)], ("line 2", "accuracy 93")),
        ([("notation", "accuracy"), ("add(1)*4", "good")], ("line 2", "'good'")),
        ([("notation", "seconds"), ("add(1)*4", 3)], ("accuracy",)),
        ([("notation", "accuracy")], ("no evaluation",)),
        ([], ("notation",)),
    ],
)
def test_tables_that_are_wrong_are_one_line_and_leave_nothing(
    rows, words, small_toml, tmp_path, capsys
):
    table = write(tmp_path / "table.csv", *rows)
    url = f"sqlite:///{tmp_path}/nas.db"
    told = refused(
        capsys, "import", table, "--study", "new", "--space", small_toml, "--storage", url
    )
    for word in (*words, "table.csv"):
        assert word in told
    assert not (tmp_path / "nas.db").exists()


def test_a_study_that_is_there_keeps_its_own_history(earlier, small_toml, capsys):
    url, table = earlier
    told = refused(
        capsys, "import", table, "--study", "first", "--space", small_toml, "--storage", url
    )
    assert "'first'" in told or "first" in told


def test_a_search_for_what_was_not_scored_is_refused(small_toml, tmp_path, capsys):
    table = write(tmp_path / "t.csv", ("notation", "accuracy"), ("add(1)*4", 0.5))
    url = f"sqlite:///{tmp_path}/nas.db"
    nas(capsys, "import", table, "--study", "new", "--space", small_toml, "--storage", url)
    asked = ("--space", small_toml, "--storage", url, "--objectives", "loss", "--device", "cpu")
    told = refused(capsys, "search", "--study", "new", *asked)
    assert "loss" in told


def test_another_tasks_score_is_read_from_a_table(tmp_path, capsys):
    space, url = write_task_space("language", tmp_path), f"sqlite:///{tmp_path}/nas.db"
    run_search(request(space, url, evaluations=6, study="first"))
    table = write_report("first", url, out=tmp_path / "first.csv", form="csv")
    trials = {}
    for name, source in (("from-csv", table), ("from-study", "first")):
        code, _, err = nas(
            capsys, "import", source, "--study", name, "--space", space, "--storage", url
        )
        assert code == 0, err
        run_search(request(space, url, evaluations=5, study=name, lag=2))
        trials[name] = trials_of(url, name)
    assert trials["from-csv"] == trials["from-study"]


def test_an_own_trainings_scores_are_read_from_a_table(small_toml, tmp_path, capsys):
    own = tmp_path / "own.py"
    own.write_text(
        "def training(network, data, seed, device, report):\n    return {'perplexity': 3.0}\n\n"
        "training.scores = {'perplexity': 'min'}\n"
    )
    table = write(tmp_path / "t.csv", ("notation", "perplexity"), ("add(1)*4", 7.5))
    url = f"sqlite:///{tmp_path}/nas.db"
    for words in (("--evaluate", f"{own}:training"), ("--objectives", "min:perplexity")):
        name = words[0].strip("-")
        asked = ("--study", name, "--space", small_toml, "--storage", url, *words)
        code, out, err = nas(capsys, "import", table, *asked)
        assert code == 0, err
        assert "1 earlier evaluation " in out
    asked = ("--study", "without", "--space", small_toml, "--storage", url)
    assert "accuracy" in refused(capsys, "import", table, *asked)

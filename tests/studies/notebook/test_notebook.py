"""Studies show themselves in notebooks, and the example notebook runs."""

import ast
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import optuna
import pytest
from nbclient import NotebookClient

import studies
from nas import Genome, InputError
from studies.dashboard.notes import search_note
from studies.notebook.course import course_svg
from studies.notebook.study import open_study
from studies.search.request import SearchRequest
from studies.search.run import run_search
from studies.search.settings import asked_evaluations
from tests.conftest import write_small_space

DOCS = Path(__file__).parents[3] / "docs"
NOTEBOOK = DOCS / "skip-patterns.ipynb"
SVG = "{http://www.w3.org/2000/svg}"


def executed(path, folder):
    """A notebook with its outputs, run in a folder; in the repository it has none."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") for cell in notebook.cells)
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}
    ).execute()
    return notebook


def printed(notebook):
    """What the cells of a notebook printed."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "".join(output["text"] for output in outputs if output.output_type == "stream")


@pytest.mark.slow
def test_the_notebook_of_own_pictures_ends_with_a_module_that_knows_them(tmp_path):
    notebook = executed(DOCS / "own-pictures.ipynb", tmp_path)
    said = printed(notebook)
    assert "classes: digit-3 (183), digit-5 (182), digit-8 (174)" in said
    assert "network.py: in a fresh process, logits differ by" in said
    chances = ast.literal_eval(notebook.cells[-1].outputs[0]["data"]["text/plain"])
    assert max(chances, key=chances.get) == "digit-8"
    assert sum(chances.values()) == pytest.approx(1, abs=0.01)


@pytest.mark.slow
def test_the_notebook_of_an_own_model_searches_skips_for_it(tmp_path):
    notebook = executed(DOCS / "own-model.ipynb", tmp_path)
    said = printed(notebook)
    own, ours = re.search(r"^(\d+) (\d+)$", said, re.MULTILINE).groups()
    assert own == ours
    study = open_study("mine", f"sqlite:///{tmp_path}/nas.db", [tmp_path / "my_model.py"])
    assert study.verdict in said
    assert study.space.skeleton.layers == 12
    assert {row.name for row in study.finalists} >= {"residual"}
    assert "torch.Size([2, 10])" in said


@pytest.mark.slow
def test_the_notebook_of_long_skips_reads_learnt_coefficients(tmp_path):
    said = printed(executed(DOCS / "long-skips.ipynb", tmp_path))
    study = open_study("long", f"sqlite:///{tmp_path}/nas.db")
    assert study.verdict in said
    assert {row.name for row in study.finalists} >= {"residual"}
    skips = [layer.skips for layer in study.best.genome.layers]
    learnt = re.findall(r"^network\.layers\.(\d+)\S*beta \[(.*)\]$", said, re.MULTILINE)
    assert {int(index) - 1: len(numbers.split(",")) for index, numbers in learnt} == {
        index: len(here) for index, here in enumerate(skips) if here
    }
    assert "ROMEO:" in said
    assert "network.py: in a fresh process, logits differ by" in said


@pytest.mark.slow
def test_the_example_notebook_runs_and_shows_genome_plan_and_study(tmp_path):
    notebook = executed(NOTEBOOK, tmp_path)
    shown = [
        "".join(output["data"].get("text/html", ""))
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type in ("display_data", "execute_result")
    ]
    drawings = [html for html in shown if "<svg" in html]
    assert len(drawings) == 5  # genome, plan, study, and the best genome beside the residual one
    for html in drawings:
        for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
            ElementTree.fromstring(svg)
    assert "<code>- add(1)*4 concat(1,3@0.5)*4</code>" in drawings[0]
    assert "319,674" in drawings[1]
    assert "16 of 16 evaluated" in drawings[2]
    assert drawings[2].count("<circle") == 16
    assert "<code>add(1)*9</code>" in drawings[4]
    recorded = optuna.load_study(study_name=None, storage=f"sqlite:///{tmp_path}/notebook.db")
    best = max(t.value for t in recorded.trials if not t.user_attrs["role"])
    assert f"{100 * best:.2f} %" in drawings[2]


@pytest.fixture(scope="module")
def storage(searched, tmp_path_factory):
    """The small search, and one with two objectives and an awkward name."""
    folder = tmp_path_factory.mktemp("studies")
    shutil.copy(searched, folder / "nas.db")
    storage = f"sqlite:///{folder}/nas.db"
    run_search(
        SearchRequest(
            space=str(write_small_space(folder)), storage=storage, strategy="nsga2",
            study="<two>", evaluations=10, finalists=0, population=4, device="cpu", workers=1,
        )
    )  # fmt: skip
    return storage


@pytest.fixture(scope="module")
def name(searched):
    found = optuna.get_all_study_summaries(f"sqlite:///{searched}")
    return min(summary.study_name for summary in found)


def test_a_study_is_what_was_recorded(searched, name):
    study = studies.open_study(storage=f"sqlite:///{searched}")
    assert study.name == name  # the newest search, and not its finalists
    recorded = optuna.load_study(study_name=name, storage=f"sqlite:///{searched}")
    found = [t for t in recorded.trials if not t.user_attrs["role"]]
    best = max(found, key=lambda t: (t.value, -t.user_attrs["params"], -t.number))
    assert study.best.number == best.number
    assert [t.attrs["accuracy"] for t in study.trials] == [t.value for t in recorded.trials]
    assert list(study.frame["accuracy"]) == [t.value for t in recorded.trials]
    assert study.space.skeleton.layers == 4
    assert study.finalists[0].name.startswith("trial")
    assert "residual" in {row.name for row in study.finalists}
    assert study.budget == 12
    assert repr(study) == (
        f"<Study {name}: 12 of 12 evaluated, best trial {best.number} with {100 * best.value:.2f} %>"
    )
    assert "--evaluations 24" in study.going_on
    assert "--finalist-seeds 2" in study.going_on


def test_a_studys_table_has_the_best_and_the_given_patterns(storage, name):
    study = studies.open_study(name, storage)
    header, rows = study.table(best=2)
    assert header == ["trial", "validation accuracy", "parameters", "MACs", "pattern"]
    assert len(rows) == 2 + 3
    accuracies = [float(row[1].removesuffix(" %")) for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    names = " ".join(row[0] for row in rows)
    assert all(f"({name})" in names for name in ("plain", "residual", "dense"))
    patterns = {row[-1] for row in rows}
    assert {str(Genome.plain(4)), str(Genome.residual(4)), str(Genome.dense(4))} <= patterns


def test_a_studys_html_is_escaped_and_well_formed(storage):
    study = studies.open_study("<two>", storage)
    html = study._repr_html_()
    assert "<two>" not in html
    assert "&lt;two&gt;" in html
    ElementTree.fromstring(f"<div>{html.replace('<br>', '<br/>')}</div>")
    assert "Pareto front" in html
    found = [t for t in study.trials if not t.attrs["role"]]
    front = {
        t.number for t in found
        if not any(o.values[0] >= t.values[0] and o.values[1] <= t.values[1] and o.values != t.values
                   for o in found)
    }  # fmt: skip
    assert study.front == front
    shown = {int(row[0].split()[0]) for row in study.table()[1]}
    given = {t.number for t in study.trials if t.attrs["role"]}
    assert given <= shown <= front | given


def test_what_was_asked_for_is_noted_or_stands_in_the_command():
    asked = "nas search --evaluations 30 --lag 4"
    assert asked_evaluations({"nas:goal": {"evaluations": 40}, "nas:command": asked}) == 40
    assert asked_evaluations({"nas:command": asked}) == 30
    assert asked_evaluations({"nas:command": "nas search --lag 4"}) == 100
    assert asked_evaluations({}) == 100


def test_a_study_without_results_says_so(searched, name, tmp_path):
    shutil.copy(searched, tmp_path / "nas.db")
    storage = f"sqlite:///{tmp_path}/nas.db"
    made = optuna.load_study(study_name=name, storage=storage)
    empty = optuna.create_study(study_name="empty", direction="maximize", storage=storage)
    empty.set_user_attr("nas:settings", made.user_attrs["nas:settings"])
    study = studies.open_study("empty", storage)
    assert repr(study) == "<Study empty: 0 of 100 evaluated>"
    assert study.best is None
    assert study.frame.empty
    assert "<svg" not in study._repr_html_()
    failed = made.trials[4]
    failed.state, failed.values = optuna.trial.TrialState.FAIL, None
    failed.user_attrs["status"] = "failed"
    empty.add_trial(failed)
    study = studies.open_study("empty", storage)
    assert repr(study) == "<Study empty: 1 of 100 evaluated, 1 failed>"
    assert "<table" not in study._repr_html_()
    note = search_note(study, {})
    assert "1 failed" in note
    assert "| trial |" not in note


def test_the_course_is_best_so_far():
    scores = {0: 0.5, 1: 0.9, 2: 0.8, 3: 0.95, 4: 0.7}
    root = ElementTree.fromstring(course_svg(scores, {"plain": 0.5, "residual": 0.9}))
    dots = list(root.iter(f"{SVG}circle"))
    assert [dot[0].text for dot in dots] == [
        f"trial {n}: {100 * s:.2f} %" for n, s in scores.items()
    ]
    heights = [float(dot.get("cy")) for dot in dots]
    assert sorted(scores, key=lambda n: scores[n]) == sorted(scores, key=lambda n: -heights[n])
    line = next(p for p in root.iter(f"{SVG}path") if p.get("stroke") == "#4477aa")
    steps = [float(v) for v in re.findall(r"V([\d.]+)", line.get("d"))]
    assert steps == [heights[1], heights[3]]  # it rises at trials 1 and 3 only
    labels = [text.text for text in root.iter(f"{SVG}text")]
    assert "residual" in labels
    assert course_svg({0: 0.5}, {}) == ""


def test_what_cannot_be_opened_is_said(storage, name, tmp_path):
    assert studies.open_study(storage=storage).name == "<two>"
    with pytest.raises(InputError, match=f"unknown study 'x{name}': did you mean {name}"):
        studies.open_study(f"x{name}", storage)
    with pytest.raises(InputError, match=f"holds the finalists of study '{name}'"):
        studies.open_study(f"{name}-finalists", storage)
    with pytest.raises(InputError, match="there is no file"):
        studies.open_study(storage=f"sqlite:///{tmp_path}/none.db")
    optuna.create_study(study_name="theirs", storage=f"sqlite:///{tmp_path}/theirs.db")
    with pytest.raises(InputError, match="no studies of nas search"):
        studies.open_study(storage=f"sqlite:///{tmp_path}/theirs.db")
    path = Path(storage.removeprefix("sqlite:///"))
    shutil.copy(path, tmp_path / "copy.db")
    copy = optuna.storages.get_storage(f"sqlite:///{tmp_path}/copy.db")
    number = copy.get_study_id_from_name(name)
    record = copy.get_study_user_attrs(number)["nas:settings"]
    record["space"]["merges"] = ["add", "blend"]
    copy.set_study_user_attr(number, "nas:settings", record)
    with pytest.raises(InputError, match="unknown merge 'blend'"):
        studies.open_study(name, f"sqlite:///{tmp_path}/copy.db")

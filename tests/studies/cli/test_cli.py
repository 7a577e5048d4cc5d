"""The command line as a user meets it: output, exit codes, one line for what is wrong."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from PIL import Image

from nas.data.load import SOURCES
from nas.predictors.zero_cost import SCORES
from studies import cli
from studies.cli.app import command_names, load_command
from studies.cli.config import read_definition
from studies.cli.names import definition_names
from studies.samplers.pruners import PRUNERS
from studies.samplers.strategies import STRATEGIES
from studies.search import run
from studies.search.objectives import OBJECTIVES
from studies.search.request import prepare_settings
from tests.helpers import nas

HEAVY = [
    "torch", "torchvision", "sklearn", "scipy", "pandas", "matplotlib", "optuna", "sqlalchemy", "rich",
    "pydantic", "deap", "ray",
]  # fmt: skip
"""Libraries without which a help is shown."""
GENOME = "- add(1) add(1,2@0.5) se(3) gate(1)*2 concat(1,2) scale(1) -"


def test_help_has_examples(capsys):
    code, out, _ = nas(capsys, "--help")
    assert code == 0
    for command in ("search", "show", "spaces"):
        assert command in out
        assert "nas" in nas(capsys, command, "--help")[1]
    assert "--evaluations" in nas(capsys, "search", "--help")[1]


def test_version(capsys):
    assert nas(capsys, "--version")[0] == 0


def test_show_draws_and_counts(capsys, tmp_path):
    code, out, _ = nas(capsys, "show", GENOME, "--space", "digits9", "--out", tmp_path / "a.png")
    assert code == 0
    assert "add(1,2@0.5)" in out
    assert "parameters" in out
    assert "●" in out
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size[0] > 800
        assert len(picture.convert("RGB").getcolors(10**6)) > 100
    nas(capsys, "show", "-*3", "--out", tmp_path / "b.svg")
    assert (tmp_path / "b.svg").read_text().startswith("<?xml")


def test_show_on_a_baseline_or_outside_a_space(capsys):
    _, out, _ = nas(capsys, "show", "add(1)*28", "--baseline", "resnet-56")
    assert "2,085,386 parameters" in out
    code, out, _ = nas(capsys, "show", "add(1@0.7)*9", "--space", "digits9")
    assert code == 0
    assert "strength 0.7 is not in this space" in out.replace("\n", " ")


def test_show_starts_without_torch():
    code = (
        "import sys; sys.argv = ['nas', 'show', 'add(1)*9']\n"
        "from studies.cli import main\n"
        "try: main()\n"
        "except SystemExit as e: assert e.code == 0\n"
        "assert 'torch' not in sys.modules and 'optuna' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_baselines_are_listed_and_shown(capsys, tmp_path):
    _, out, _ = nas(capsys, "baseline", "list")
    for name in ("plain-56", "resnet-1202", "cifar/resnet-20"):
        assert name in out
    code, out, _ = nas(capsys, "baseline", "show", "resnet-56", "--out", tmp_path / "a.png")
    assert code == 0
    assert "2,085,386 parameters" in out
    assert (tmp_path / "a.png").exists()


def test_spaces_lists_and_details(capsys):
    _, out, _ = nas(capsys, "spaces")
    for name in ("digits9", "fashion9", "cifar9", "cifar27", "exercise28", "resnet50"):
        assert name in out
    _, out, _ = nas(capsys, "spaces", "digits9")
    assert "3×16 | 3×32/2 | 3×64/2" in out


def _trials(path: Path) -> list:
    import optuna

    summaries = optuna.get_all_study_summaries(f"sqlite:///{path}")
    return [s.study_name for s in summaries if s.n_trials]


def test_a_study_that_is_not_ours(capsys, tmp_path, small_toml):
    import optuna

    storage = f"sqlite:///{tmp_path}/a.db"
    study = optuna.create_study(study_name="theirs", storage=storage)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    code, _, err = nas(
        capsys, "search", "--space", small_toml, "--storage", storage, "--study", "theirs",
        "--device", "cpu",
    )  # fmt: skip
    assert code == 2
    assert "was not made by nas search" in err
    assert len(study.get_trials()) == 2


def test_a_whole_search_prints_table_picture_and_next_commands(
    capsys, tmp_path, small_toml, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "study.toml"
    config.write_text(
        f'space = "{small_toml}"\nevaluations = 7\nworkers = 2\ncontenders = 2\ncontender_seeds = 2\nfinalist_seeds = 2\n'
    )
    code, out, err = nas(
        capsys, "search", "--config", config, "--finalists", "1", "--device", "cpu"
    )
    assert (code, err) == (0, "")
    assert "Best of 7, chosen by validation images" in out
    assert "contenders 4/4" in out
    assert " % over fresh seeds\n" in out
    assert "Finalists: test accuracy over 2 fresh seeds" in out
    for row in ("residual", "plain", "dense", "trial"):
        assert row in out
    assert "nas dashboard  #" in out
    assert "nas report small-" in out
    assert "nas train best:small-" in out
    assert "--evaluations 14" in out
    pictures = list(tmp_path.glob("small-*.png"))
    assert len(pictures) == 1
    code, out, _ = nas(
        capsys, "search", "--config", config, "--finalists", "0", "--device", "cpu", "--quiet"
    )
    assert code == 0
    assert out.startswith("Best of 7, chosen by validation images")
    assert len(out.splitlines()) == 3
    assert "ResNet's pattern" in out.splitlines()[-1]


@pytest.mark.parametrize(
    "path", sorted((Path(cli.__file__).parents[1] / "definitions").glob("*.toml"))
)
def test_study_definitions_are_what_a_search_takes(path, capsys, monkeypatch, request):
    if "fashion" in path.stem:
        request.getfixturevalue("fashion_mnist")
    asked = []

    def run_search(request, view, stop):
        asked.append(request)
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run_search", run_search)
    assert nas(capsys, "search", "--config", path.stem, "--device", "cpu")[0] == 130
    settings, _ = prepare_settings(asked[0])
    assert asked[0].evaluations >= 100
    if path.stem == "distances":
        assert {gene.distance for gene in settings.space.genes} == {1, 2, 3, 4}
        assert {choice for gene in settings.space.genes for choice in gene.choices} == {0.0, 1.0}
    if path.stem == "merges-and-strengths":
        assert {gene.choices for gene in settings.space.genes} == {
            settings.space.merges, settings.space.strengths
        }  # fmt: skip
    if path.stem == "pareto":
        assert settings.objectives == ("accuracy", "macs")


@pytest.mark.slow
def test_a_definition_finds_its_space_beside_itself(capsys, tmp_path, small_toml, monkeypatch):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (small_toml.parent / "study.toml").write_text('space = "small.toml"\nevaluations = 3\n')
    monkeypatch.chdir(folder)
    code, out, _ = nas(
        capsys, "search", "--config", "../study.toml", "--finalists", "0", "--device", "cpu", "-q"
    )
    assert code == 0
    assert "No candidate of the space" in out  # the three hand-made patterns only
    sets = small_toml.parent / "sets"
    sets.mkdir()
    definition = small_toml.parent / "study.toml"
    definition.write_text('data_dir = "sets"\nplugin = ["none.py"]\n')
    assert read_definition(definition) == {"data_dir": str(sets), "plugin": ["none.py"]}


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(tmp_path, small_toml):
    storage = f"sqlite:///{tmp_path}/a.db"
    process = subprocess.Popen(
        [
            sys.executable, "-c", "from studies.cli import main; main()", "search",
            "--space", small_toml, "--storage", storage, "--evaluations", "5000", "--json",
            "--device", "cpu",
        ],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    events = 0
    for line in process.stdout:
        events += json.loads(line)["event"] == "evaluated"
        if events == 4:
            break
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Stopped; all finished evaluations are kept" in err
    assert "--evaluations 5000" in err
    assert "Traceback" not in err
    assert _trials(tmp_path / "a.db")


def test_help_says_what_the_commands_say_and_loads_none_of_them():
    context = click.Context(cli.app)
    assert {"search", "train", "report"} <= set(command_names())
    for name in command_names():
        command, spoken_of = load_command(name), cli.app.get_command(context, name)
        assert command.get_short_help_str() == spoken_of.get_short_help_str()
        assert cli.app.resolve_command(context, [name])[1] is command
    code = (
        "import sys; from studies.cli import app; app(['--help'], standalone_mode=False);"
        f"assert not set({[*HEAVY, 'numpy']}) & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_help_of_search_has_headings_and_the_names_of_tables(capsys):
    _, out, _ = nas(capsys, "search", "--help")
    sections = dict(re.findall(r"^(\S.*):\n((?:  .*\n)+)", out, re.MULTILINE))
    expected = {
        "What to search": "--space", "How": "--strategy", "Budget": "--evaluations",
        "Machines": "--workers", "Finals": "--contenders", "Study and output": "--storage",
    }  # fmt: skip
    for heading, first in expected.items():
        assert first in sections[heading]
    flags = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", out, re.MULTILINE)
    assert len(flags) == len(set(flags)) == len(load_command("search").params) + 1
    words = "".join(out.split())  # lines break at hyphens too
    for table in (SOURCES, STRATEGIES, PRUNERS, OBJECTIVES, SCORES, definition_names()):
        assert ",".join(name for name in table if name != "accuracy") in words
    assert "nsga2,nsga3:accuracy,params" in words


@pytest.mark.parametrize("command", [name for name in command_names() if name != "baseline"])
def test_no_help_leaves_a_word_in_braces(command, capsys):
    _, out, _ = nas(capsys, command, "--help")
    assert not re.findall(r"\{(?!study\})\w+\}", out)


def test_names_for_help_need_no_heavy_library():
    code = (
        "import sys; from studies.cli import app; app(['search', '--help'], standalone_mode=False);"
        "from studies.cli.names import NAMES; assert all(list(names()) for names in NAMES.values());"
        f"assert not set({HEAVY}) & set(sys.modules), set({HEAVY}) & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

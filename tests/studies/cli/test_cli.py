"""The command line as a user meets it: output, exit codes, one line for what is wrong."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from nas.data.load import SOURCES
from nas.predictors.zero_cost import SCORES
from studies import cli
from studies.cli.app import command_names, load_command
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


def make_pictures(folder, classes=2, broken=False):
    for name in range(classes):
        (folder / str(name)).mkdir(parents=True)
        for index in range(8):
            Image.new("L", (9, 9), 100 * name + index).save(folder / str(name) / f"{index}.png")
    if broken:
        (folder / "0" / "3.png").write_bytes(b"\x89PNG")
    return folder


def bad_inputs(tmp_path):
    (tmp_path / "keys.toml").write_text("evalutions = 3")
    (tmp_path / "types.toml").write_text("evaluations = 'many'")
    (tmp_path / "fraction.toml").write_text("lag = 2.5")
    (tmp_path / "bool.toml").write_text("seed = true")
    (tmp_path / "syntax.toml").write_text("a = = 1")
    (tmp_path / "space.toml").write_text("base = 'digits9'\n[proxy]\nepoch = 3")
    (tmp_path / "foreign.db").write_bytes(b"SQLite format 3\0 but not really" * 100)
    (tmp_path / "text.db").write_text("hello\n" * 1000)
    np.savez(tmp_path / "one.npz", images=np.zeros((9, 8, 8), np.uint8), labels=np.zeros(9))
    small = np.arange(60, dtype=np.uint8).reshape(60, 1, 1).repeat(2, 1).repeat(2, 2)
    np.savez(tmp_path / "small.npz", images=small, labels=np.arange(60) % 2)
    make_pictures(tmp_path / "single", classes=1)
    make_pictures(tmp_path / "corrupt", broken=True)
    return {
        "unknown space": (["--space", "digits8"], "did you mean digits9"),
        "unknown data": (["--data", "fashion"], "did you mean fashion-mnist"),
        "unknown strategy": (["--strategy", "regularised"], "did you mean regularized"),
        "unknown device": (["--device", "gpu"], "unknown device 'gpu'"),
        "missing device": (["--device", "cuda:99"], "cuda:99"),
        "unknown objective": (["--objectives", "accuracy,param"], "did you mean params"),
        "objectives": (["--objectives", "accuracy,params"], "has one objective"),
        "no accuracy": (["--strategy", "nsga2", "--objectives", "params"], "accuracy comes first"),
        "zero evaluations": (["--evaluations", "0"], "--evaluations 0: it must be at least 1"),
        "negative seed": (["--seed", "-1"], "--seed -1: it must be at least 0"),
        "picture": (["--picture", "best.gif"], "pictures end in"),
        "picture folder": (["--picture", "no/best.png"], "there is no folder"),
        "config fraction": (["--config", tmp_path / "fraction.toml"], "lag must be a whole number"),
        "config bool": (["--config", tmp_path / "bool.toml"], "seed must be a whole number"),
        "words for numbers": (["--evaluations", "many"], "'many' is not a valid integer"),
        "workers": (["--workers", "9"], "--workers 9 is more than --lag 8"),
        "negative time": (["--max-seconds", "-1"], "--max-seconds -1: it must be at least 0"),
        "no time": (["--time-limit", "0"], "--time-limit 0: it must be above 0 seconds"),
        "no size": (["--memory-limit", "many"], "'many' is not a size: a number and a unit"),
        "no memory": (["--memory-limit", "0GB"], "--memory-limit 0: it must be above 0 bytes"),
        "too many": (["--evaluations", "1" + "0" * 12], "it must be at most 1e+07"),
        "no count": (["--workers", "roy"], "'roy' is neither a number of processes nor ray"),
        "no data": (["--space", "resnet50"], "name a folder of images by class with --data"),
        "few params": (["--max-params", "10"], "--max-params 10 is below the plain pattern's"),
        "unknown option": (["--evalutions", "3"], "--evaluations"),
        "config keys": (["--config", tmp_path / "keys.toml"], "did you mean evaluations"),
        "config types": (["--config", tmp_path / "types.toml"], "evaluations"),
        "config syntax": (["--config", tmp_path / "syntax.toml"], "line 1"),
        "unknown config": (["--config", "pareot"], "did you mean pareto"),
        "screen": (["--screen", "synflow"], "SCORE:N with N candidates from 2 to 64"),
        "unknown pruner": (["--pruner", "medain"], "did you mean median"),
        "inherit": (["--strategy", "tpe", "--inherit"], "those of regularized, mu-plus-lambda"),
        "pruner": (["--strategy", "nsga2", "--pruner", "median"], "it judges by accuracy alone"),
        "no config": (["--config", tmp_path / "none.toml"], "none.toml"),
        "space keys": (["--space", tmp_path / "space.toml"], "did you mean epochs"),
        "no space file": (["--space", tmp_path / "none.toml"], "none.toml"),
        "foreign storage": (["--storage", f"sqlite:///{tmp_path}/foreign.db"], "cannot be opened"),
        "text storage": (["--storage", f"sqlite:///{tmp_path}/text.db"], "cannot be opened"),
        "no such folder": (["--storage", f"sqlite:///{tmp_path}/no/a.db"], "cannot be opened"),
        "not a url": (["--storage", "nonsense"], "cannot be opened"),
        "text journal": (["--storage", f"{tmp_path}/text.db.log"], "cannot be opened"),
        "one class": (["--data", tmp_path / "one.npz"], "data with 1 class"),
        "single folder": (["--data", tmp_path / "single"], "data with 1 class"),
        "corrupt image": (["--data", tmp_path / "corrupt"], "3.png: not a readable image"),
        "too small": (["--data", tmp_path / "small.npz"], "the least side is 3"),
        "no plugin": (["--plugin", tmp_path / "none.py"], "none.py"),
    }


def test_bad_input_is_one_line_and_exit_code_2(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cases = bad_inputs(tmp_path)
    (tmp_path / "text.db.log").write_text("hello\n" * 9)
    for name, (arguments, message) in cases.items():
        code, out, err = nas(capsys, "search", *arguments)
        assert code == 2, f"{name}: {err}"
        assert message in err, f"{name}: {err}"
        assert err.startswith("error: "), name
        assert err.count("\n") == 1, f"{name}: {err}"
        assert out == "", name
    assert not (tmp_path / "nas.db").exists() or not _trials(tmp_path / "nas.db")


def _trials(path: Path) -> list:
    import optuna

    summaries = optuna.get_all_study_summaries(f"sqlite:///{path}")
    return [s.study_name for s in summaries if s.n_trials]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "add(1"], "column 1: 'add(1' is not a layer"),
        (["show", "add(1) add(9)"], "at most 2 here"),
        (["show", "add(1)*8", "--space", "digits9"], "the genome has 8 layers, the skeleton 9"),
        (["show", "add(1)*9", "--out", "a.gif"], "pictures end in .png, .svg, .pdf"),
        (["show", "add(1)*9", "--out", "no/such/a.png"], "no/such/a.png"),
        (["show", "ad(1)"], "did you mean add"),
        (["spaces", "digits8"], "did you mean digits9"),
        (["baseline", "show", "resnet-57"], "resnet-56"),
        (["baseline", "run", "exercise-6"], "did you mean exercise-"),
        (["baseline", "run", "all", "--profile", "quik"], "did you mean quick"),
        (["baseline", "run", "exercise-4", "--data", "digits"], "the least side is 17"),
        (["baseline", "run", "all", "--data", "digits", "--device", "cuda:77"], "cuda:77"),
        (["serch"], "search"),
        (["show"], "NOTATION"),
    ],
)
def test_other_commands_refuse_alike(capsys, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = nas(capsys, *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


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
    assert "Best of 7 by the proxy" in out
    assert "contenders 4/4" in out
    assert " % over fresh seeds\n" in out
    assert "Finalists: test accuracy over 2 fresh seeds" in out
    for row in ("residual", "plain", "dense", "trial"):
        assert row in out
    assert "nas dashboard  #" in out
    assert "nas report small-digits-regularized-seed0-" in out
    assert "nas train best:small-digits-regularized-seed0-" in out
    assert "--evaluations 14" in out
    pictures = list(tmp_path.glob("small-digits-regularized-seed0-*.png"))
    assert len(pictures) == 1
    code, out, _ = nas(
        capsys, "search", "--config", config, "--finalists", "0", "--device", "cpu", "--quiet"
    )
    assert code == 0
    assert out.startswith("Best of 7 by the proxy")
    assert len(out.splitlines()) == 2 + ("nothing found is better" in out)


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
    _, err = process.communicate(timeout=60)
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

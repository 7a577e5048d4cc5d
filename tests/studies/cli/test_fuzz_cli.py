"""Any arguments at all: success, or one line and exit code 2. Trainings are stopped before they start."""

import contextlib
import io
import shutil
import sys
import time
from functools import lru_cache
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import nas.data.images
import nas.data.load
import nas.predictors.zero_cost
import nas.retraining.retrain
import nas.saving.exports
import nas.workers.ray_cluster
import studies.dashboard.server
import studies.knockouts.run
import studies.search.join
import studies.search.machines
import studies.speed.measure
from baselines import BASELINES
from baselines.exercises import runner
from nas.architecture.merges import MERGES
from nas.errors import InputError
from search_spaces import SPACES
from studies import cli
from studies.cli.app import command_names, load_command
from studies.store.names import search_names
from studies.store.storages import open_storage
from tests.conftest import write_small_space
from tests.fuzz_texts import NOTATIONS, NUMBERS, mutated
from tests.fuzzing import case, cases, counted, limited_memory


class Started(Exception):  # noqa: N818
    """A command that is right in all its parts would train now."""


def start(*_, **__):
    raise Started


@pytest.fixture(scope="module", autouse=True)
def place(searched, tmp_path_factory):
    """A folder deep enough that no `..` leads out of pytest's, with what arguments name."""
    folder = tmp_path_factory.mktemp("cli") / "a" / "b"
    folder.mkdir(parents=True)
    write_small_space(folder)
    (folder / "small.toml").rename(folder / "own.toml")
    (folder / "definition.toml").write_text("space = 'own.toml'\nseed = 3\n")
    (folder / "nul.toml").write_text('data_dir = "\\u0000"')
    (folder / "broken.toml").write_text("a = = 1")
    (folder / "plugin.py").write_text("raise ValueError('a\\nb')")
    (folder / "text.db").write_text("hello\n" * 100)
    shutil.copy(searched, folder / "kept.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for module in (
            studies.search.machines,
            studies.speed.measure,
            studies.knockouts.run,
            runner,
        ):
            patch.setattr(module, "Workers", start)
        patch.setattr(nas.workers.ray_cluster, "connected", start)
        patch.setattr(
            studies.search.join, "time", SimpleNamespace(monotonic=time.monotonic, sleep=start)
        )
        for module, name in (
            (studies.speed.measure, "matrix_gflops"), (nas.retraining.retrain, "fit"),
            (nas.predictors.zero_cost, "score"), (nas.saving.exports, "export"),
            (studies.dashboard.server, "make_server"),
        ):  # fmt: skip
            patch.setattr(module, name, start)
        patch.setattr(nas.data.images, "_download", offline)
        for source in ("digits", "fashion-mnist"):
            patch.setitem(nas.data.load.SOURCES, source, lru_cache(nas.data.load.SOURCES[source]))
        with limited_memory():
            yield folder


def offline(kind, where, name, package):
    raise InputError(f"{name}: not found in {where}")


WORDS = [
    "digits", "own.toml", "definition.toml", "broken.toml", "nul.toml", "none.toml", "plugin.py", ".", "..",
    "sqlite:///nas.db", "sqlite:///text.db", "sqlite:///none/x.db", "nas.log", "sqlite://",
    "postgresql://nobody:secret@127.0.0.1:1/x", "redis://127.0.0.1:1", "sqlite:///:memory:",
    "mysql://x", "://", "cpu", "cuda", "cuda:99", "mps", "tpe", "gp", "nsga2", "nsga3", "median",
    "hyperband", "synflow:4", "synflow:99999999999999999999", "accuracy,params", "accuracy,,",
    "x.png", "no/x.png", "{study}.png", "x.gif", "", "-", "--", "*", "a\nb", "~nobody", "~", "\x1b[2J",
    "x" * 300, "x" * 5000, "best:", "best:*", "trial:/0", "trial:x/99999999999999999999", "html",
    "csv", "json", "onnx", "all", "exercise-1", "quick", "full", "127.0.0.1", "0.0.0.0", "::", "-1",
    "٣", "\udcff", "1e999", "nan", "../../x", "a\u202eb", "true", "crop", "fp32",
]  # fmt: skip


def options():
    """Every command's words and options, as its module has them."""
    found = {}
    for name in command_names():
        command = load_command(name)
        inner = getattr(command, "commands", None)
        found |= {(name, n): c for n, c in inner.items()} if inner else {(name,): command}
    return {
        words: [
            option for p in command.params if p.param_type_name == "option" for option in p.opts
        ]
        for words, command in found.items()
    }


OPTIONS = options()


def contained(word):
    """No path out of the tests' folder, and no host that is asked."""
    word = word.replace("\0", "")  # which no process can be given
    return word if word in WORDS or word in BASELINES else word.replace("/", "_").replace("~", "_")


@st.composite
def commands(draw):
    """Arguments of a command, more or less as they should be."""
    words = draw(st.sampled_from([*OPTIONS]))
    value = st.one_of(
        st.sampled_from(WORDS),
        st.sampled_from([*SPACES, *BASELINES, *MERGES]),
        st.integers(-2, 40).map(str),
        NUMBERS.filter(lambda n: isinstance(n, float) or abs(n) < 10**4000).map(str),
        NOTATIONS,
        st.text(max_size=10),
        mutated(st.sampled_from([w for w in WORDS if w])),
    )
    rest = []
    for _ in range(draw(st.integers(0, 3))):
        rest.append(draw(st.sampled_from([*OPTIONS[words], "--nonsense", "-x"])))
        rest += draw(st.lists(value, max_size=2))
    rest += draw(st.lists(st.one_of(value, st.just("STUDY"), st.just("best:STUDY")), max_size=2))
    return [*words, *rest]


SPACE = ["digits9", "own.toml", "digits9-merges", "fashion9"]
NUMBER = ["0", "1", "2", "7", "300", "9" * 12]
STORAGE = ["sqlite:///kept.db", "sqlite:///nas.db", "kept.log", "sqlite:///none.db"]
RIGHT = {
    "--space": SPACE, "--data": ["digits", "fashion-mnist", "none.npz"], "--storage": STORAGE,
    "--from": ["add(1)*9", "-*9", "resnet-56", "add(1)*4"], "--study": ["STUDY", "x", "../x"],
    "--strategy": ["random", "tpe", "gp", "nsga2", "mu-plus-lambda", "regularized"],
    "--pruner": ["median", "halving", "none"], "--screen": ["synflow:4", "params:2"],
    "--objectives": ["accuracy", "accuracy,params", "accuracy,latency-1"], "--device": ["cpu"],
    "--config": ["distances", "pareto", "definition.toml"], "--picture": ["", "{study}.svg", "a.png"],
    "--out": ["x.png", "x.svg", "x.html", "-", "t", "new", "x.csv"], "--format": ["html", "csv", "json"],
    "--baseline": ["resnet-56", "cifar/resnet-20", "plain-20"], "--augment": ["crop", "none"],
    "--precision": ["fp32", "bf16"], "--score": ["params", "synflow"], "--profile": ["quick"],
    "--host": ["127.0.0.1", "0.0.0.0"], "--target": ["0.5", "1", "1.5"],
    "--learning-rate": ["0.1", "1e-9", "0"], "--max-seconds": ["1", "0.5"],
    "--workers": ["1", "2", "ray", "ray:2", "ray:0", "9999"], "--ray-address": ["auto", "127.0.0.1:1"],
    "--time-limit": ["1", "0", "nan"], "--memory-limit": ["2GB", "500MB", "1", "0", "1e9GB"],
    "--wait": ["0", "1", "nan", "1e400"],
}  # fmt: skip
PLACED = {
    ("train",): ["best:STUDY", "trial:STUDY/3", "add(1)*9", "add(1)*4"], ("compare",): ["*", "STUDY"],
    ("report",): ["STUDY"], ("show",): ["add(1)*9", "add(1)*4", "- concat(1,2@0.5)*3"],
    ("export",): ["add(1)*9", "add(1)*4", "none"], ("score",): ["add(1)*9", "add(1)*4"],
    ("spaces",): SPACE, ("baseline", "show"): ["resnet-56", "cifar/resnet-20"],
    ("baseline", "run"): ["exercise-1", "exercise-2", "exercise-5"],
}  # fmt: skip
FLAGS = ("--inherit", "--fast", "--quiet", "-q", "--json", "--force", "--knock-out", "--other-data",
         "--open", "--no-browser")  # fmt: skip


@st.composite
def right(draw):
    """A command with options as they should be, and at times one value that is not."""
    words = draw(st.sampled_from([*OPTIONS]))
    rest = []
    if words in PLACED and draw(st.integers(0, 9)):
        rest.append(draw(st.sampled_from(PLACED[words])))
    known = [o for o in OPTIONS[words] if o in RIGHT or o in FLAGS or "help" not in o]
    for option in draw(st.lists(st.sampled_from(known), max_size=4, unique=True)) if known else []:
        rest.append(option)
        if option not in FLAGS:
            rest.append(draw(st.sampled_from(RIGHT.get(option, NUMBER))))
    values = [place for place, word in enumerate(rest) if not word.startswith("--")]
    if values and draw(st.integers(0, 3)) == 0:
        place = draw(st.sampled_from(values))
        rest[place] = draw(st.one_of(st.sampled_from(WORDS), mutated(st.just(rest[place] or "x"))))
    if "--storage" in OPTIONS[words] and "--storage" not in rest:
        rest += ["--storage", "sqlite:///kept.db"]
    return [*words, *rest]


ARGUMENTS = st.one_of(
    right(), right(), right(), commands(), commands(), st.lists(st.one_of(st.text(max_size=8), st.sampled_from(WORDS)), max_size=5)
)  # fmt: skip
TRAINED = ["train", "best:STUDY", "--storage", "sqlite:///kept.db", "--out", "t"]


@given(ARGUMENTS)
@example(["search", "--data", "~nobody"])
@example(["search", "--data", "x" * 5000])
@example(["search", "--space", "own.toml", "--study", "../../x", "--storage", "sqlite:///nas.db"])
@example(["search", "--config", "definition.toml"])
@example(["search", "--config", "nul.toml"])
@example(["show", "add(1)*10000"])
@example(["show", "add(1)*10000", "--out", "x.png"])
@example(["show", "add(1) add(1,2) add(1,2,3)*9998"])
@example([*TRAINED])
@example([*TRAINED, "--threads", "9" * 30])
@example([*TRAINED, "--seed", "9" * 30])
@example([*TRAINED, "--batch", "9" * 300])
@example(["search", "--space", "own.toml", "--seed", "9" * 30])
@example(["search", "--space", "own.toml", "--split-seed", "9" * 30])
@example(["search", "--space", "own.toml", "--population", "9" * 30, "--lag", "9" * 30])
@example(["search", "--space", "own.toml", "--evaluations", "9" * 30, "--max-seconds", "nan"])
@example(["report", "--storage", "sqlite:///kept.db"])
@example(["compare", "*", "--storage", "sqlite:///kept.db"])
@example(["dashboard", "--storage", "sqlite:///kept.db", "--host", "x" * 300])
@example(["export", "add(1)*9", "--space", "digits9"])
@example(["baseline", "run", "exercise-3", "--data", "digits"])
@example(["baseline", "run", "exercise-1", "--data", "digits", "--seeds", "9" * 12])
@example(["baseline", "show", "resnet-56", "--out", ""])
@example(["bench", "--space", "own.toml", "--candidates", "9" * 30])
@example(["score", "add(1)*4", "--space", "own.toml", "--seed", "9" * 30])
@cases(30)
def test_the_command_line(place, arguments):
    if "STUDY" in " ".join(arguments):
        names = search_names(open_storage("sqlite:///kept.db"))
        arguments = [argument.replace("STUDY", names[0]) for argument in arguments]
    arguments = [contained(a) if "best:" not in a else a for a in arguments]
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with case("command line", arguments), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["nas", *arguments])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                cli.main()
            except SystemExit as ended:
                code = ended.code
            except Started:
                code = "started"
    counted[f"command line: {code}"] += 1
    lines = [line for line in err.getvalue().splitlines() if not line.startswith("warning: ")]
    assert code in (0, 2, "started"), err.getvalue()
    if code == 2:
        assert len(lines) == 1, err.getvalue()
        assert lines[0].startswith("error: ")
        assert "Traceback" not in lines[0]

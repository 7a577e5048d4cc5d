"""Any arguments at all: success, or one line and exit code 2. Trainings are stopped before they start."""

import contextlib
import io
import shutil
import sys
from functools import lru_cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import nas.data
import nas.exports
import nas.fit
import nas.scores
import studies.bench.measure
import studies.dashboard
import studies.report.knockout_run
import studies.run
from baselines import BASELINES
from nas.errors import InputError
from nas.merges import MERGES
from search_spaces import SPACES
from studies import cli
from tests.conftest import write_small_space
from tests.fuzzing import case, cases, counted, limited_memory
from tests.test_fuzz import NOTATIONS, NUMBERS, mutated


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
    (folder / "broken.toml").write_text("a = = 1")
    (folder / "plugin.py").write_text("raise ValueError('a\\nb')")
    (folder / "text.db").write_text("hello\n" * 100)
    shutil.copy(searched, folder / "kept.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for module in (studies.run, studies.bench.measure, studies.report.knockout_run):
            patch.setattr(module, "Workers", start)
        for module, name in (
            (studies.bench.measure, "matrix_gflops"), (nas.fit, "fit"), (nas.scores, "score"),
            (nas.exports, "export"), (studies.dashboard, "make_server"),
        ):  # fmt: skip
            patch.setattr(module, name, start)
        patch.setattr("baselines.runner.Workers", start)
        patch.setattr(nas.data, "_download", offline)
        for source in ("digits", "fashion-mnist"):
            patch.setitem(nas.data.SOURCES, source, lru_cache(nas.data.SOURCES[source]))
        with limited_memory():
            yield folder


def offline(kind, where, name, package):
    raise InputError(f"{name}: not found in {where}")


STUDY = "small-digits-regularized-seed0"
WORDS = [
    "digits", "own.toml", "definition.toml", "broken.toml", "none.toml", "plugin.py", ".", "..",
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
    from importlib import import_module

    found = {("search",): cli.search}
    for name, (module, _) in cli.ELSEWHERE.items():
        command = getattr(import_module(module), name)
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


ARGUMENTS = st.one_of(
    commands(), commands(), commands(), st.lists(st.one_of(st.text(max_size=8), st.sampled_from(WORDS)), max_size=5)
)  # fmt: skip
TRAINED = ["train", "best:STUDY", "--storage", "sqlite:///kept.db", "--out", "t"]


@given(ARGUMENTS)
@example(["search", "--data", "~nobody"])
@example(["search", "--data", "x" * 5000])
@example(["search", "--space", "own.toml", "--study", "../../x", "--storage", "sqlite:///nas.db"])
@example(["search", "--config", "definition.toml"])
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
@example(["bench", "--space", "own.toml", "--candidates", "9" * 30])
@example(["score", "add(1)*4", "--space", "own.toml", "--seed", "9" * 30])
@cases(125)
def test_the_command_line(place, arguments):
    import studies.store

    if "STUDY" in " ".join(arguments):
        names = studies.store.search_names(studies.store.open_storage("sqlite:///kept.db"))
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

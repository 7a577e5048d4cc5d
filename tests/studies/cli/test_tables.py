"""Tables of all commands on narrow terminals and in pipes: no word is broken, no name is cut."""

import io
import random
import re
from types import SimpleNamespace

import pytest
from optuna.trial import TrialState
from rich.console import Console
from rich.measure import Measurement

from nas import Genome
from nas.statistics import Correlation
from search_spaces import SPACES
from studies.analysis.compare import Comparison, StrategyRuns
from studies.catalogue.listing import Listed
from studies.cli.commands.baseline import baselines_table, points_table
from studies.cli.commands.compare import comparison_table
from studies.cli.commands.score import correlation_table, scores_table
from studies.cli.tables import (
    bench_table,
    drawing,
    finalists_table,
    front_table,
    space_table,
    spaces_table,
    studies_table,
)
from studies.cli.terminal import ENDLESS, WordTable, fitted, make_console, tell
from studies.finals.finalists import Finalist
from studies.formatting import ACCURACY
from studies.speed.measure import OURS, WAYS, Bench
from studies.store.trial import Trial
from tests.conftest import random_genome
from tests.helpers import nas

LONG = "digits9-digits-mu-plus-lambda-seed0-5898e5"
SPACE = SPACES["digits9"]
WIDE = random_genome(9, random.Random(3), ["attention", "concat", "add"])
DEEP = Genome.parse(" ".join(["add(1)", "add(1,2)", *["add(1,2,3)"] * 7]))


def trial(number, genome=WIDE):
    attrs = {"accuracy": 0.9555, "role": "", "params": 315_300, "macs": 2_795_000}
    values = (0.9555, 315_300.0, 2_795_000.0)
    return Trial(number, genome, TrialState.COMPLETE, values, attrs, {}, {}, {}, again=0.9733)


def finalist(name, **more):
    return Finalist(name, WIDE, (0.9, 1.0, 0.85), 1_234_567, 123_456_789, **more)


def listed(name, **more):
    values = {
        "space": "digits9-distances", "data": "fashion-mnist", "strategy": "mu-plus-lambda",
        "objectives": ("accuracy", "gradient-ratio"), "done": 12_000, "wanted": 100_000,
        "best": trial(11_999), "finalists": (40, 96),
    }  # fmt: skip
    return Listed(name, **{**values, **more})


def runs(label):
    return StrategyRuns(
        label, ("a",), tuple(range(5)), ((0.97, 0.98),) * 5, (12_345,) * 5, (1.0,) * 5,
        (None, 100, 90, 80, 70), -0.0123, (-0.02, 0.01), 0.042, 5,
    )  # fmt: skip


BENCH = Bench(
    "digits9-distances", "fashion-mnist", "cpu", "fp32", 2, 2, 1, 2, 4,
    {OURS: [1200.5, 900.25], **{way: [600.5, 300.5] for way in WAYS}}, 0.5, 30.0, 0.8,
    {"fp32": 60.0, "bf16": 240.0}, {"batch norm": 0.25},
)  # fmt: skip
POINT = SimpleNamespace(
    expected="Gradient magnitude decreases exponentially with depth (towards the input)",
    measured="settings with a geometric law (R² ≥ 0.95): 8 of 12, within 0.9 ± 0.01: 0", n=5,
    verdict="not decided at this budget",
)  # fmt: skip
SCORES = ["grad_norm", "snip", "synflow", "naswot", "jacob_cov", "zico", "params", "macs", "skips"]
RHO = Correlation(12, 3, -0.28, (-0.79, 0.37), -0.25, (-0.74, 0.5))
TABLES = {
    "finalists": lambda: finalists_table(
        [finalist("trial 12345", difference=-0.1234, p=0.0001), finalist("residual")]
    ),
    "front": lambda: front_table([trial(5), trial(12)], ["accuracy", "params", "macs"], ACCURACY),
    "drawing": lambda: drawing(WIDE, SPACE.skeleton),
    "drawing with costs": lambda: drawing(WIDE, SPACE.skeleton, costs=True),
    "drawing, deep": lambda: drawing(DEEP, SPACE.skeleton, costs=True),
    "spaces": lambda: spaces_table(dict(SPACES)),
    **{f"space {name}": lambda name=name: space_table(SPACES[name]) for name in SPACES},
    "studies": lambda: studies_table(
        [listed(LONG), listed("a" * 76), listed("b", best=None, missing=("my_merges.py",))]
    ),
    "baselines": baselines_table,
    "an exercise": lambda: points_table(SimpleNamespace(title="Exercise 1", points=[POINT] * 3)),
    "comparison": lambda: comparison_table(
        Comparison(100, 0.97, {}, (runs("regularized"), runs("mu-plus-lambda, population 32, inherit")))
    ),
    "scores": lambda: scores_table([(WIDE, dict.fromkeys(SCORES, 6.104e16))], SCORES),
    "two scores": lambda: scores_table([(WIDE, dict.fromkeys(SCORES, 1.5))], SCORES[:2]),
    "correlations": lambda: correlation_table(dict.fromkeys(SCORES, RHO), f"{LONG}: scores"),
    "bench": lambda: bench_table(BENCH),
}  # fmt: skip


def rendered(table, width):
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(table)
    return console.file.getvalue()


def words_of(table):
    """All words of a table, of which those of columns that may be left out come second."""
    console = Console(width=ENDLESS, file=io.StringIO())
    kept, left = [], []
    for column in table.columns:
        for cell in [column.header, *column.cells]:
            text = console.render_str(cell) if isinstance(cell, str) else cell
            (left if column.header in table.sheds else kept).extend(text.plain.split())
    return kept, left


@pytest.mark.parametrize("width", [80, 100, 200])
@pytest.mark.parametrize("name", TABLES)
def test_no_word_is_broken_and_nothing_is_cut(name, width):
    table = TABLES[name]()
    out = rendered(table, width)
    assert max(map(len, out.splitlines())) <= width, out
    parts = [table] if isinstance(table, WordTable) else [table.renderables[0]]
    found = set(re.split(r"[\s┃│]+", out))
    kept, left = words_of(parts[0])
    assert [word for word in kept if word not in found and "│" not in word] == [], out
    if "not shown, as the terminal is too narrow" not in out:
        assert [word for word in left if word not in found and "│" not in word] == [], out
    cut = [word for word in found if "…" in word and word not in kept + left]
    assert cut == [], out


@pytest.mark.parametrize("name", TABLES)
def test_in_a_pipe_everything_is_there_on_one_line_each(name):
    table = TABLES[name]()
    out = rendered(table, ENDLESS)
    assert "not shown" not in out
    first = table if isinstance(table, WordTable) else table.renderables[0]
    lines = out.splitlines()
    for column in first.columns:
        for cell in column.cells:
            text = str(cell)
            assert any(text in line for line in lines), text


def test_the_usual_finalists_fit_80_columns_beside_each_other():
    rows = [finalist("trial 82", difference=-0.1234, p=0.0001), finalist("residual")]
    out = rendered(finalists_table(rows), 80)
    assert "vs ResNet" in " ".join(out.split())
    assert len(out.splitlines()) <= 8


def test_a_name_wider_than_the_terminal_is_still_whole():
    out = rendered(studies_table([listed("n" * 150)]), 80)
    assert "".join(out.split()).count("n" * 150) == 1


@pytest.mark.parametrize("width", [30, 80])
def test_sentences_are_wrapped_between_words(width):
    made = io.StringIO()
    words = ["a [bold] name", "every", "picture", "is", "scaled", "to", "32×32", "pixels."] * 3
    tell(Console(file=made, width=width), [" ".join(words)])
    lines = made.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    assert " ".join(made.getvalue().split()) == " ".join(words)


def test_widths_are_between_word_and_line_and_use_the_room():
    ranges = [Measurement(3, 40), Measurement(10, 10), Measurement(5, 30)]
    assert fitted(ranges, 100) == [40, 10, 30]
    assert fitted(ranges, 50) == [20, 10, 20]
    assert fitted(ranges, 51) == [21, 10, 20]
    assert fitted(ranges, 18) == [3, 10, 5]


def test_a_pipe_has_no_width(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    assert make_console().width == ENDLESS
    pattern = " ".join(["add(1)", "add(1,2)", *["attention(1,2@0.5,3@0.25)"] * 26])
    for command in (["show", pattern], ["spaces"], ["spaces", "resnet50"], ["baseline", "list"]):
        code, out, _ = nas(capsys, *command)
        assert code == 0
        assert "…" not in out.replace("[F, skips…]", "")

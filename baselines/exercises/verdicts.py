"""What an exercise says in the end: verdicts on the sheet's expectations, tables, figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.statistics import Values, interval, mean_std

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

HOLDS, FAILS, OPEN = "holds", "does not hold", "not decided at this budget"
ABSOLUTE_TOLERANCE = 0.03
INLINE_ROWS = 20


@dataclass(frozen=True)
class Point:
    """One expectation of the sheet beside what was measured."""

    expected: str
    measured: str
    n: int
    verdict: str


@dataclass
class Page:
    """An exercise's results."""

    exercise: str
    title: str
    points: list[Point]
    tables: dict[str, pd.DataFrame]
    figures: dict[str, Figure]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Context:
    """What decides which statements a run can make."""

    data: str
    profile: str
    classes: int = 10

    @property
    def as_sheet(self) -> bool:
        """Whether absolute accuracies can be held against the sheet's (CIFAR-10, full profile)."""
        return self.data == "cifar10" and self.profile == "full"


def more(expected: str, better: Values, worse: Values, unit: str = "%") -> Point:
    """The claim that one quantity is larger than another, paired over seeds."""
    deltas = np.subtract(better, worse)
    low, high = interval(deltas)
    verdict = HOLDS if low > 0 else FAILS if high < 0 else OPEN
    scale = 100 if unit == "%" else 1
    measured = (
        f"{mean_std(better, unit)} against {mean_std(worse, unit)}; difference "
        f"{scale * deltas.mean():+.2f}, 95 % interval [{scale * low:.2f}, {scale * high:.2f}]"
    )
    return Point(expected, measured, len(deltas), verdict)


def absolute(expected: str, target: float, scores: Sequence[float], context: Context) -> Point:
    """A claim about an accuracy, which only the sheet's own setting can decide."""
    low, high = interval(scores)
    lowest, highest = target - ABSOLUTE_TOLERANCE, target + ABSOLUTE_TOLERANCE
    verdict = OPEN
    if context.as_sheet and low >= lowest and high <= highest:
        verdict = HOLDS
    elif context.as_sheet and (high < lowest or low > highest):
        verdict = FAILS
    setting = "" if context.as_sheet else f" ({context.data}, {context.profile} profile)"
    return Point(expected, f"{mean_std(scores)}{setting}", len(scores), verdict)


def most(expected: str, shares: Values, what: str) -> Point:
    """A claim about most of many things: the mean share over seeds is above a half."""
    low, high = interval(shares)
    verdict = HOLDS if low > 0.5 else FAILS if high < 0.5 else OPEN
    measured = f"{what}: {mean_std(shares)}, 95 % interval [{100 * low:.1f}, {100 * high:.1f}]"
    return Point(expected, measured, len(shares), verdict)


def every(expected: str, fits: Sequence[bool], what: str) -> Point:
    """A claim about all of many things."""
    verdict = HOLDS if all(fits) else FAILS
    return Point(expected, f"{what}: {sum(fits)} of {len(fits)}", len(fits), verdict)


def converged(point: Point, context: Context) -> Point:
    """A claim about the end of training: a short training cannot refute it."""
    if context.profile == "full" or point.verdict != FAILS:
        return point
    measured = f"{point.measured} (a short training, which cannot refute this)"
    return replace(point, measured=measured, verdict=OPEN)


def markdown(page: Page, context: Context, settings: str) -> str:
    """The page as Markdown, with tables of the points and links to figures and CSV files."""
    lines = [
        f"# {page.title}",
        "",
        f"Data: {context.data}; profile: {context.profile}. {settings}",
        "",
    ]
    lines += ["| the sheet expects | measured | n | verdict |", "|---|---|---|---|"]
    rows = ([p.expected, p.measured, str(p.n), f"**{p.verdict}**"] for p in page.points)
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    lines += ["", *[f"{note}\n" for note in page.notes]]
    for name in page.figures:
        lines += [f"![{name}]({page.exercise}-{name}.png)", ""]
    for name, table in page.tables.items():
        lines += [f"## {name} ([CSV]({page.exercise}-{name}.csv))", ""]
        lines += (
            [_table(table), ""]
            if len(table) <= INLINE_ROWS
            else [f"{len(table)} rows, in the CSV file.", ""]
        )
    return "\n".join(lines)


def _table(table: pd.DataFrame) -> str:
    def cell(value: Any) -> str:
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    rows = [list(table.columns), ["---"] * len(table.columns)]
    rows += [[cell(value) for value in row] for row in table.itertuples(index=False)]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)

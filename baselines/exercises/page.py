"""An exercise as one HTML page, with nothing to be fetched."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from baselines.exercises.verdicts import RULE, Grade, Point
from nas.drawing.canvas import Canvas

if TYPE_CHECKING:
    import pandas as pd

INLINE_ROWS = 60
"""Of a table on the page; longer ones are in their CSV files alone."""


@dataclass(frozen=True)
class Figure:
    """One panel with its title."""

    title: str
    svg: str
    note: str = ""


@dataclass
class Page:
    """An exercise's results."""

    exercise: str
    title: str
    conclusion: tuple[str, str]
    """Two sentences."""
    points: list[Point]
    grades: list[Grade]
    tables: dict[str, pd.DataFrame]
    figures: list[Figure]
    notes: list[str] = field(default_factory=list)
    explanation: list[str] = field(default_factory=list)
    """Why it is so, in paragraphs."""


def drawn(canvas: Canvas, title: str, note: str = "") -> Figure:
    return Figure(title, canvas.svg(), note)


def render(page: Page, settings: Sequence[tuple[str, str]]) -> str:
    """The page as HTML. The same results give the same bytes.

    Args:
        settings: (what, how much) of the run.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("baselines.exercises", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"cell": cell, "markup": Markup}
    style = files("nas.drawing").joinpath("page.css").read_text(encoding="utf-8")
    return environment.get_template("page.html").render(
        page=page, rule=RULE, settings=settings, style=Markup(style), inline=INLINE_ROWS
    )


def cell(value: Any) -> str:
    """A table's value as text."""
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)

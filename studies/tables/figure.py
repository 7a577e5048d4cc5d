"""The picture of strategies in a table: regret against evaluations, and against seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nas.tasks.task import Task
from studies.tables.comparison import Quartiles, TableComparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#4477aa", "#ee6677", "#228833", "#aa3377", "#ccbb44", "#66ccee", "#444444")
"""Paul Tol's colour-blind safe palette."""
STYLES = ("-", "--", ":")
"""Of the lines of each further round of colours."""


def draw_table_comparison(found: TableComparison, task: Task) -> Figure:
    """Medians with the quartiles around them, both axes logarithmic where regret is above 0."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    scale = 100.0 if task.unit == "%" else 1.0
    unit = "points" if task.unit == "%" else task.unit
    steps = np.arange(1, found.evaluations + 1)
    _curves(left, steps, [(s.strategy, s.by_evaluations) for s in found.strategies], scale)
    _curves(
        right,
        np.array(found.moments),
        [(s.strategy, s.by_seconds) for s in found.strategies],
        scale,
    )
    left.set_xlabel("evaluations")
    left.set_ylabel(f"regret in {task.label}{f', {unit}' if unit else ''}")
    left.set_title(
        f"{found.table}: median and quartiles of {found.seeds} seeds", fontsize=10, loc="left"
    )
    right.set_xlabel("seconds of training, as recorded")
    right.legend(fontsize=8)
    return figure


def _curves(
    axes: Axes, x: np.ndarray, curves: Sequence[tuple[str, Quartiles]], scale: float
) -> None:
    for index, (name, quartiles) in enumerate(curves):
        low, middle, high = scale * np.array(quartiles).T
        colour = COLOURS[index % len(COLOURS)]
        style = STYLES[index // len(COLOURS) % len(STYLES)]
        axes.step(x, middle, style, color=colour, label=name, where="post", lw=1.6)
        axes.fill_between(x, low, high, color=colour, alpha=0.12, lw=0, step="post")
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=0.1 if scale > 1 else 1e-3)
    axes.grid(alpha=0.25)

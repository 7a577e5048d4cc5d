"""The picture of a comparison: curves with bands, and what every seed ended with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from studies.analysis.compare import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#4477aa", "#ee6677", "#228833", "#aa3377", "#ccbb44", "#66ccee", "#444444")
"""Paul Tol's colour-blind safe palette."""
SKIPPED = 3
"""First evaluations that are left out of the curves: they are the hand-made patterns."""


def draw_comparison(comparison: Comparison, title: str) -> Figure:
    """Mean of the best so far over seeds, ± standard deviation; beside it the seeds' ends."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2.6, 1), sharey=True)
    _curves(left, comparison)
    _ends(right, comparison)
    low, high = _window(comparison)
    left.set_ylim(low, high)
    left.set_title(title, fontsize=10, loc="left")
    right.set_title("ends, by seed", fontsize=10, loc="left")
    return figure


def _curves(axes: Axes, comparison: Comparison) -> None:
    steps = np.arange(1, comparison.evaluations + 1)[SKIPPED:]
    for index, one in enumerate(comparison.contenders):
        colour = COLOURS[index % len(COLOURS)]
        curves = 100 * np.array(one.curves)[:, SKIPPED:]
        mean = curves.mean(0)
        axes.step(steps, mean, color=colour, label=one.label, where="post", lw=1.6)
        if len(curves) > 1:
            std = curves.std(0, ddof=1)
            axes.fill_between(
                steps, mean - std, mean + std, color=colour, alpha=0.13, lw=0, step="post"
            )
    low, _ = _window(comparison)
    for (name, level), style in zip(comparison.patterns.items(), (":", "--", "-."), strict=False):
        if 100 * level > low:
            axes.axhline(100 * level, color="#555555", lw=1, ls=style, label=f"{name} pattern")
    axes.set_xlabel("evaluations")
    axes.set_ylabel("best validation accuracy so far (%)")
    axes.legend(fontsize=8, loc="lower right")
    axes.grid(alpha=0.25)


def _ends(axes: Axes, comparison: Comparison) -> None:
    seeds = sorted({seed for one in comparison.contenders for seed in one.seeds})
    aside = dict(zip(seeds, np.linspace(-0.16, 0.16, len(seeds)), strict=True))
    for seed in seeds:
        points = [
            (index + aside[seed], 100 * end)
            for index, one in enumerate(comparison.contenders)
            for s, end in zip(one.seeds, one.finals, strict=True)
            if s == seed
        ]
        axes.plot(*zip(*points, strict=True), color="#999999", lw=0.7, zorder=1)
    for index, one in enumerate(comparison.contenders):
        colour = COLOURS[index % len(COLOURS)]
        ends = 100 * np.array(one.finals)
        axes.scatter(
            index + np.array([aside[s] for s in one.seeds]), ends, color=colour, s=18, zorder=2
        )
        axes.plot([index - 0.25, index + 0.25], [ends.mean()] * 2, color=colour, lw=2.4, zorder=3)
    labels = [one.label for one in comparison.contenders]
    axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right", fontsize=8)
    axes.set_xlim(-0.5, len(labels) - 0.5)
    axes.grid(alpha=0.25, axis="y")


def _window(comparison: Comparison) -> tuple[float, float]:
    """From where the curves are after a tenth of the evaluations, less a little, to the top."""
    start = max(SKIPPED, comparison.evaluations // 10)
    curves = np.array([c for one in comparison.contenders for c in one.curves])
    low, high = 100 * curves[:, min(start, curves.shape[1] - 1)].min(), 100 * curves.max()
    margin = max(0.2, 0.06 * (high - low))
    return low - margin, high + margin

"""Series of numbers on a canvas: lines that do not hide each other, legends, outliers, logarithms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.drawing.canvas import FONT, INK, Canvas
from nas.statistics import Values

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = (
    "#4477aa", "#ee6677", "#228833", "#aa3377", "#ccbb44", "#66ccee", "#ee8866", "#888888", INK,
)  # fmt: skip
MARKERS = "osD^vPX*<"
DASHES: tuple[Any, ...] = ((0, ()), (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))


def style(index: int) -> dict[str, Any]:
    """Of the index-th line of a panel: its own colour, marker and dashes, so that none hides another."""
    return {
        "color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)],
        "linestyle": DASHES[index % len(DASHES)], "markersize": 4.5, "lw": 1.6,
    }  # fmt: skip


def line(
    axes: Axes, index: int, xs: Sequence[float], rows: Any, label: str, every: int = 1
) -> None:
    """The mean over rows (seeds, xs) with a band of one standard deviation.

    Args:
        every: of so many points one has a marker, beginning with another one for every line.
    """
    array = np.atleast_2d(np.array(rows, dtype=float))
    mean, std = np.nanmean(array, axis=0), np.nanstd(array, axis=0)
    axes.plot(xs, mean, label=label, markevery=(index % every, every), **style(index))
    axes.fill_between(xs, mean - std, mean + std, color=style(index)["color"], alpha=0.15, lw=0)


def legend(canvas: Canvas, columns: int = 2) -> None:
    """The legend, below the axes."""
    handles, labels = canvas.axes.get_legend_handles_labels()
    canvas.figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, frameon=False,
        fontsize=FONT - 1, handlelength=2.6, columnspacing=1.2,
    )  # fmt: skip


def log_y(axes: Axes) -> None:
    """A logarithmic axis with labels in plain text: powers of ten, of a short one 2 and 5 too.

    It is for axes that have been drawn on.
    """
    from matplotlib.ticker import LogLocator

    low, high = axes.dataLim.y0, axes.dataLim.y1
    axes.set_yscale("log")
    if 0 < low < high < 100 * low:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: power_of_ten(value))
    axes.yaxis.set_minor_formatter("")


def power_of_ten(value: float) -> str:
    """`0.01`, `20`, `10⁻⁵`."""
    power = round(math.log10(value)) if value > 0 else 0
    if -3 <= power <= 4:
        return f"{value:g}"
    return "10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def window(values: Values, ranges: float = 3) -> tuple[float, float]:
    """Bounds of an axis that shows all values but outliers.

    Args:
        ranges: from the middle half of the values, in its lengths, where outliers begin.
    """
    array = np.asarray(values, dtype=float)
    array = array[np.isfinite(array)]
    low, high = np.percentile(array, (25, 75))
    reach = ranges * (high - low)
    kept = array[(array >= low - reach) & (array <= high + reach)]
    margin = 0.1 * max(np.ptp(kept), 1e-9)
    return float(kept.min() - margin), float(kept.max() + margin)


def mark_outliers(
    axes: Axes, xs: Sequence[float], ys: Values, bounds: tuple[float, float], index: int
) -> None:
    """Values beyond the axis as triangles at its edge, with the value written."""
    low, high = bounds
    colour = style(index)["color"]
    for edge, marker, side in ((high, 6, "top"), (low, 7, "bottom")):  # tips on the edge
        beyond = [
            (x, y) for x, y in zip(xs, ys, strict=True) if (y > high if side == "top" else y < low)
        ]
        if not beyond:
            continue
        places = [x for x, _ in beyond]
        axes.plot(places, [edge] * len(beyond), linestyle="none", marker=marker, color=colour,
                  markersize=8, clip_on=False)  # fmt: skip
        text = fill(", ".join(f"{y:.3g} at {x}" for x, y in beyond), 36)
        axes.annotate(
            text, (max(places), edge), xytext=(9, 2), textcoords="offset points", va=side,
            fontsize=FONT - 1, color=colour,
        )  # fmt: skip

"""Why residuals are small, in measured numbers, and the tables and pictures of exercise 3."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import linregress

from baselines.exercises.features import shown_layers
from baselines.exercises.page import Figure, drawn
from baselines.exercises.verdicts import FAILS, HOLDS, OPEN
from nas.drawing.canvas import INK, Canvas
from nas.drawing.series import legend, line, log_y, mark_outliers, style, window

if TYPE_CHECKING:
    import pandas as pd

MOMENTS = {"features_initial": "at initialisation", "features_trained": "trained"}
"""When features are measured: its name in results, and what it is called."""
GAUSSIAN_NEAR_ZERO = 0.0399
"""Share of a Gaussian within NEAR_ZERO = 0.05 standard deviations of its mean."""
Row = Mapping[str, Any]


def power(row: Row, name: str) -> float:
    """Mean square of a tensor's values: its squared norm over their number."""
    return float(row[name]["mean"] ** 2 + row[name]["std"] ** 2)


def growth(run: Row, when: str, name: str) -> float:
    """By how much a tensor's norm grows from the early third of layers to the late third."""
    norms = np.sqrt([power(row, name) for row in run[when]])
    early, _, late = np.array_split(norms, 3)
    return float(late.mean() / early.mean())


def explanation(runs: Sequence[Row], reason: str) -> list[str]:
    """Why residuals are smaller than outputs, in measured numbers.

    Args:
        reason: the verdict on whether the trained trunk grows and the branches less.
    """
    start, end = (
        {name: np.array([[power(row, name) for row in run[when]] for run in runs]).mean(0)
         for name in ("x", "F", "sum", "output")}
        for when in MOMENTS
    )  # fmt: skip
    layers = np.arange(1, len(start["x"]) + 1)
    fit = linregress(layers, start["x"]) if len(layers) > 1 else None
    aligned = float((start["sum"] - start["x"] - start["F"]).mean())
    lost = float((start["sum"] - start["output"]).mean())
    ratios = [np.sqrt(found["F"] / found["x"]) for found in (start, end)]
    change = {
        name: [float(part.mean()) for part in np.array_split(np.sqrt(end[name] / start[name]), 3)]
        for name in ("x", "F")
    }
    told = {name: ", ".join(f"{value:.2f}" for value in values) for name, values in change.items()}
    straight = (
        f", by {fit.slope:.2f} a layer on a straight line (R² {fit.rvalue**2:.3f})" if fit else ""
    )
    cause = {
        HOLDS: "the trunk still outgrows the branches",
        FAILS: "the trunk no longer outgrows the branches",
        OPEN: "whether the trunk outgrows the branches is not decided",
    }[reason]
    return [
        "What flows through a residual network is a sum. Write x for what enters a layer (the trunk) "
        "and F(x) for what its branch adds. The branch ends in batch norm, so it begins with the same "
        "size in every layer, however large x is: at initialisation the mean square of its values is "
        f"{start['F'][0]:.2f} in the first layer and {start['F'][-1]:.2f} in the last.",
        "The trunk gathers all branches before it. At initialisation its mean square goes from "
        f"{start['x'][0]:.2f} to {start['x'][-1]:.2f}{straight}, where one branch brings "
        f"{start['F'].mean():.2f}, its alignment with x brings {aligned:+.2f}, and the ReLU after the "
        f"sum takes {lost:.2f}. A constant over the root of a growing sum falls: ‖F‖/‖x‖ goes from "
        f"{ratios[0][0]:.2f} to {ratios[0][-1]:.2f} before anything is learnt.",
        "What training adds, as the size after training over that at initialisation, early, middle "
        f"and late layers: {told['F']} for the branches, {told['x']} for the trunk. ‖F‖/‖x‖ then goes "
        f"from {ratios[1][0]:.2f} to {ratios[1][-1]:.2f}, and {cause}.",
    ]


def norm_table(runs: Sequence[Row]) -> pd.DataFrame:
    """A row a layer and moment: mean squares, averaged over seeds."""
    import pandas as pd

    rows = []
    for when, label in MOMENTS.items():
        for layer in zip(*(run[when] for run in runs), strict=True):
            x, f, total, out = (
                float(np.mean([power(row, name) for row in layer])) for name in ("x", "F", "sum", "output")
            )  # fmt: skip
            rows.append(
                {"when": label, "layer": layer[0]["layer"], "‖x‖²": x, "‖F‖²": f, "2⟨x, F⟩": total - x - f,
                 "lost to the ReLU": total - out, "‖F‖/‖x‖": np.sqrt(f / x), "n": len(layer)}
            )  # fmt: skip
    return pd.DataFrame(rows)


def feature_table(runs: Sequence[Row]) -> pd.DataFrame:
    """A row a layer, tensor, moment of training and seed."""
    import pandas as pd

    rows = []
    for run in runs:
        for when, label in MOMENTS.items():
            for row in run[when]:
                for name in ("x", "F", "sum", "output"):
                    moments = {k: v for k, v in row[name].items() if k != "histogram"}
                    rows.append(
                        {
                            "seed": run["seed"],
                            "when": label,
                            "layer": row["layer"],
                            "tensor": {"F": "F(x)", "sum": "F(x)+x"}.get(name, name),
                            "‖F‖/‖x‖": row.get("ratio"),
                            **moments,
                        }
                    )
    return pd.DataFrame(rows)


def lesion_table(trained: Mapping[str, Sequence[Row]]) -> pd.DataFrame:
    """A row a removed layer, seed and network."""
    import pandas as pd

    rows = [
        {"baseline": name, "seed": run["seed"], "without layer": layer, "accuracy": score, "whole": run["lesions"]["whole"]}
        for name, found in trained.items()
        for run in found
        for layer, score in enumerate(run["lesions"]["without"], 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class ByLayer:
    """A panel of what is measured of every layer."""

    name: str
    title: str
    label: str
    series: Mapping[str, tuple[str, Callable[[Row], float]]]
    """By label, the moment and what is measured of a layer."""
    note: str = ""
    level: tuple[float, str] | None = None
    """A line across, and what it is."""
    scale: str = "linear"


START, END = MOMENTS
PANELS = (
    ByLayer(
        "squares", "Why: at initialisation the trunk adds up what the branches bring",
        "mean square of values",
        {"trunk x": (START, lambda row: power(row, "x")), "branch F(x)": (START, lambda row: power(row, "F"))},
        "‖x‖² and ‖F‖² over the number of values; the band is one standard deviation over seeds.",
    ),
    ByLayer(
        "norms", "What training adds: norms of x and F(x) by layer", "root mean square", {
            "x, at initialisation": (START, lambda row: power(row, "x") ** 0.5),
            "x, trained": (END, lambda row: power(row, "x") ** 0.5),
            "F(x), at initialisation": (START, lambda row: power(row, "F") ** 0.5),
            "F(x), trained": (END, lambda row: power(row, "F") ** 0.5),
        }, scale="log",
    ),
    ByLayer(
        "ratio", "Residuals over inputs, ‖F(x)‖ / ‖x‖, by layer", "‖F(x)‖ / ‖x‖",
        {MOMENTS[when]: (when, lambda row: row["ratio"]) for when in MOMENTS}, level=(0.5, "a half"),
    ),
    ByLayer(
        "kurtosis", "Is F(x) Gaussian? Its excess kurtosis by layer", "excess kurtosis", {
            "all values, trained": (END, lambda row: row["F"]["excess_kurtosis"]),
            "within a channel, trained": (END, lambda row: row["channel_kurtosis"]),
            "all values, at initialisation": (START, lambda row: row["F"]["excess_kurtosis"]),
        }, "The axis is linear from -1 to 1 and logarithmic beyond.", (0, "Gaussian"), "symlog",
    ),
    ByLayer(
        "zeros", "Is F(x) sparse? Values near zero by layer", "values near zero, %", {
            "F(x), at initialisation": (START, lambda row: 100 * row["F"]["near_zero"]),
            "F(x), trained": (END, lambda row: 100 * row["F"]["near_zero"]),
            "after the ReLU, trained": (END, lambda row: 100 * row["output"]["near_zero"]),
        }, level=(100 * GAUSSIAN_NEAR_ZERO, "Gaussian around 0"),
    ),
)  # fmt: skip


def figures(trained: Mapping[str, Sequence[Row]]) -> list[Figure]:
    """Distributions, panels by layer, lesions.

    Args:
        trained: by name; all but the lesions are of the first.
    """
    runs = next(iter(trained.values()))
    layers = [row["layer"] for row in runs[0][END]]
    found = [_distribution(runs[0], layer) for layer in shown_layers(len(layers))]
    found.append(_gaussian(runs[0]))
    for panel in PANELS:
        canvas = Canvas(panel.name, f"{panel.title}: {', '.join(panel.series)}", height=285)
        for index, (label, (when, measure)) in enumerate(panel.series.items()):
            values = [[measure(row) for row in run[when]] for run in runs]
            line(canvas.axes, index, layers, values, label, every=max(1, len(layers) // 7))
        if panel.scale == "log":
            log_y(canvas.axes)
        elif panel.scale == "symlog":
            canvas.axes.set_yscale("symlog", linthresh=1)
            canvas.axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        if panel.level:
            canvas.axes.axhline(panel.level[0], color=INK, lw=1, ls=":", label=panel.level[1])
        canvas.axes.set_xlabel("layer")
        canvas.axes.set_ylabel(panel.label)
        canvas.axes.grid(axis="y")
        legend(canvas)
        found.append(drawn(canvas, panel.title, panel.note))
    return [*found, _lesion_figure(trained)]


def _distribution(run: Row, layer: int) -> Figure:
    """The sheet's input, residual and output at one depth."""
    row = run["features_trained"][layer - 1]
    canvas = Canvas(
        f"layer{layer}", f"distribution of x, F(x) and F(x)+x in layer {layer}", height=285
    )
    filled: list[float] = []
    for index, (name, title) in enumerate((("x", "input x"), ("F", "F(x)"), ("sum", "F(x)+x"))):
        counts, edges = _histogram(row[name])
        filled += [*edges[1:][counts > 0], *edges[:-1][counts > 0]]
        look = style(index)
        canvas.axes.stairs(
            100 * counts, edges, color=look["color"], lw=1.6, ls=look["linestyle"], label=title
        )
    log_y(canvas.axes)
    canvas.axes.set_ylim(1e-3, 150)
    canvas.axes.set_xlim(min(filled), max(filled))
    canvas.axes.set_xlabel("activation")
    canvas.axes.set_ylabel("share of values, %")
    canvas.axes.grid(axis="y")
    legend(canvas, 3)
    told = "; ".join(
        f"{title}: mean {row[name]['mean']:.2f}, std {row[name]['std']:.2f}, range "
        f"{row[name]['min']:.1f} to {row[name]['max']:.1f}"
        for name, title in (("x", "x"), ("F", "F(x)"), ("sum", "F(x)+x"))
    )
    return drawn(canvas, f"Layer {layer}, trained: input, residual and output", f"{told}.")


def _gaussian(run: Row) -> Figure:
    canvas = Canvas("gaussian", "standardised residuals against the normal density, log axis", 315)
    rows = run["features_trained"]
    for index, layer in enumerate(shown_layers(len(rows))):
        stats = rows[layer - 1]["F"]
        counts, edges = _histogram(stats)
        std = max(stats["std"], 1e-30)
        middles = ((edges[1:] + edges[:-1]) / 2 - stats["mean"]) / std
        density = np.where(counts > 0, counts / np.diff(edges) * std, np.nan)
        canvas.axes.plot(
            middles, density, label=f"layer {layer}", markevery=(index, 5), **style(index)
        )
    normal = np.linspace(-5, 5, 101)
    canvas.axes.plot(
        normal, np.exp(-(normal**2) / 2) / np.sqrt(2 * np.pi), color=INK, lw=2.2, label="normal"
    )
    log_y(canvas.axes)
    canvas.axes.set_ylim(1e-5, 5)
    canvas.axes.set_xlim(-5.5, 5.5)
    canvas.axes.set_xlabel("(F(x) - mean) / standard deviation")
    canvas.axes.set_ylabel("density")
    canvas.axes.grid(axis="y")
    legend(canvas, 3)
    return drawn(
        canvas, "Is F(x) Gaussian? Standardised residuals against the normal density",
        "On a logarithmic axis a Gaussian is a parabola; what lies above it far from 0 is a heavy tail.",
    )  # fmt: skip


def _histogram(stats: Row) -> tuple[np.ndarray, np.ndarray]:
    counts, limit = np.array(stats["histogram"]["counts"]), stats["histogram"]["limit"]
    return counts, np.linspace(-limit, limit, len(counts) + 1)


def _lesion_figure(trained: Mapping[str, Sequence[Row]]) -> Figure:
    """Points of accuracy that the trained network loses without a layer; outliers at the edge."""
    canvas = Canvas("lesions", "accuracy lost without a layer, with skips and without", height=300)
    means = {}
    for name, found in trained.items():
        if found:
            whole = 100 * np.mean([run["lesions"]["whole"] for run in found])
            without = np.array([run["lesions"]["without"] for run in found], dtype=float)
            means[f"{name}, whole {whole:.1f} %"] = whole - 100 * without.mean(0)
    bounds = window(np.concatenate(list(means.values())))
    for index, (label, lost) in enumerate(means.items()):
        layers = range(1, len(lost) + 1)
        inside = np.where((lost >= bounds[0]) & (lost <= bounds[1]), lost, np.nan)
        canvas.axes.plot(layers, inside, label=label, **style(index))
        mark_outliers(canvas.axes, layers, lost, bounds, index)
    canvas.axes.axhline(0, color=INK, lw=0.8)
    canvas.axes.set_ylim(*bounds)
    canvas.axes.set_xlabel("layer taken out")
    canvas.axes.set_ylabel("points of accuracy lost")
    canvas.axes.grid(axis="y")
    legend(canvas, 1)
    return drawn(
        canvas, "Lesions: accuracy lost when one layer is taken out of the trained network",
        "Mean over seeds; a triangle at the edge is a value beyond the axis, written beside it.",
    )  # fmt: skip

"""Exercise 1, the vanishing gradient: plain networks of 20 and 56 blocks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from baselines.exercises.gradients import (
    SETTINGS,
    SHEET,
    LawJob,
    law_key,
    law_table,
    modes,
    sheet_row,
)
from baselines.exercises.jobs import Profile, TrainingJob
from baselines.exercises.page import Figure, Page, drawn
from baselines.exercises.summaries import (
    Results,
    epoch_table,
    epochs_figures,
    final_accuracies,
    first_to_last,
    gradient_axes,
    gradient_table,
    last_losses,
    layer_means,
    runs_of,
    summary,
    trained,
    training_jobs,
)
from baselines.exercises.verdicts import (
    FAILS,
    HOLDS,
    OPEN,
    Context,
    Grade,
    Point,
    absolute,
    ended,
    graded,
    more,
)
from nas.architecture.parts import Shape
from nas.drawing.canvas import FONT, GRID, INK, MUTED, Canvas
from nas.drawing.series import legend, log_y, style
from nas.statistics import geometric_mean, significant

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("plain-20", "plain-56")


def jobs(profile: Profile, shape: Shape, classes: int) -> list[TrainingJob | LawJob]:
    seeds = tuple(range(profile.law_seeds))
    law = [
        LawJob(0, law_key(*setting, mode), *setting, mode, profile.law_width, profile.law_blocks, seeds)
        for setting in SETTINGS
        for mode in modes(setting)
    ]  # fmt: skip
    return [*training_jobs(NAMES, profile, shape, classes), *law]


def page(results: Results, profile: Profile, context: Context) -> Page:
    law = law_table(results)
    shallow, deep = (final_accuracies(results, name, profile) for name in NAMES)
    losses = [last_losses(results, name, profile) for name in NAMES]
    epochs = trained(profile)
    degradation = more(
        f"56 blocks have the larger training loss after the same {epochs} (degradation)",
        losses[1], losses[0], "",
    )  # fmt: skip
    exponential, nine_tenths = _exponential(law), _nine_tenths(law)
    vanishes = _first_against_last(results, profile)
    points = [
        absolute("20 layers train well, about 75 %", 0.75, shallow, context),
        absolute("56 layers (plain) train poorly, about 65 %", 0.65, deep, context),
        ended(more("20 blocks are more accurate than 56", shallow, deep), context),
        degradation,
        exponential,
        nine_tenths,
        vanishes,
    ]
    return Page(
        "exercise-1",
        "Exercise 1: the vanishing gradient",
        _conclusion(results, profile, degradation, losses),
        points,
        _grades(losses, epochs, degradation, nine_tenths, vanishes),
        {
            "summary": summary(results, NAMES, profile),
            "law": law,
            "epochs": epoch_table(results, NAMES, profile),
            "gradients": gradient_table(results, NAMES, profile),
        },
        [
            *epochs_figures(results, NAMES, profile, context.classes),
            _path_figure(results, profile),
            _layers_figure(results, profile),
            _factors_figure(law),
            _depth_figure(results, law),
        ],
        _notes(profile),
    )


def _grades(
    losses: list[list[float]], epochs: str, degradation: Point, nine_tenths: Point, vanishes: Point
) -> list[Grade]:
    return [
        graded(
            3, 7, "Shows deeper network is worse without skip connections",
            f"after the same {epochs} 56 blocks have the larger training loss (first figure), "
            f"{np.mean(losses[1]):.2f} against {np.mean(losses[0]):.2f}.", degradation,
        ),
        graded(
            4, 9, "Includes gradient analysis showing vanishing gradients",
            "during training the first layer's gradient falls below the last layer's (third figure). "
            "At initialisation it is the other way round, which the sheet does not expect.",
            vanishes,
        ),
        graded(
            5, 10, "Shows mathematical relationship: grad_norm ∝ (0.9)^depth",
            "some setting follows this law (the figure of factors).", nine_tenths,
        ),
    ]  # fmt: skip


def _notes(profile: Profile) -> list[str]:
    return [
        "The sheet's blocks have two convolutions each: its 20 and 56 layers are 40 and 112 "
        "convolutions. The law counts convolutions.",
        "The law is of the gradient norm of the first body convolution over that of the last, for "
        f"plain networks of {profile.law_blocks[0]} to {profile.law_blocks[-1]} blocks, width "
        f"{profile.law_width}, on 8×8 noise in float64, {profile.law_seeds} seeds: least squares on "
        "its logarithm over depth. A factor above 1 per convolution means that gradients grow "
        "towards the input. In evaluation mode before any training batch norm is an identity.",
    ]


def _conclusion(
    results: Results, profile: Profile, degradation: Point, losses: list[list[float]]
) -> tuple[str, str]:
    compared = {
        HOLDS: "the deeper one trains worse",
        FAILS: "the deeper one does not train worse",
        OPEN: "it is not decided which one trains worse",
    }[degradation.verdict]
    runs = runs_of(results, "plain-56", profile)
    start, end = (geometric_mean([first_to_last(r, when) for r in runs]) for when in (0, -1))
    begins = "explodes towards the input" if start > 1 else "vanishes towards the input"
    ends = "vanishes" if end < 1 else "is still the larger there"
    return (
        f"Of two networks without skips {compared}: after the same {trained(profile)} "
        f"the training loss of 56 blocks is {np.mean(losses[1]):.2f}, that of 20 blocks "
        f"{np.mean(losses[0]):.2f}.",
        f"With the sheet's batch norm the gradient {begins} at the start (in plain-56 the first "
        f"layer's is {significant(start)} times the last layer's) and {ends} while training ({significant(end)} times "
        "at the last step).",
    )


def _exponential(law: pd.DataFrame) -> Point:
    row = sheet_row(law)
    factor, r2 = row["factor per convolution"], row["R²"]
    verdict = HOLDS if r2 >= 0.95 and row["largest"] < 1 else FAILS if row["least"] > 1 else OPEN
    return Point(
        "Gradient magnitude decreases exponentially with depth (towards the input)",
        f"at initialisation, as on the sheet: factor {factor:.3f} per convolution towards the "
        f"input, seeds {row['least']:.3f} to {row['largest']:.3f}, R² {r2:.3f}: "
        f"{'it grows' if factor > 1 else 'it shrinks'}",
        int(row["n"]),
        verdict,
    )


def _nine_tenths(law: pd.DataFrame) -> Point:
    geometric = law[law.geometric]
    near = geometric[(geometric["least"] <= 0.91) & (geometric["largest"] >= 0.89)]
    factors = ", ".join(f"{f:.2f}" for f in sorted(geometric["factor per convolution"]))
    return Point(
        "grad_norm ∝ 0.9^depth",
        f"settings with a geometric law (R² ≥ 0.95): {len(geometric)} of {len(law)}, factors "
        f"{factors}; within 0.9 ± 0.01: {len(near)}",
        int(law["n"].iloc[0]),
        HOLDS if len(near) else FAILS,
    )


def _first_against_last(results: Results, profile: Profile) -> Point:
    runs = runs_of(results, "plain-56", profile)
    end = [first_to_last(run, -1) for run in runs]
    path = [
        f"{significant(geometric_mean([first_to_last(run, i) for run in runs]))} (step {runs[0]['gradients'][i]['step']})"
        for i in (*range(min(4, len(runs[0]["gradients"]) - 1)), -1)
    ]
    end = [ratio for ratio in end if not math.isnan(ratio)]
    smaller = [ratio < 1 for ratio in end]
    return Point(
        "The first layer's gradient is smaller than the last's (plain-56, while training)",
        f"first/last: {', '.join(path)}; below 1 at the end in {sum(smaller)} of {len(end)} seeds",
        len(end),
        OPEN if len(end) < 2 else HOLDS if all(smaller) else FAILS if not any(smaller) else OPEN,
    )


def _path_figure(results: Results, profile: Profile) -> Figure:
    canvas = Canvas(
        "path", "first layer's gradient norm over the last layer's, by training step", 285
    )
    for index, name in enumerate(NAMES):
        runs = runs_of(results, name, profile)
        steps = [entry["step"] for entry in runs[0]["gradients"]]
        means = [geometric_mean([first_to_last(run, i) for run in runs]) for i in range(len(steps))]
        canvas.axes.plot(steps, means, label=name, **style(index))
    log_y(canvas.axes)
    canvas.axes.set_xscale("symlog", linthresh=1)
    canvas.axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    canvas.axes.axhline(1, color=INK, lw=0.8)
    canvas.axes.set_xlim(left=0)
    canvas.axes.set_xlabel("training step")
    canvas.axes.set_ylabel("first / last gradient norm")
    canvas.axes.grid(axis="y")
    legend(canvas)
    return drawn(
        canvas, "The gradient explodes or vanishes: first layer over last, while training",
        "Above the line at 1 gradients grow towards the input, below it they vanish. Geometric mean "
        "over seeds.",
    )  # fmt: skip


def _layers_figure(results: Results, profile: Profile) -> Figure:
    canvas = Canvas(
        "layers", "gradient norm of every layer, at initialisation and at the last step", 300
    )
    moments = [(name, when) for name in NAMES for when in (0, -1)]
    for index, (name, when) in enumerate(moments):
        mean = layer_means(runs_of(results, name, profile), when)
        label = f"{name}, {'last step' if when else 'start'}"
        canvas.axes.plot(
            range(1, len(mean) + 1), mean, label=label, markevery=(0, max(1, len(mean) // 7)),
            **style(index),
        )  # fmt: skip
    gradient_axes(canvas)
    return drawn(canvas, "Gradient norm by layer", "Of a layer's convolution weights.")


def _factors_figure(law: pd.DataFrame) -> Figure:
    rows = law.to_dict("records")
    named = {f"{row['setting']}, {row['mode']}": row for row in rows}
    factors = {name: row["factor per convolution"] for name, row in named.items()}
    canvas = Canvas(
        "factors", "factor of the gradient law by setting: "
        + "; ".join(f"{name} {factor:.2f}" for name, factor in factors.items()),
        height=75 + 36 * len(law),
    )  # fmt: skip
    axes = canvas.axes
    axes.set_xlim(min(0.85, *law["least"]) - 0.05, max(1.05, *law["largest"]) + 0.12)
    for index, (name, row) in enumerate(named.items()):
        colour = style(0 if "batch" in name else 1)["color"]
        axes.plot([row["least"], row["largest"]], [index, index], color=colour, lw=2)
        face = colour if row["geometric"] else "none"
        axes.plot([factors[name]], [index], "o", ms=7, color=colour, mew=1.6, mfc=face)
        beside = {"xytext": (9, -4), "textcoords": "offset points"}
        canvas.write(row["largest"], index, f"{factors[name]:.2f}", **beside)
        axes.axhline(index + 0.4, color=GRID, lw=0.8)
        place = axes.get_xlim()[0]
        canvas.write(place, index - 0.34, name, fontsize=FONT - 1.5, color=MUTED, va="center")
    axes.axvline(1, color=INK, lw=0.8, zorder=0)
    axes.axvline(0.9, color=INK, lw=1.2, ls=":", zorder=0)
    canvas.write(
        0.9, -0.95, "the sheet: 0.9", ha="right", xytext=(-4, 0), textcoords="offset points"
    )
    axes.set_yticks([])
    axes.set_ylim(len(law) - 0.5, -1.3)
    axes.set_xlabel("factor per convolution, towards the input")
    return drawn(
        canvas, "The gradient law at initialisation: its factor in every setting",
        "Left of the line at 1 gradients vanish, right of it they explode. Settings are the block, "
        "the norm, the initialisation and the mode; blue ones have batch norm. A filled mark follows "
        "a geometric law (R² ≥ 0.95), an empty one does not; bars reach from seed to seed.",
    )  # fmt: skip


def _depth_figure(results: Results, law: pd.DataFrame) -> Figure:
    """The sheet's own setting, and 0.9^depth beside it."""
    found = results[law_key(*SHEET, "train")]
    assert found is not None
    depths = sorted({2 * row["blocks"] for row in found["rows"]})
    canvas = Canvas("depth", "first over last gradient norm at initialisation, by depth", 285)
    means = []
    for depth in depths:
        ratios = [
            r["first"] / max(r["last"], 1e-300) for r in found["rows"] if 2 * r["blocks"] == depth
        ]
        means.append(geometric_mean(ratios))
        canvas.axes.plot([depth] * len(ratios), ratios, ".", color=style(0)["color"], alpha=0.5)
    factor = sheet_row(law)["factor per convolution"]
    canvas.axes.plot(depths, means, label=f"measured: {factor:.3f} per convolution", **style(0))
    canvas.axes.plot(depths, [0.9**d for d in depths], label="the sheet: 0.9^depth", **style(1))
    log_y(canvas.axes)
    canvas.axes.axhline(1, color=INK, lw=0.8)
    canvas.axes.set_xlabel("convolutions")
    canvas.axes.set_ylabel("first / last gradient norm")
    canvas.axes.grid(axis="y")
    legend(canvas, 1)
    return drawn(
        canvas, "The sheet's own setting at initialisation, against its law",
        "Blocks of the sheet with batch norm, PyTorch's initialisation, training mode; dots are seeds.",
    )  # fmt: skip

"""Exercise 5, skip variants: every merge on ResNet-50's skeleton."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from baselines.exercises.jobs import Profile, TrainingJob
from baselines.exercises.page import Figure, Page, drawn
from baselines.exercises.summaries import (
    Results,
    epoch_table,
    epochs_figures,
    final_accuracies,
    gradient_table,
    gradients_figures,
    last_losses,
    learns,
    runs_of,
    scores_figure,
    summary_with_speed,
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
    ended,
    graded,
    more,
)
from nas.architecture.parts import Shape
from nas.drawing.canvas import Canvas
from nas.drawing.series import legend, style
from nas.statistics import interval, mean_std

if TYPE_CHECKING:
    import pandas as pd

IDENTITY = "resnet-50/identity"
SHEET = {
    "resnet-50/channel": "channel weighting: modest improvement (accuracy only)",
    "resnet-50/attention": "attention skip: better (accuracy only)",
    "resnet-50/dense": "dense skip: better feature mixing, slight improvement (accuracy only)",
}
NAMES = (
    IDENTITY, *SHEET, "resnet-50/scale", "resnet-50/se", "resnet-50/gate", "resnet-50/concat",
    "resnet-50/plain",
)  # fmt: skip
GOOD_MARGIN = 0.01
"""Identity is called surprisingly good if no variant is better by more than this."""
NOTES = [
    "Differences are to resnet-50/identity, paired by seed, not corrected for their number. "
    "Variants differ in parameters and MACs (see the table): dense has twice the branches. The "
    "branches of scale have gradient 0 at initialisation, as its α begins at 0; no point is "
    "drawn. A gate that is held has for every image the mean, over images, of each channel."
]


def jobs(profile: Profile, shape: Shape, classes: int) -> list[TrainingJob]:
    return training_jobs(NAMES, profile, shape, classes)


def page(results: Results, profile: Profile, context: Context) -> Page:
    scores = {name: final_accuracies(results, name, profile) for name in NAMES}
    runs = {name: runs_of(results, name, profile) for name in NAMES}
    variants = [name for name in NAMES if name not in (IDENTITY, "resnet-50/plain")]
    epochs = trained(profile)
    losses = {name: last_losses(results, name, profile) for name in NAMES}
    chooses = _selection(runs["resnet-50/attention"])
    better = {
        name: ended(more(text, scores[name], scores[IDENTITY]), context)
        for name, text in SHEET.items()
    }
    good = ended(_surprisingly_good(scores, variants), context)
    learnt = [
        learns(
            f"{name.split('/')[1]} preserves trainability (it learns)",
            losses[name],
            context.classes,
        )
        for name in (IDENTITY, *SHEET)
    ]
    helps = more(
        f"skips of any kind help: identity has the smaller training loss after the same {epochs}",
        losses["resnet-50/plain"], losses[IDENTITY], "",
    )  # fmt: skip
    points = [*better.values(), chooses, good, *learnt, helps]
    return Page(
        "exercise-5",
        "Exercise 5: skip connection variants",
        _conclusion(scores, variants, chooses, profile),
        points,
        _grades(len(variants), good),
        {
            "summary": summary_with_speed(results, NAMES, profile),
            "gates": gate_table(runs),
            "epochs": epoch_table(results, NAMES, profile),
            "gradients": gradient_table(results, NAMES, profile),
        },
        [
            *epochs_figures(results, NAMES, profile, context.classes),
            scores_figure(scores, 1 / context.classes, "Test accuracy after the last epoch"),
            *_gates_figure(runs),
            *gradients_figures(results, NAMES, profile),
        ],
        NOTES,
    )


def _grades(variants: int, good: Point) -> list[Grade]:
    return [
        graded(
            4, 9, "Implements multiple skip variants and compares",
            f"{variants} variants stand beside identity and a network without skips, paired by "
            "seed; identity, channel, attention and dense give the outputs of classes written from "
            "the sheet (tests/baselines/test_exactness.py).",
        ),
        graded(
            5, 10, "Discovers that identity skip is surprisingly good baseline",
            f"no variant is better by {100 * GOOD_MARGIN:.0f} point (third figure).", good,
        ),
    ]  # fmt: skip


def _conclusion(
    scores: dict[str, list[float]], variants: Sequence[str], chooses: Point, profile: Profile
) -> tuple[str, str]:
    top = max(variants, key=lambda n: float(np.mean(scores[n])))
    means = {name: 100 * float(np.mean(s)) for name, s in scores.items()}
    told = {
        HOLDS: "Attention's gates choose by image, as accuracy falls when they are held at their mean",
        FAILS: "Attention's gates do not choose usefully by image, as accuracy rises when they are "
        "held at their mean",
        OPEN: "Whether attention's gates choose by image is not decided",
    }[chooses.verdict]
    return (
        f"After {trained(profile)} identity skips reach {means[IDENTITY]:.1f} % of the "
        f"test images, the best of the {len(variants)} variants ({top.split('/')[1]}) "
        f"{means[top]:.1f} %, and the network without skips {means['resnet-50/plain']:.1f} %.",
        f"{told} ({chooses.measured.split('; gates')[0]}).",
    )


def _selection(runs: Sequence[Mapping[str, Any]]) -> Point:
    """Better feature selection, measured: what is lost if the gates cannot see the image."""
    expected = (
        "attention skip: better feature selection (holding its gates at their mean over images "
        "costs accuracy)"
    )
    found = [run["gates"] for run in runs if run["status"] == "ok"]
    if not found:
        return Point(expected, "all trainings diverged", 0, OPEN)
    point = more(expected, [g["whole"] for g in found], [g["held"] for g in found])
    spreads = ", ".join(
        f"{np.mean([g[f'between_{things}'] for g in found]):.3f} between {things}"
        for things in ("images", "channels")
    )
    measured = (
        f"validation accuracy {point.measured}; gates differ by {spreads} (standard deviation)"
    )
    return replace(point, measured=measured)


def gate_table(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> pd.DataFrame:
    """A row a seed of every variant with gates."""
    import pandas as pd

    rows = [
        {"baseline": name, "seed": run["seed"], **{k.replace("_", " "): v for k, v in run["gates"].items()}}
        for name, found in runs.items()
        for run in found
        if "gates" in run
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _gates_figure(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Figure]:
    table = gate_table(runs)
    if table.empty:
        return []
    title = "Accuracy with gates as they are, and held at their mean"
    names = list(dict.fromkeys(table["baseline"]))
    canvas = Canvas("gates", f"{title}, of {', '.join(names)}", height=285)
    for index, name in enumerate(names):
        rows = table[table["baseline"] == name]
        for seed, row in enumerate(rows.to_dict("records")):
            canvas.axes.plot(
                [2.5 * index, 2.5 * index + 1], [100 * row["whole"], 100 * row["held"]],
                **{**style(index), "lw": 1}, label="" if seed else name.split("/")[1],
            )  # fmt: skip
    places = [2.5 * index + side for index in range(len(names)) for side in (0, 1)]
    canvas.axes.set_xticks(places, ["as they are", "held"] * len(names))
    canvas.axes.set_xlim(places[0] - 0.5, places[-1] + 0.5)
    canvas.axes.set_ylabel("validation accuracy, %")
    canvas.axes.grid(axis="y")
    legend(canvas)
    note = "A line is a seed. Where it falls, the gates' choice by image was worth something."
    return [drawn(canvas, title, note)]


def _surprisingly_good(scores: dict[str, list[float]], variants: list[str]) -> Point:
    """No variant better by more than a point: each 95 % interval, corrected, ends below it."""
    level = 1 - 0.05 / len(variants)
    bounds = {n: interval(np.subtract(scores[n], scores[IDENTITY]), level) for n in variants}
    top = max(variants, key=lambda n: float(np.mean(scores[n])))
    low, high = bounds[top]
    if all(bound[1] < GOOD_MARGIN for bound in bounds.values()):
        verdict = HOLDS
    elif any(bound[0] > GOOD_MARGIN for bound in bounds.values()):
        verdict = FAILS
    else:
        verdict = OPEN
    delta = float(np.mean(np.subtract(scores[top], scores[IDENTITY])))
    return Point(
        f"identity is a surprisingly good baseline (no variant better by {100 * GOOD_MARGIN:.0f} point)",
        f"identity {mean_std(scores[IDENTITY])}; best variant {top.split('/')[1]} "
        f"{mean_std(scores[top])}, {100 * delta:+.2f}, {100 * level:.1f} % interval "
        f"[{100 * low:.2f}, {100 * high:.2f}] (Bonferroni over {len(variants)} variants)",
        len(scores[IDENTITY]),
        verdict,
    )

"""Exercise 5, skip variants: every merge on ResNet-50's skeleton."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from baselines.exercises.jobs import TrainingJob
from baselines.exercises.profiles import Profile
from baselines.exercises.summaries import (
    COLOURS,
    Results,
    epoch_table,
    epochs_to,
    final_accuracies,
    gradient_table,
    plot_epochs,
    plot_gradients,
    runs_of,
    summary,
    training_jobs,
)
from baselines.exercises.verdicts import (
    FAILS,
    HOLDS,
    OPEN,
    Context,
    Page,
    Point,
    converged,
    every,
    more,
)
from nas.architecture.parts import Shape
from nas.statistics import interval, mean_std

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IDENTITY = "resnet-50/identity"
SHEET = {
    "resnet-50/channel": "channel weighting: modest improvement",
    "resnet-50/attention": "attention skip: better feature selection",
    "resnet-50/dense": "dense skip: better feature mixing, slight improvement",
}
NAMES = (
    IDENTITY, *SHEET, "resnet-50/scale", "resnet-50/se", "resnet-50/gate", "resnet-50/concat",
    "resnet-50/plain",
)  # fmt: skip
GOOD_MARGIN = 0.01
"""Identity is called surprisingly good if no variant is better by more than this."""


def jobs(profile: Profile, shape: Shape, classes: int) -> list[TrainingJob]:
    return training_jobs(NAMES, profile, shape, classes)


def page(results: Results, profile: Profile, context: Context) -> Page:
    scores = {name: final_accuracies(results, name, profile) for name in NAMES}
    runs = {name: runs_of(results, name, profile) for name in NAMES}
    variants = [name for name in NAMES if name not in (IDENTITY, "resnet-50/plain")]
    best = max(float(np.mean(s)) for s in scores.values())
    table = summary(results, NAMES, profile)
    table["epochs to 90 % of the best"] = [
        float(np.mean([epochs_to(run, 0.9 * best) for run in runs[name]])) for name in NAMES
    ]
    chance = 1 / context.classes
    trainable = [
        run["status"] == "ok" and run["test_accuracy"] > 2 * chance
        for name in (IDENTITY, *SHEET)
        for run in runs[name]
    ]
    points = [
        *[
            converged(more(text, scores[name], scores[IDENTITY]), context)
            for name, text in SHEET.items()
        ],
        converged(_surprisingly_good(scores, variants), context),
        every("all variations preserve trainability (twice chance or better)", trainable, "trainings"),
        more("skips of any kind help (identity over no skips)", scores[IDENTITY], scores["resnet-50/plain"]),
    ]  # fmt: skip
    notes = [
        "Differences are to resnet-50/identity, paired by seed, not corrected for their number. "
        "Variants differ in parameters and MACs (see the table): dense has twice the branches. The "
        "branches of scale have gradient 0 at initialisation, as its α begins at 0; no point is drawn."
    ]
    return Page(
        "exercise-5",
        "Exercise 5: skip connection variants",
        points,
        {
            "summary": table,
            "epochs": epoch_table(results, NAMES, profile),
            "gradients": gradient_table(results, NAMES, profile),
        },
        {"curves": _figure(results, scores, profile)},
        notes,
    )


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


def _figure(results: Results, scores: dict[str, list[float]], profile: Profile) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 8.5), layout="constrained")
    axes = figure.subplots(2, 2)
    plot_epochs(axes[0, 0], results, NAMES, profile, "validation_accuracy")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=9)
    for index, name in enumerate(NAMES):
        found = 100 * np.array(scores[name])
        error = found.std(ddof=1) if len(found) > 1 else 0
        axes[0, 1].errorbar(
            found.mean(), index, xerr=error, fmt="o", color=COLOURS[index], capsize=4
        )
        axes[0, 1].plot(found, [index] * len(found), ".", color=COLOURS[index], alpha=0.4)
    axes[0, 1].axvline(100 * np.mean(scores[IDENTITY]), color="black", lw=0.8, ls=":")
    axes[0, 1].set_yticks(range(len(NAMES)), [name.split("/")[1] for name in NAMES])
    axes[0, 1].invert_yaxis()
    axes[0, 1].set_xlabel("test accuracy (%), seeds, mean ± std")
    axes[0, 1].grid(alpha=0.3)
    for column, (when, title) in enumerate(((0, "at initialisation"), (-1, "at the last step"))):
        plot_gradients(axes[1, column], results, NAMES, profile, when)
        axes[1, column].set_title(title, fontsize=10)
    return figure

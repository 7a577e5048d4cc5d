"""Exercise 4, very deep networks: ResNet-50, 101 and 152."""

from __future__ import annotations

from itertools import pairwise
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
    plot_epochs,
    runs_of,
    summary,
    training_jobs,
)
from baselines.exercises.verdicts import Context, Page, absolute, converged, every, more
from nas.architecture.parts import Shape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = ("resnet-50", "resnet-101", "resnet-152")


def jobs(profile: Profile, shape: Shape, classes: int) -> list[TrainingJob]:
    return training_jobs(NAMES, profile, shape, classes)


def page(results: Results, profile: Profile, context: Context) -> Page:
    scores = {name: final_accuracies(results, name, profile) for name in NAMES}
    runs = {name: runs_of(results, name, profile) for name in NAMES}
    seconds = {name: [run["train_seconds"] for run in found] for name, found in runs.items()}
    expected = {"resnet-50": 0.80, "resnet-101": 0.82, "resnet-152": 0.83}
    best = max(float(np.mean(s)) for s in scores.values())
    table = summary(results, NAMES, profile)
    table["epochs to 90 % of the best"] = [
        float(np.mean([epochs_to(run, 0.9 * best) for run in runs[name]])) for name in NAMES
    ]
    fell = [
        run["status"] == "ok" and run["train_loss"][-1] < 0.6 * run["train_loss"][0]
        for found in runs.values()
        for run in found
    ]
    points = [
        *[
            absolute(f"{name}: about {100 * target:.0f} %", target, scores[name], context)
            for name, target in expected.items()
        ],
        *[
            converged(more(f"{deep} is more accurate than {less}", scores[deep], scores[less]), context)
            for less, deep in pairwise(NAMES)
        ],
        more(
            "deeper is slower (seconds a training, ResNet-152 over ResNet-50)",
            seconds["resnet-152"], seconds["resnet-50"], "s",
        ),
        every(
            "all converge smoothly (training loss falls by 40 % or more, none diverges)",
            fell, "trainings",
        ),
    ]  # fmt: skip
    return Page(
        "exercise-4",
        "Exercise 4: scaling to very deep networks",
        points,
        {"summary": table, "epochs": epoch_table(results, NAMES, profile)},
        {"curves": _figure(results, scores, seconds, profile)},
        ["Layers are counted as in the names: three convolutions a block, the stem, and the head."],
    )


def _figure(
    results: Results,
    scores: dict[str, list[float]],
    seconds: dict[str, list[float]],
    profile: Profile,
) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7.5), layout="constrained")
    axes = figure.subplots(2, 2)
    plot_epochs(axes[0, 0], results, NAMES, profile, "train_loss")
    plot_epochs(axes[0, 1], results, NAMES, profile, "validation_accuracy")
    axes[0, 0].legend(fontsize=8)
    depths = [int(name.split("-")[1]) for name in NAMES]
    panels = (
        (axes[1, 0], scores, 100, "test accuracy (%)"),
        (axes[1, 1], seconds, 1, "seconds a training"),
    )
    for panel, values, scale, label in panels:
        for index, (depth, name) in enumerate(zip(depths, NAMES, strict=True)):
            found = scale * np.array(values[name])
            error = found.std(ddof=1) if len(found) > 1 else 0
            panel.errorbar(depth, found.mean(), error, fmt="o", color=COLOURS[index], capsize=5)
            panel.plot([depth] * len(found), found, ".", color=COLOURS[index], alpha=0.4)
        panel.set_xticks(depths)
        panel.set_xlabel("layers")
        panel.set_ylabel(f"{label}, mean ± std")
        panel.grid(alpha=0.3)
    return figure

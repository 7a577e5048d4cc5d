"""Exercise 4, very deep networks: ResNet-50, 101 and 152."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from baselines.exercises.jobs import Profile, TrainingJob
from baselines.exercises.page import Figure, Page, drawn
from baselines.exercises.summaries import (
    Results,
    epoch_table,
    epochs_figures,
    final_accuracies,
    last_losses,
    learns,
    runs_of,
    summary_with_speed,
    trained,
    training_jobs,
)
from baselines.exercises.verdicts import (
    FAILS,
    HOLDS,
    Context,
    Grade,
    Point,
    absolute,
    ended,
    every,
    graded,
    more,
)
from baselines.networks import BASELINES
from nas.architecture.parts import Shape
from nas.architecture.plan import plan
from nas.drawing.canvas import Canvas
from nas.drawing.series import style

EXPECTED = {"resnet-50": 0.80, "resnet-101": 0.82, "resnet-152": 0.83}
NAMES = tuple(EXPECTED)


def jobs(profile: Profile, shape: Shape, classes: int) -> list[TrainingJob]:
    return training_jobs(NAMES, profile, shape, classes)


def page(results: Results, profile: Profile, context: Context) -> Page:
    scores = {name: final_accuracies(results, name, profile) for name in NAMES}
    runs = {name: runs_of(results, name, profile) for name in NAMES}
    seconds = {name: [run["train_seconds"] for run in found] for name, found in runs.items()}
    losses = [loss for name in NAMES for loss in last_losses(results, name, profile)]
    fell = [
        run["status"] == "ok" and run["train_loss"][-1] < 0.6 * run["train_loss"][0]
        for found in runs.values()
        for run in found
    ]
    orders = [
        ended(more(f"{deep} is more accurate than {less}", scores[deep], scores[less]), context)
        for less, deep in pairwise(NAMES)
    ]
    converge = ended(
        every(
            "all converge smoothly (training loss falls by 40 % or more, none diverges)",
            fell, "trainings",
        ),
        context,
    )  # fmt: skip
    slower = more(
        "deeper is slower (seconds a training, ResNet-152 over ResNet-50)",
        seconds["resnet-152"], seconds["resnet-50"], "s",
    )  # fmt: skip
    points = [
        *[absolute(f"{name}: about {100 * target:.0f} %", target, scores[name], context)
          for name, target in EXPECTED.items()],
        *orders,
        converge,
        learns("all depths learn", losses, context.classes),
        slower,
    ]  # fmt: skip
    return Page(
        "exercise-4",
        "Exercise 4: scaling to very deep networks",
        _conclusion(scores, points[-2], orders, seconds, profile),
        points,
        _grades(fell, converge, orders),
        {
            "summary": summary_with_speed(results, NAMES, profile),
            "epochs": epoch_table(results, NAMES, profile),
        },
        [
            *epochs_figures(results, NAMES, profile, context.classes),
            _depths("accuracy", "Test accuracy by depth", scores, 100, "test accuracy, %"),
            _depths("seconds", "Time by depth", seconds, 1, "seconds a training"),
        ],
        ["Layers are counted as in the names: three convolutions a block, the stem, and the head."],
    )


def _grades(fell: Sequence[bool], converge: Point, orders: Sequence[Point]) -> list[Grade]:
    sizes = [plan(BASELINES[n].genome, BASELINES[n].skeleton).params for n in NAMES]
    return [
        graded(
            4, 8, "Implements bottleneck blocks and builds deep ResNets",
            f"at full width they have {sizes[0]:,}, {sizes[1]:,} and {sizes[2]:,} parameters, and give "
            "the outputs of the sheet's own classes from the same weights "
            "(tests/baselines/test_exactness.py).",
        ),
        graded(
            4, 9, "Trains multiple depths and shows all converge",
            f"{sum(fell)} of {len(fell)} trainings converge (first figure).", converge,
        ),
        graded(
            5, 10, "Shows accuracy improves with depth (up to ~152 layers)",
            "accuracy rises from 50 to 101 to 152 layers (third figure).", *orders,
        ),
    ]  # fmt: skip


def _conclusion(
    scores: dict[str, list[float]],
    learnt: Point,
    orders: Sequence[Point],
    seconds: dict[str, list[float]],
    profile: Profile,
) -> tuple[str, str]:
    told = {HOLDS: "All three depths learn", FAILS: "Not all three depths learn"}
    verdicts = {point.verdict for point in orders}
    order = (
        "accuracy improves with depth" if verdicts == {HOLDS}
        else "accuracy does not improve with depth" if FAILS in verdicts
        else "whether accuracy improves with depth is not decided by this training"
    )  # fmt: skip
    reached = ", ".join(f"{name} {100 * np.mean(s):.1f} %" for name, s in scores.items())
    ratio = np.mean(seconds["resnet-152"]) / np.mean(seconds["resnet-50"])
    return (
        f"{told.get(learnt.verdict, 'It is not decided whether all depths learn')}, and a training "
        f"of ResNet-152 takes {ratio:.1f} times the seconds of ResNet-50's.",
        f"After {trained(profile)} the test accuracies are {reached}; {order}.",
    )


def _depths(
    name: str, title: str, values: dict[str, list[float]], scale: float, label: str
) -> Figure:
    depths = [int(n.split("-")[1]) for n in NAMES]
    means = [scale * np.mean(values[n]) for n in NAMES]
    told = ", ".join(f"{n} {mean:.4g}" for n, mean in zip(NAMES, means, strict=True))
    canvas = Canvas(name, f"{title}: {told}")
    for index, (depth, n) in enumerate(zip(depths, NAMES, strict=True)):
        found = scale * np.array(values[n])
        spread = found.std(ddof=1) if len(found) > 1 else 0
        look = style(index)
        canvas.axes.errorbar(
            depth, found.mean(), spread, fmt=look["marker"], color=look["color"], capsize=5
        )
        canvas.axes.plot([depth] * len(found), found, ".", color=look["color"], alpha=0.45)
        canvas.write(
            depth, found.mean(), f"{found.mean():.1f}", xytext=(8, 3), textcoords="offset points"
        )
    canvas.axes.set_xticks(depths)
    canvas.axes.set_xlim(depths[0] - 12, depths[-1] + 22)
    canvas.axes.set_xlabel("layers")
    canvas.axes.set_ylabel(label)
    canvas.axes.grid(axis="y")
    return drawn(
        canvas, title, "Dots are seeds; the mark is their mean, the bar one standard deviation."
    )

"""Exercise 2, skip connections: plain against residual networks, and very deep residual ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from baselines.exercises.jobs import TrainingJob
from baselines.exercises.profiles import Profile
from baselines.exercises.summaries import (
    COLOURS,
    Results,
    deep_job,
    epoch_table,
    final_accuracies,
    first_to_last,
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
    absolute,
    converged,
    more,
)
from nas.architecture.parts import Shape
from nas.statistics import geometric_mean, interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = ("resnet-56", "plain-56", "plain-28", "resnet-56/plain", "resnet-110")
DEEP = ("resnet-1202",)


def jobs(profile: Profile, shape: Shape, classes: int) -> list[TrainingJob]:
    deep = [deep_job(name, profile, shape, classes) for name in DEEP]
    return [*training_jobs(NAMES, profile, shape, classes), *deep]


def page(results: Results, profile: Profile, context: Context) -> Page:
    scores = {name: final_accuracies(results, name, profile) for name in NAMES}
    residual = scores["resnet-56"]
    points = [
        absolute("plain, 56 layers: about 65 %", 0.65, scores["plain-56"], context),
        absolute("ResNet, 56 layers: about 85 %", 0.85, residual, context),
        more(
            "ResNet-56 beats the plain network, as on the sheet (56 convolutions against 112)",
            residual, scores["plain-56"],
        ),
        more(
            "the same, matched in depth and parameters (plain-28)", residual, scores["plain-28"]
        ),
        more(
            "the same, fully matched (resnet-56/plain: its ReLUs too)",
            residual, scores["resnet-56/plain"],
        ),
        _gradient_flow(results, profile),
        converged(
            more("deeper networks get better (resnet-110 over resnet-56)", scores["resnet-110"], residual),
            context,
        ),
        *[_deep(results, name, context.classes) for name in DEEP],
    ]  # fmt: skip
    notes = [
        "The sheet's plain network of depth 56 has 56 blocks and 4.16 M parameters at full width, its "
        "ResNet of depth 56 has 28 blocks and 2.09 M: the literal comparison confounds skips with "
        "depth. plain-28 has the ResNet's blocks and parameters, but no ReLU at a block's end; "
        "resnet-56/plain differs from resnet-56 by its skips alone.",
    ]
    return Page(
        "exercise-2",
        "Exercise 2: skip connections",
        points,
        {
            "summary": summary(results, NAMES, profile),
            "epochs": epoch_table(results, NAMES, profile),
            "gradients": gradient_table(results, NAMES, profile),
        },
        {"curves": _figure(results, profile, context)},
        notes,
    )


def _gradient_flow(results: Results, profile: Profile) -> Point:
    """Preserved: the ratio of first to last gradient is nearer to 1 with skips than without."""
    runs = {n: runs_of(results, n, profile) for n in ("resnet-56", "resnet-56/plain")}
    ratios = {n: [first_to_last(run, 0) for run in found] for n, found in runs.items()}
    ends = {n: [first_to_last(run, -1) for run in found] for n, found in runs.items()}
    distance = {n: np.abs(np.log10(np.maximum(r, 1e-300))) for n, r in ratios.items()}
    point = more("", distance["resnet-56/plain"], distance["resnet-56"], "")
    text = "; ".join(
        f"{n}: {geometric_mean(ratios[n]):.3g} at initialisation, {geometric_mean(ends[n]):.3g} at the end"
        for n in runs
    )
    return Point(
        "gradient flow is preserved with skips (first/last nearer to 1, at initialisation)",
        f"first/last {text}", point.n, point.verdict,
    )  # fmt: skip


def _deep(results: Results, name: str, classes: int) -> Point:
    found = results[f"{name} few steps"]
    assert found is not None
    losses = found["step_loss"]
    part = max(1, len(losses) // 5)
    first, last = float(np.mean(losses[:part])), float(np.mean(losses[-part:]))
    chance = math.log(classes)
    diverged = found["status"] != "ok"
    learnt = interval(losses[-part:])[1] < chance
    verdict = FAILS if diverged else HOLDS if learnt else OPEN
    return Point(
        f"skips enable 100+ and 1,000+ layers ({name}: {found['layers']} layers, "
        f"{found['convolutions']} convolutions)",
        f"training loss {first:.3f} over the first {part} steps, {last:.3f} over the last {part} of "
        f"{len(losses)}; guessing gives {chance:.3f}",
        1,
        verdict,
    )


def _figure(results: Results, profile: Profile, context: Context) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 8), layout="constrained")
    axes = figure.subplots(2, 3)
    plot_epochs(axes[0, 0], results, NAMES, profile, "train_loss")
    plot_epochs(axes[0, 1], results, NAMES, profile, "validation_accuracy")
    axes[0, 0].legend(fontsize=8)
    for index, name in enumerate(NAMES):
        scores = 100 * np.array(final_accuracies(results, name, profile))
        error = scores.std(ddof=1) if len(scores) > 1 else 0
        axes[0, 2].bar(index, scores.mean(), yerr=error, color=COLOURS[index], capsize=4)
    axes[0, 2].set_xticks(range(len(NAMES)), NAMES, rotation=25, ha="right", fontsize=8)
    axes[0, 2].set_ylabel("test accuracy (%), mean ± std")
    plot_gradients(axes[1, 0], results, NAMES, profile, 0)
    axes[1, 0].set_title("at initialisation", fontsize=10)
    plot_gradients(axes[1, 1], results, NAMES, profile, -1)
    axes[1, 1].set_title("at the last step", fontsize=10)
    for name, colour in zip(DEEP, COLOURS, strict=False):
        found = results[f"{name} few steps"]
        assert found is not None
        losses = np.array(found["step_loss"])
        axes[1, 2].plot(range(1, len(losses) + 1), losses, color=colour, alpha=0.35)
        width = max(1, len(losses) // 10)
        smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
        label = f"{name} ({found['layers']} layers)"
        axes[1, 2].plot(range(width, len(losses) + 1), smooth, color=colour, label=label)
        chance = math.log(context.classes)
        axes[1, 2].axhline(chance, color="black", ls=":", lw=1, label="guessing")
    axes[1, 2].set_xlabel("step")
    axes[1, 2].set_ylabel("training loss")
    axes[1, 2].legend(fontsize=8)
    axes[1, 2].grid(alpha=0.3)
    return figure

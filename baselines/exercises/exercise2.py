"""Exercise 2, skip connections: plain against residual networks, and very deep residual ones."""

from __future__ import annotations

import math

import numpy as np

from baselines.exercises.jobs import Profile, TrainingJob
from baselines.exercises.page import Figure, Page, drawn
from baselines.exercises.summaries import (
    Results,
    deep_job,
    epoch_table,
    epochs_figures,
    final_accuracies,
    first_to_last,
    gradient_table,
    gradients_figures,
    last_losses,
    learns,
    runs_of,
    scores_figure,
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
from nas.drawing.canvas import INK, Canvas
from nas.drawing.series import legend, log_y, style
from nas.statistics import geometric_mean, interval, significant

PLAIN = {
    "plain-56": "the plain network, as on the sheet (56 convolutions against 112)",
    "plain-28": "a plain network of the same depth and parameters (plain-28)",
    "resnet-56/plain": "itself without skips (resnet-56/plain: its ReLUs too)",
}
NAMES = ("resnet-56", *PLAIN, "resnet-110")
DEEP = ("resnet-1202",)
NOTES = [
    "The sheet's plain network of depth 56 has 56 blocks and 4.16 M parameters at full width, its "
    "ResNet of depth 56 has 28 blocks and 2.09 M: the literal comparison confounds skips with "
    "depth. plain-28 has the ResNet's blocks and parameters, but no ReLU at a block's end; "
    "resnet-56/plain differs from resnet-56 by its skips alone.",
]


def jobs(profile: Profile, shape: Shape, classes: int) -> list[TrainingJob]:
    deep = [deep_job(name, profile, shape, classes) for name in DEEP]
    return [*training_jobs(NAMES, profile, shape, classes), *deep]


def page(results: Results, profile: Profile, context: Context) -> Page:
    scores = {name: final_accuracies(results, name, profile) for name in NAMES}
    losses = {name: last_losses(results, name, profile) for name in NAMES}
    residual, epochs = scores["resnet-56"], trained(profile)
    easier = {
        name: more(
            f"ResNet-56 trains more easily than {text}: its training loss is the smaller after the "
            f"same {epochs}", losses[name], losses["resnet-56"], "",
        )
        for name, text in PLAIN.items()
    }  # fmt: skip
    flow = _gradient_flow(results, profile)
    hundred = learns(
        "skips enable 100+ layers (resnet-110 learns)", losses["resnet-110"], context.classes
    )
    thousand = [_deep(results, name, context.classes) for name in DEEP]
    points = [
        absolute("plain, 56 layers: about 65 %", 0.65, scores["plain-56"], context),
        absolute("ResNet, 56 layers: about 85 %", 0.85, residual, context),
        *[
            ended(more(f"ResNet-56 is more accurate than {text}", residual, scores[name]), context)
            for name, text in PLAIN.items()
        ],
        *easier.values(),
        flow,
        ended(
            more("deeper networks get better (resnet-110 over resnet-56)", scores["resnet-110"], residual),
            context,
        ),
        hundred,
        *thousand,
    ]  # fmt: skip
    return Page(
        "exercise-2",
        "Exercise 2: skip connections",
        _conclusion(scores, easier["resnet-56/plain"], thousand[-1], profile),
        points,
        _grades(list(easier.values()), flow, [hundred, *thousand]),
        {
            "summary": summary(results, NAMES, profile),
            "epochs": epoch_table(results, NAMES, profile),
            "gradients": gradient_table(results, NAMES, profile),
        },
        [
            *epochs_figures(results, NAMES, profile, context.classes),
            scores_figure(scores, 1 / context.classes, "Test accuracy after the last epoch"),
            *[_deep_figure(results, name, context) for name in DEEP],
            *gradients_figures(results, NAMES, profile),
        ],
        NOTES,
    )


def _grades(easier: list[Point], flow: Point, deep: list[Point]) -> list[Grade]:
    return [
        graded(
            4, 8, "Correctly implements ResNet blocks and shows improvement",
            "the blocks give the outputs of the sheet's own classes from the same weights "
            "(tests/baselines/test_exactness.py), and the loss of resnet-56 falls below that of "
            "every network without skips (first figure).", *easier,
        ),
        graded(
            4, 9, "Compares gradient flow between plain and ResNet",
            "gradient norms by layer stand in two figures, at initialisation and at the last step.",
            flow,
        ),
        graded(
            5, 10, "Shows that ResNet enables much deeper networks (100+) layers",
            "resnet-110 and resnet-1202 learn (the rows about 100+ and 1,000+ layers). That deeper "
            "ones are the more accurate is another row.", *deep,
        ),
    ]  # fmt: skip


def _conclusion(
    scores: dict[str, list[float]], easier: Point, deep: Point, profile: Profile
) -> tuple[str, str]:
    told = {
        HOLDS: "Skips make the same network easier to train",
        FAILS: "Skips do not make the same network easier to train",
        OPEN: "It is not decided whether skips make the same network easier to train",
    }[easier.verdict]
    with_skips, without = (100 * np.mean(scores[n]) for n in ("resnet-56", "resnet-56/plain"))
    thousand = {HOLDS: "begins to learn", FAILS: "does not learn"}.get(deep.verdict, "may learn")
    return (
        f"{told}: after the same {trained(profile)} resnet-56 classifies "
        f"{with_skips:.1f} % of the test images, and without its skips {without:.1f} %.",
        f"With skips a network of 1,202 convolutions {thousand} within {profile.deep_steps} steps, "
        f"while resnet-110 has {100 * np.mean(scores['resnet-110']):.1f} % after these epochs.",
    )


def _gradient_flow(results: Results, profile: Profile) -> Point:
    """Preserved: the ratio of first to last gradient is nearer to 1 with skips than without."""
    runs = {n: runs_of(results, n, profile) for n in ("resnet-56", "resnet-56/plain")}
    ratios = {n: [first_to_last(run, 0) for run in found] for n, found in runs.items()}
    ends = {n: [first_to_last(run, -1) for run in found] for n, found in runs.items()}
    distance = {n: np.abs(np.log10(np.maximum(r, 1e-300))) for n, r in ratios.items()}
    point = more("", distance["resnet-56/plain"], distance["resnet-56"], "")
    text = "; ".join(
        f"{n}: {significant(geometric_mean(ratios[n]))} at initialisation, {significant(geometric_mean(ends[n]))} at the end"
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
        f"skips enable 1,000+ layers ({name} learns: {found['layers']} layers, "
        f"{found['convolutions']} convolutions)",
        f"training loss {first:.3f} over the first {part} steps, {last:.3f} over the last {part} of "
        f"{len(losses)}; guessing gives {chance:.3f}",
        1,
        verdict,
    )


def _deep_figure(results: Results, name: str, context: Context) -> Figure:
    found = results[f"{name} few steps"]
    assert found is not None
    losses = np.array(found["step_loss"])
    canvas = Canvas("deep", f"training loss of {name} by step", 285)
    width = max(1, len(losses) // 10)
    smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
    colour = style(0)["color"]
    canvas.axes.plot(
        range(1, len(losses) + 1), losses, color=colour, alpha=0.35, label="every step"
    )
    canvas.axes.plot(
        range(width, len(losses) + 1), smooth, color=colour, lw=2, label=f"mean of {width} steps"
    )
    chance = math.log(context.classes)
    canvas.axes.axhline(chance, color=INK, ls=":", lw=1.2, label=f"guessing, {chance:.2f}")
    log_y(canvas.axes)
    canvas.axes.set_xlabel("step")
    canvas.axes.set_ylabel("training loss")
    canvas.axes.grid(axis="y")
    legend(canvas)
    return drawn(canvas, f"{found['convolutions']:,} convolutions: {name} step by step")

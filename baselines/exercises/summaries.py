"""What several exercises do with their trainings: select, tabulate, draw."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from baselines.exercises.jobs import Profile, TrainingJob
from baselines.exercises.page import Figure, drawn
from baselines.exercises.verdicts import FAILS, Point, decided
from baselines.networks import BASELINES
from nas.architecture.parts import Shape
from nas.drawing.canvas import FONT, MUTED, Canvas
from nas.drawing.series import legend, line, log_y, style, window
from nas.statistics import Values, geometric_mean, interval, mean_std

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

DEEP_LEARNING_RATE = 0.005
"""A thousand layers want small steps at first."""
Results = Mapping[str, Mapping[str, Any] | None]


def training_jobs(
    names: Sequence[str], profile: Profile, shape: Shape, classes: int, features: bool = False
) -> list[TrainingJob]:
    """A training of every named baseline for every seed, on the data's shape and classes."""
    jobs = []
    for name in names:
        baseline = BASELINES[name].narrowed(profile.width_divisor)
        skeleton = baseline.skeleton.for_data(shape, classes)
        for seed in range(profile.seeds):
            jobs.append(
                TrainingJob(
                    0, key(name, seed), baseline.genome, skeleton, profile.proxy, seed, features
                )
            )
    return jobs


def deep_job(name: str, profile: Profile, shape: Shape, classes: int) -> TrainingJob:
    """The first steps of a very deep baseline."""
    baseline = BASELINES[name].narrowed(profile.deep_divisor)
    proxy = replace(profile.proxy, batch=profile.deep_batch, learning_rate=DEEP_LEARNING_RATE)
    return TrainingJob(
        0, f"{name} few steps", baseline.genome, baseline.skeleton.for_data(shape, classes),
        proxy, 0, steps=profile.deep_steps,
    )  # fmt: skip


def key(name: str, seed: int) -> str:
    return f"{name} seed {seed}"


def runs_of(results: Results, name: str, profile: Profile) -> list[Mapping[str, Any]]:
    """A baseline's results by seed."""
    found = [results[key(name, seed)] for seed in range(profile.seeds)]
    return [result for result in found if result is not None]


def final_accuracies(results: Results, name: str, profile: Profile) -> list[float]:
    return [run["test_accuracy"] for run in runs_of(results, name, profile)]


def first_to_last(run: Mapping[str, Any], when: int) -> float:
    """First layer's gradient norm over the last's at the `when`-th watched step; nan if one is 0."""
    norms = run["gradients"][when]["norms"]
    return norms[0] / norms[-1] if norms[0] and norms[-1] else float("nan")


def padded(run: Mapping[str, Any], name: str, epochs: int) -> list[float]:
    """An epoch curve; epochs that a diverged training did not reach are nan."""
    values = list(run[name])
    return values + [float("nan")] * (epochs - len(values))


def epochs_to(run: Mapping[str, Any], target: float) -> float:
    """Epochs until the validation accuracy first reaches a target, interpolated; inf if never."""
    before = 0.0
    for epoch, value in enumerate(run["validation_accuracy"], 1):
        if value >= target:
            step = (target - before) / (value - before) if value > before else 1.0
            return epoch - 1 + step
        before = value
    return float("inf")


def summary(results: Results, names: Sequence[str], profile: Profile) -> pd.DataFrame:
    """A row a baseline: sizes, accuracy, loss, gradients, time, over seeds."""
    import pandas as pd

    rows = []
    for name in names:
        runs = runs_of(results, name, profile)
        accuracy = np.array([run["test_accuracy"] for run in runs])
        ok = [run for run in runs if run["status"] == "ok"]
        rows.append(
            {
                "baseline": name,
                "layers": runs[0]["layers"],
                "convolutions": runs[0]["convolutions"],
                "params": runs[0]["params"],
                "MACs": runs[0]["macs"],
                "n": len(runs),
                "diverged": len(runs) - len(ok),
                "test accuracy mean": accuracy.mean(),
                "test accuracy std": accuracy.std(ddof=1) if len(accuracy) > 1 else float("nan"),
                "last training loss": np.mean([run["train_loss"][-1] for run in runs]),
                "first/last gradient at init": geometric_mean([first_to_last(r, 0) for r in runs]),
                "first/last gradient at end": geometric_mean([first_to_last(r, -1) for r in runs]),
                "seconds": np.mean([run["train_seconds"] for run in runs]),
            }
        )
    return pd.DataFrame(rows)


def summary_with_speed(results: Results, names: Sequence[str], profile: Profile) -> pd.DataFrame:
    """The same, with how soon each comes near the best of them."""
    table = summary(results, names, profile)
    target = 0.9 * float(table["test accuracy mean"].max())
    table["epochs to 90 % of the best"] = [
        float(np.mean([epochs_to(run, target) for run in runs_of(results, name, profile)]))
        for name in names
    ]
    return table


def epoch_table(results: Results, names: Sequence[str], profile: Profile) -> pd.DataFrame:
    """A row an epoch, seed and baseline."""
    import pandas as pd

    rows = []
    for name in names:
        for run in runs_of(results, name, profile):
            losses = run["train_loss"]
            for epoch, loss in enumerate(losses, 1):
                reached = epoch <= len(run["validation_accuracy"])
                score = run["validation_accuracy"][epoch - 1] if reached else float("nan")
                rows.append(
                    {"baseline": name, "seed": run["seed"], "epoch": epoch, "training loss": loss, "validation accuracy": score}
                )  # fmt: skip
    return pd.DataFrame(rows)


def gradient_table(results: Results, names: Sequence[str], profile: Profile) -> pd.DataFrame:
    """A row a layer, watched step, seed and baseline."""
    import pandas as pd

    rows = [
        {"baseline": name, "seed": run["seed"], "step": entry["step"], "layer": layer, "norm": norm}
        for name in names
        for run in runs_of(results, name, profile)
        for entry in run["gradients"]
        for layer, norm in enumerate(entry["norms"], 1)
    ]
    return pd.DataFrame(rows)


def layer_means(runs: Sequence[Mapping[str, Any]], when: int) -> list[float]:
    """Geometric mean over seeds of every layer's gradient norm at a watched step; nan where 0."""
    columns = zip(*(run["gradients"][when]["norms"] for run in runs), strict=True)
    return [geometric_mean(column) for column in columns]


def trained(profile: Profile) -> str:
    """How long trainings are: `5 epochs`."""
    epochs = profile.proxy.epochs
    return f"{epochs} epoch{'' if epochs == 1 else 's'}"


def last_losses(results: Results, name: str, profile: Profile) -> list[float]:
    """Mean training loss of the last epoch, by seed."""
    return [run["train_loss"][-1] for run in runs_of(results, name, profile)]


def learns(expected: str, losses: Values, classes: int) -> Point:
    """The claim that training losses come to lie below that of guessing, ln(classes)."""
    chance = math.log(classes)
    low, high = interval(losses)
    measured = (
        f"training loss {mean_std(losses, '')} in the end, 95 % interval [{low:.2f}, {high:.2f}]; "
        f"guessing gives {chance:.2f}"
    )
    verdict = decided(-high, -low, -chance) if np.isfinite(losses).all() else FAILS
    return Point(expected, measured, len(losses), verdict)


def guessing(axes: Axes, chance: float) -> None:
    """Chance as a line, in percent."""
    axes.axhline(100 * chance, color=MUTED, lw=1, ls=":", label=f"guessing, {100 * chance:.0f} %")


def epochs_figure(
    results: Results, names: Sequence[str], profile: Profile, quantity: str, classes: int
) -> Figure:
    """A quantity by epoch, mean over seeds with a band of one standard deviation."""
    from matplotlib.ticker import MaxNLocator

    accuracy = "accuracy" in quantity
    title = "Validation accuracy by epoch" if accuracy else "Training loss by epoch"
    rows = math.ceil((len(names) + 1) / 2)
    canvas = Canvas(quantity, f"{title} of {', '.join(names)}", height=235 + 19 * rows)
    axes, lowest = canvas.axes, math.inf
    for index, name in enumerate(names):
        runs = runs_of(results, name, profile)
        curves = np.array([padded(run, quantity, profile.proxy.epochs) for run in runs])
        curves = 100 * curves if accuracy else curves
        lowest = min(lowest, np.nanmin(curves))
        line(axes, index, range(1, curves.shape[1] + 1), curves, name)
    if accuracy:
        guessing(axes, 1 / classes)
        axes.set_ylim(bottom=0)
    else:
        axes.axhline(math.log(classes), color=MUTED, lw=1, ls=":", label="guessing")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("validation accuracy, %" if accuracy else "training loss")
    axes.grid(axis="y")
    legend(canvas)
    return drawn(canvas, title, "Mean over seeds; the band is one standard deviation.")


def epochs_figures(
    results: Results, names: Sequence[str], profile: Profile, classes: int
) -> list[Figure]:
    """Training loss and validation accuracy by epoch."""
    quantities = ("train_loss", "validation_accuracy")
    return [epochs_figure(results, names, profile, one, classes) for one in quantities]


def gradients_figures(results: Results, names: Sequence[str], profile: Profile) -> list[Figure]:
    """Gradient norms by layer, at initialisation and at the last step."""
    moments = {0: "Gradients at initialisation", -1: "Gradients at the last step"}
    return [gradients_figure(results, names, profile, *moment) for moment in moments.items()]


def gradient_axes(canvas: Canvas) -> None:
    """Layers against gradient norms, with a legend."""
    log_y(canvas.axes)
    canvas.axes.set_xlabel("layer (1 is next to the input)")
    canvas.axes.set_ylabel("gradient norm")
    canvas.axes.grid(axis="y")
    legend(canvas)


def gradients_figure(
    results: Results, names: Sequence[str], profile: Profile, when: int, title: str
) -> Figure:
    """Every layer's gradient norm at a watched step, geometric mean over seeds."""
    canvas = Canvas(
        f"gradients{when}".replace("-", "last"), f"{title}: gradient norm by layer of {', '.join(names)}",
        height=245 + 19 * math.ceil(len(names) / 2),
    )  # fmt: skip
    for index, name in enumerate(names):
        mean = layer_means(runs_of(results, name, profile), when)
        every = max(1, len(mean) // 7)
        canvas.axes.plot(
            range(1, len(mean) + 1), mean, label=name, markevery=(index % every, every),
            **style(index),
        )  # fmt: skip
    gradient_axes(canvas)
    return drawn(canvas, title, "Of a layer's convolution weights; geometric mean over seeds.")


def scores_figure(scores: Mapping[str, Values], chance: float, title: str) -> Figure:
    """A row a network: seeds as dots, mean and standard deviation; outliers at the edge, named."""
    canvas = Canvas("scores", f"{title}: {_told(scores)}", height=60 + 31 * len(scores))
    axes = canvas.axes
    low, high = window([100 * float(np.mean(values)) for values in scores.values()], 1.5)
    ends = [
        float(end)
        for found in (100 * np.array(values) for values in scores.values())
        for end in (*found, found.mean() - found.std(ddof=1), found.mean() + found.std(ddof=1))
        if low <= found.mean() <= high and math.isfinite(end)
    ]
    low, high = float(min([low, *ends])), float(max([high, *ends]))
    low = min(low, 100 * chance - 1) if low < 300 * chance else low
    for index, values in enumerate(scores.values()):
        found = 100 * np.array(values)
        colour = style(index)["color"]
        if found.mean() < low:
            axes.plot([low], [index], marker="<", color=colour, markersize=8, clip_on=False)
            canvas.write(
                low, index, f"{found.mean():.1f}: far below, guessing is {100 * chance:.0f}",
                xytext=(9, -4), textcoords="offset points", color=colour, fontsize=FONT - 1,
            )  # fmt: skip
            continue
        spread = found.std(ddof=1) if len(found) > 1 else 0
        axes.errorbar(
            found.mean(), index, xerr=spread, fmt=style(index)["marker"], color=colour, capsize=4
        )
        axes.plot(found, [index] * len(found), ".", color=colour, alpha=0.45)
    if low < 100 * chance:
        axes.axvline(100 * chance, color=MUTED, lw=1, ls=":")
        canvas.write(
            100 * chance, -0.55, "guessing", color=MUTED, fontsize=FONT - 1, xytext=(4, 0),
            textcoords="offset points",
        )  # fmt: skip
    axes.set_xlim(low - 0.03 * (high - low), high + 0.03 * (high - low))
    axes.set_ylim(len(scores) - 0.5, -0.75)
    axes.set_yticks(range(len(scores)), [name.removeprefix("resnet-50/") for name in scores])
    axes.set_xlabel("test accuracy, %")
    axes.grid(axis="x")
    return drawn(
        canvas, title, "Dots are seeds; the mark is their mean, the bar one standard deviation."
    )


def _told(scores: Mapping[str, Values]) -> str:
    return ", ".join(f"{name} {100 * np.mean(values):.1f} %" for name, values in scores.items())

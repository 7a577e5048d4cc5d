"""What several exercises do with their trainings: select, tabulate, plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from baselines.exercises.jobs import TrainingJob
from baselines.exercises.profiles import Profile
from baselines.networks import BASELINES
from nas.architecture.parts import Shape
from nas.statistics import geometric_mean

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

DEEP_LEARNING_RATE = 0.005
"""A thousand layers want small steps at first."""
Results = Mapping[str, Mapping[str, Any] | None]
COLOURS = (
    "#4477aa", "#ee6677", "#228833", "#aa3377", "#ccbb44", "#66ccee", "#ee8866", "#777777", "#000000",
)  # fmt: skip


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


def plot_epochs(
    axes: Axes, results: Results, names: Sequence[str], profile: Profile, quantity: str
) -> None:
    """Mean over seeds with a band of one standard deviation."""
    from matplotlib.ticker import MaxNLocator

    scale = 100 if "accuracy" in quantity else 1
    for name, colour in zip(names, COLOURS, strict=False):
        runs = runs_of(results, name, profile)
        curves = scale * np.array([padded(run, quantity, profile.proxy.epochs) for run in runs])
        epochs = np.arange(1, curves.shape[1] + 1)
        mean, std = np.nanmean(curves, axis=0), np.nanstd(curves, axis=0)
        axes.plot(epochs, mean, color=colour, marker=".", label=name)
        axes.fill_between(epochs, mean - std, mean + std, color=colour, alpha=0.15, lw=0)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    unit = " (%)" if scale == 100 else ""
    axes.set_ylabel(quantity.replace("_", " ").replace("train", "training") + unit)
    axes.grid(alpha=0.3)


def plot_gradients(
    axes: Axes, results: Results, names: Sequence[str], profile: Profile, when: int
) -> None:
    """Every layer's gradient norm at a watched step, geometric mean over seeds."""
    for name, colour in zip(names, COLOURS, strict=False):
        runs = runs_of(results, name, profile)
        mean = layer_means(runs, when)
        axes.semilogy(np.arange(1, len(mean) + 1), mean, color=colour, label=name)
    axes.set_xlabel("layer (1 is next to the input)")
    axes.set_ylabel("gradient norm")
    axes.grid(alpha=0.3)

"""Exercise 1, the vanishing gradient: plain networks of 20 and 56 blocks."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from baselines.exercises.gradients import LawJob
from baselines.exercises.jobs import TrainingJob
from baselines.exercises.profiles import Profile
from baselines.exercises.summaries import (
    COLOURS,
    Results,
    epoch_table,
    final_accuracies,
    first_to_last,
    gradient_table,
    layer_means,
    plot_epochs,
    runs_of,
    summary,
    training_jobs,
)
from baselines.exercises.verdicts import FAILS, HOLDS, OPEN, Context, Page, Point, absolute, more
from nas.architecture.parts import Shape
from nas.statistics import geometric_factor, geometric_mean

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NAMES = ("plain-20", "plain-56")
SETTINGS = {
    (norm, init, relu): (
        f"{'sheet block' if not relu else 'conv-BN-ReLU' if norm == 'batch' else 'conv-ReLU'}, "
        f"{'batch norm' if norm == 'batch' else 'no norm'}, {'PyTorch' if init == 'pytorch' else 'He'}"
    )
    for norm, init, relu in product(("batch", "none"), ("pytorch", "he"), (False, True))
}
"""(norm, initialisation, ReLU at a block's end) and what it is called."""
SHEET = ("batch", "pytorch", False)


def law_key(norm: str, init: str, relu: bool, mode: str) -> str:
    return f"law {norm} {init} {'relu' if relu else 'linear'} {mode}"


def modes(setting: tuple[str, str, bool]) -> tuple[str, ...]:
    """Without norm both modes are the same."""
    return ("train", "eval") if setting[0] == "batch" else ("train",)


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
    losses = [[run["train_loss"][-1] for run in runs_of(results, name, profile)] for name in NAMES]
    points = [
        absolute("20 layers train well, about 75 %", 0.75, shallow, context),
        absolute("56 layers (plain) train poorly, about 65 %", 0.65, deep, context),
        more("20 blocks are more accurate than 56", shallow, deep),
        more("56 blocks have the larger training loss (degradation)", losses[1], losses[0], ""),
        _exponential(law),
        _nine_tenths(law),
        _first_against_last(results, profile),
    ]
    notes = [
        "The sheet's blocks have two convolutions each: its 20 and 56 layers are 40 and 112 "
        "convolutions. Depth below counts convolutions.",
        "The law: gradient norm of the first body convolution over that of the last, for plain "
        f"networks of {profile.law_blocks[0]} to {profile.law_blocks[-1]} blocks, width "
        f"{profile.law_width}, 8×8 noise, float64, {profile.law_seeds} seeds; least squares on its "
        "logarithm over depth. A factor above 1 per convolution means that gradients grow towards "
        "the input: with batch norm they explode at initialisation (Yang et al. 2019); without, "
        "under PyTorch's initialisation, they vanish. In eval mode before any training batch norm "
        "is an identity.",
    ]
    return Page(
        "exercise-1",
        "Exercise 1: the vanishing gradient",
        points,
        {
            "summary": summary(results, NAMES, profile),
            "law": law,
            "epochs": epoch_table(results, NAMES, profile),
            "gradients": gradient_table(results, NAMES, profile),
        },
        {"curves": _figure(results, law, profile)},
        notes,
    )


def law_table(results: Results) -> pd.DataFrame:
    """A row a setting: the factor per convolution and its fit."""
    import pandas as pd

    rows = []
    for setting, label in SETTINGS.items():
        for mode in modes(setting):
            found = results[law_key(*setting, mode)]
            assert found is not None
            depths = [2 * row["blocks"] for row in found["rows"]]
            ratios = [row["first"] / max(row["last"], 1e-300) for row in found["rows"]]
            factor, r2 = geometric_factor(depths, ratios)
            seeds = sorted({row["seed"] for row in found["rows"]})
            per_seed = [
                geometric_factor(
                    [2 * row["blocks"] for row in found["rows"] if row["seed"] == seed],
                    [
                        r
                        for r, row in zip(ratios, found["rows"], strict=True)
                        if row["seed"] == seed
                    ],
                )[0]
                for seed in seeds
            ]
            rows.append(
                {
                    "setting": label,
                    "mode": mode,
                    "factor per convolution": factor,
                    "least": min(per_seed),
                    "largest": max(per_seed),
                    "R²": r2,
                    "geometric": r2 >= 0.95,
                    "n": len(seeds),
                }
            )
    return pd.DataFrame(rows)


def _exponential(law: pd.DataFrame) -> Point:
    row = law[(law.setting == SETTINGS[SHEET]) & (law["mode"] == "train")].iloc[0]
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
        f"{geometric_mean([first_to_last(run, i) for run in runs]):.3g} (step {runs[0]['gradients'][i]['step']})"
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


def _figure(results: Results, law: pd.DataFrame, profile: Profile) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8), layout="constrained")
    axes = figure.subplots(2, 2)
    plot_epochs(axes[0, 0], results, NAMES, profile, "train_loss")
    plot_epochs(axes[0, 1], results, NAMES, profile, "validation_accuracy")
    axes[0, 0].legend(fontsize=8)
    for when, style, label in ((0, "--", "at initialisation"), (-1, "-", "last step")):
        for name, colour in zip(NAMES, COLOURS, strict=False):
            mean = layer_means(runs_of(results, name, profile), when)
            axes[1, 0].semilogy(
                range(1, len(mean) + 1), mean, style, color=colour, label=f"{name}, {label}"
            )
    axes[1, 0].set_xlabel("layer (1 is next to the input)")
    axes[1, 0].set_ylabel("gradient norm")
    axes[1, 0].legend(fontsize=8)
    axes[1, 0].grid(alpha=0.3)
    for (setting, label), colour in zip(SETTINGS.items(), COLOURS, strict=False):
        found = results[law_key(*setting, "train")]
        assert found is not None
        depths = np.array([2 * row["blocks"] for row in found["rows"]])
        ratios = np.array([row["first"] / max(row["last"], 1e-300) for row in found["rows"]])
        factor = law[(law.setting == label) & (law["mode"] == "train")][
            "factor per convolution"
        ].iloc[0]
        points = [geometric_mean(list(ratios[depths == d])) for d in sorted(set(depths))]
        axes[1, 1].semilogy(
            sorted(set(depths)), points, marker=".", color=colour, label=f"{label}: {factor:.2f}"
        )
    axes[1, 1].axhline(1, color="black", lw=0.8)
    limit = max(depths)
    axes[1, 1].semilogy([0, limit], [1, 0.9**limit], ":", color="black", label="the sheet: 0.90")
    axes[1, 1].set_xlabel("convolutions")
    axes[1, 1].set_ylabel("first/last gradient norm at initialisation")
    axes[1, 1].legend(fontsize=7, title="factor per convolution", title_fontsize=7)
    axes[1, 1].grid(alpha=0.3)
    return figure

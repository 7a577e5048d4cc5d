"""Exercise 3, residual against identity: what x, F(x) and F(x)+x look like in a trained ResNet-56."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from baselines.exercises.features import NEAR_ZERO, shown_layers
from baselines.exercises.jobs import TrainingJob
from baselines.exercises.profiles import Profile
from baselines.exercises.summaries import COLOURS, Results, runs_of, training_jobs
from baselines.exercises.verdicts import FAILS, HOLDS, OPEN, Context, Page, Point, more, most
from nas.architecture.parts import Shape

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "Exercise 3: residual against identity learning"
RESIDUAL, PLAIN = "resnet-56", "resnet-56/plain"
GAUSSIAN_NEAR_ZERO = 0.0399
"""Share of a Gaussian within NEAR_ZERO = 0.05 standard deviations of its mean."""
Row = Mapping[str, Any]


def jobs(profile: Profile, shape: Shape, classes: int) -> list[TrainingJob]:
    return training_jobs((RESIDUAL, PLAIN), profile, shape, classes, features=True)


def page(results: Results, profile: Profile, context: Context) -> Page:
    runs = {r["seed"]: r for r in runs_of(results, RESIDUAL, profile) if r["status"] == "ok"}
    others = {r["seed"]: r for r in runs_of(results, PLAIN, profile) if r["status"] == "ok"}
    if not runs:
        points = [Point("anything about trained residuals", "all trainings diverged", 0, OPEN)]
        return Page("exercise-3", TITLE, points, {}, {})
    trained = list(runs.values())
    ratio = np.median([row["ratio"] for run in trained for row in run["features_after"]])
    kurtosis = [row["F"]["excess_kurtosis"] for run in trained for row in run["features_after"]]
    points = [
        _thirds(trained),
        most(
            "residuals are typically much smaller than inputs (‖F‖ < ½ ‖x‖)",
            shares(trained, lambda row: row["ratio"] < 0.5),
            f"median ‖F‖/‖x‖ {ratio:.2f}; layers for which it holds",
        ),
        most(
            "residuals are zero-centred (|mean| < 0.1 std)",
            shares(trained, lambda row: abs(row["F"]["mean"]) < 0.1 * row["F"]["std"]),
            "layers for which it holds",
        ),
        most(
            "residuals are roughly Gaussian (|excess kurtosis| < 1)",
            shares(trained, lambda row: abs(row["F"]["excess_kurtosis"]) < 1),
            f"median excess kurtosis {np.median(kurtosis):.2f}; layers for which it holds",
        ),
        _sparse(trained),
    ]
    paired = sorted(set(runs) & set(others))
    if paired:
        points.append(_lesions([runs[s] for s in paired], [others[s] for s in paired]))
    plain = list(others.values())
    notes = [
        f"Statistics over {len(trained)} trained networks on validation images, evaluation mode. Near "
        f"zero: within {NEAR_ZERO} standard deviations of 0, which holds for 4.0 % of a Gaussian "
        "around 0. Early, middle and late are thirds of the layers. Lesions take one layer out of "
        "the trained network (Veit et al. 2016): of a residual layer the branch, of a plain one the "
        "whole layer.",
    ]
    return Page(
        "exercise-3",
        TITLE,
        points,
        {"features": feature_table(trained), "lesions": lesion_table(trained, plain)},
        {"histograms": _histograms(trained[0]), "layers": _layers(trained, plain)},
        notes,
    )


def shares(runs: Sequence[Row], fits: Callable[[Row], bool]) -> list[float]:
    """For every seed, the share of layers for which something holds after training."""
    return [float(np.mean([fits(row) for row in run["features_after"]])) for run in runs]


def ratios_by_third(run: Row, when: str) -> list[float]:
    """Mean ‖F‖/‖x‖ of the early, middle and late layers."""
    values = [row["ratio"] for row in run[when]]
    return [float(np.mean(part)) for part in np.array_split(np.array(values), 3)]


def _thirds(runs: Sequence[Row]) -> Point:
    thirds = np.array([ratios_by_third(run, "features_after") for run in runs])
    names = zip(("early", "middle", "late"), thirds.mean(0), strict=True)
    text = ", ".join(f"{name} {value:.2f}" for name, value in names)
    first = more("", thirds[:, 1], thirds[:, 0], "")
    second = more("", thirds[:, 1], thirds[:, 2], "")
    verdicts = {first.verdict, second.verdict}
    return Point(
        "early layers: small residuals; middle: medium; late: small again",
        f"mean ‖F‖/‖x‖: {text}; middle above early: {first.verdict}; middle above late: "
        f"{second.verdict}",
        len(runs),
        HOLDS if verdicts == {HOLDS} else FAILS if FAILS in verdicts else OPEN,
    )


def _sparse(runs: Sequence[Row]) -> Point:
    rows = [row for run in runs for row in run["features_after"]]
    before = np.mean([row["F"]["near_zero"] for row in rows])
    after = np.mean([row["output"]["near_zero"] for row in rows])
    return most(
        "residuals are sparse (more than half of F(x) near zero)",
        shares(runs, lambda row: row["F"]["near_zero"] > 0.5),
        f"near zero on average: F(x) {100 * before:.1f} % (Gaussian 4.0 %), after the ReLU that "
        f"follows the sum {100 * after:.1f} %; layers for which it holds",
    )


def _lesions(runs: Sequence[Row], plain: Sequence[Row]) -> Point:
    point = more("", [_mean_drop(run) for run in plain], [_mean_drop(run) for run in runs])
    wholes = (100 * np.mean([run["lesions"]["whole"] for run in found]) for found in (plain, runs))
    return Point(
        "removing a layer hurts a residual network less than a plain one (Veit et al. 2016)",
        f"mean loss of accuracy, plain against residual: {point.measured}; the whole networks "
        "have {:.1f} and {:.1f} %".format(*wholes),
        point.n,
        point.verdict,
    )


def _mean_drop(run: Row) -> float:
    found = [s for s in run["lesions"]["without"] if s is not None]
    return float(run["lesions"]["whole"] - np.mean(found))


def feature_table(runs: Sequence[Row]) -> pd.DataFrame:
    """A row a layer, tensor, moment of training and seed."""
    import pandas as pd

    rows = []
    for run in runs:
        for when in ("features_before", "features_after"):
            for row in run[when]:
                for name in ("x", "F", "sum", "output"):
                    moments = {k: v for k, v in row[name].items() if k != "histogram"}
                    rows.append(
                        {
                            "seed": run["seed"],
                            "when": "init" if when.endswith("before") else "trained",
                            "layer": row["layer"],
                            "tensor": {"F": "F(x)", "sum": "F(x)+x"}.get(name, name),
                            "‖F‖/‖x‖": row.get("ratio"),
                            **moments,
                        }
                    )
    return pd.DataFrame(rows)


def lesion_table(runs: Sequence[Row], plain: Sequence[Row]) -> pd.DataFrame:
    """A row a removed layer, seed and network."""
    import pandas as pd

    rows = [
        {"baseline": name, "seed": run["seed"], "without layer": layer, "accuracy": score, "whole": run["lesions"]["whole"]}
        for name, found in ((RESIDUAL, runs), (PLAIN, plain))
        for run in found
        for layer, score in enumerate(run["lesions"]["without"], 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _histograms(run: Row) -> Figure:
    """The sheet's 3×4 figure: input, residual, output at four depths."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 10), layout="constrained")
    axes = figure.subplots(3, 4)
    rows = {row["layer"]: row for row in run["features_after"]}
    titles = (("x", "input x"), ("F", "residual F(x)"), ("sum", "output F(x)+x"))
    for column, layer in enumerate(shown_layers(len(rows))):
        for line, ((name, title), colour) in enumerate(zip(titles, COLOURS, strict=False)):
            stats, panel = rows[layer][name], axes[line, column]
            counts, limit = np.array(stats["histogram"]["counts"]), stats["histogram"]["limit"]
            edges = np.linspace(-limit, limit, len(counts) + 1)
            panel.stairs(100 * counts, edges, fill=True, color=colour, alpha=0.8)
            panel.set_yscale("log")
            panel.set_ylim(1e-3, 150)
            panel.set_title(
                f"layer {layer}: {title}\nmean {stats['mean']:.2f}, std {stats['std']:.2f}, "
                f"range {stats['min']:.1f} to {stats['max']:.1f}",
                fontsize=10,
            )
            if column == 0:
                panel.set_ylabel("share of values (%)")
            if line == 2:
                panel.set_xlabel("activation")
    return figure


def _layers(runs: Sequence[Row], plain: Sequence[Row]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 8), layout="constrained")
    axes = figure.subplots(2, 2)
    layers = [row["layer"] for row in runs[0]["features_after"]]

    def line(panel: Any, values: Sequence[Sequence[float]], label: str, colour: str) -> None:
        array = np.array(values, dtype=float)
        mean, std = array.mean(0), array.std(0)
        panel.plot(layers, mean, color=colour, marker=".", label=label)
        panel.fill_between(layers, mean - std, mean + std, color=colour, alpha=0.15, lw=0)

    for when, label, colour in (
        ("features_before", "at initialisation", COLOURS[0]),
        ("features_after", "trained", COLOURS[1]),
    ):
        line(axes[0, 0], [[row["ratio"] for row in run[when]] for run in runs], label, colour)
        line(
            axes[0, 1],
            [[row["F"]["excess_kurtosis"] for row in run[when]] for run in runs],
            f"F(x) {label}",
            colour,
        )
        line(
            axes[1, 0],
            [[100 * row["F"]["near_zero"] for row in run[when]] for run in runs],
            f"F(x), {label}",
            colour,
        )
    line(
        axes[1, 0],
        [[100 * row["output"]["near_zero"] for row in run["features_after"]] for run in runs],
        "after ReLU, trained",
        COLOURS[2],
    )
    axes[1, 0].axhline(100 * GAUSSIAN_NEAR_ZERO, color="black", ls=":", label="Gaussian around 0")
    axes[0, 1].axhline(0, color="black", ls=":", label="Gaussian")
    for name, found, colour in ((RESIDUAL, runs, COLOURS[0]), (PLAIN, plain, COLOURS[1])):
        if not found:
            continue
        scores = [
            [100 * (s if s is not None else np.nan) for s in run["lesions"]["without"]]
            for run in found
        ]
        line(axes[1, 1], scores, f"{name}, one layer removed", colour)
        whole = 100 * np.mean([run["lesions"]["whole"] for run in found])
        axes[1, 1].axhline(whole, color=colour, ls="--", lw=1, label=f"{name}, whole")
    labels = ("‖F(x)‖ / ‖x‖", "excess kurtosis", "values near zero (%)", "validation accuracy (%)")
    for panel, label in zip(axes.flat, labels, strict=True):
        panel.set_xlabel("layer")
        panel.set_ylabel(label)
        panel.legend(fontsize=8)
        panel.grid(alpha=0.3)
    return figure

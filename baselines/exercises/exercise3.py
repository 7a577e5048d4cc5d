"""Exercise 3, residual against identity: what x, F(x) and F(x)+x look like in a trained ResNet-56."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from baselines.exercises.features import NEAR_ZERO
from baselines.exercises.jobs import Profile, TrainingJob
from baselines.exercises.page import Page
from baselines.exercises.residuals import (
    MOMENTS,
    Row,
    explanation,
    feature_table,
    figures,
    growth,
    lesion_table,
    norm_table,
)
from baselines.exercises.summaries import Results, runs_of, training_jobs
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
    most,
)
from nas.architecture.parts import Shape

TITLE = "Exercise 3: residual against identity learning"
RESIDUAL, PLAIN = "resnet-56", "resnet-56/plain"


def jobs(profile: Profile, shape: Shape, classes: int) -> list[TrainingJob]:
    return training_jobs((RESIDUAL, PLAIN), profile, shape, classes, features=True)


def page(results: Results, profile: Profile, context: Context) -> Page:
    runs = {r["seed"]: r for r in runs_of(results, RESIDUAL, profile) if r["status"] == "ok"}
    others = {r["seed"]: r for r in runs_of(results, PLAIN, profile) if r["status"] == "ok"}
    if not runs:
        points = [Point("anything about trained residuals", "all trainings diverged", 0, OPEN)]
        nothing = "All trainings diverged.", "Nothing about residuals was measured."
        return Page("exercise-3", TITLE, nothing, points, [], {}, [])
    trained, plain = list(runs.values()), list(others.values())
    ratio = np.median([row["ratio"] for run in trained for row in run["features_trained"]])
    kurtosis, within = (
        np.median([measure(row) for run in trained for row in run["features_trained"]])
        for measure in (
            lambda row: row["F"]["excess_kurtosis"],
            lambda row: row["channel_kurtosis"],
        )
    )
    smaller = most(
        "residuals are typically much smaller than inputs (‖F‖ < ½ ‖x‖)",
        shares(trained, lambda row: row["ratio"] < 0.5),
        f"median ‖F‖/‖x‖ {ratio:.2f}; layers for which it holds",
    )
    centred = most(
        "residuals are zero-centred (|mean| < 0.1 std)",
        shares(trained, lambda row: abs(row["F"]["mean"]) < 0.1 * row["F"]["std"]),
        "layers for which it holds",
    )
    gaussian = most(
        "residuals are roughly Gaussian (|excess kurtosis| < 1)",
        shares(trained, lambda row: abs(row["F"]["excess_kurtosis"]) < 1),
        f"median excess kurtosis {kurtosis:.2f}, of a channel by itself {within:.2f}; layers for "
        "which it holds",
    )
    sparse = _sparse(trained)
    reasons = [_reason(trained, when) for when in MOMENTS]
    points = [_thirds(trained), smaller, *reasons, centred, gaussian, sparse]
    paired = sorted(set(runs) & set(others))
    if paired:
        found = _lesions([runs[s] for s in paired], [others[s] for s in paired])
        points.append(ended(found, context))
    return Page(
        "exercise-3",
        TITLE,
        _conclusion(smaller, reasons[1], gaussian, sparse, float(ratio), trained),
        points,
        _grades(smaller, reasons, sparse),
        {
            "norms": norm_table(trained),
            "features": feature_table(trained),
            "lesions": lesion_table({RESIDUAL: trained, PLAIN: plain}),
        },
        figures({RESIDUAL: trained, PLAIN: plain}),
        _notes(len(trained)),
        explanation(trained, reasons[1].verdict),
    )


def _grades(smaller: Point, reasons: Sequence[Point], sparse: Point) -> list[Grade]:
    return [
        graded(
            4, 8, "Visualizes and analyzes residual distributions",
            "x, F(x) and F(x)+x are drawn at four depths (first figures), with mean, deviation and "
            "range, and the rows below analyse every layer.",
        ),
        graded(
            4, 9, "Explains why residuals are smaller than full outputs",
            "the section “Why”, from norms measured at initialisation and after training.",
            smaller, *reasons,
        ),
        graded(5, 10, "Discovers that residuals are sparse (many zeros)", "most are.", sparse),
    ]  # fmt: skip


def _notes(networks: int) -> list[str]:
    return [
        f"Statistics over {networks} networks on validation images: of the trained ones in "
        "evaluation mode, at initialisation with the images' own statistics in batch norm, as in "
        f"training. Near zero: within {NEAR_ZERO} standard deviations of 0, which holds for 4.0 % of "
        "a Gaussian around 0. Early, middle and late are thirds of the layers. Lesions take one layer "
        "out of the trained network (Veit et al. 2016): of a residual layer the branch, of a plain "
        "one the whole layer.",
    ]


def _conclusion(
    smaller: Point, reason: Point, gaussian: Point, sparse: Point, ratio: float, runs: Sequence[Row]
) -> tuple[str, str]:
    size = {HOLDS: "are", FAILS: "are not"}.get(smaller.verdict, "may be")
    because = {
        HOLDS: ", because the trunk grows with depth, as a sum of branches, and the branches do not "
        "grow with it",
        FAILS: ", and not because the trunk grows faster than the branches",
    }.get(reason.verdict, "")
    shape = {HOLDS: "are roughly", FAILS: "are not"}.get(gaussian.verdict, "may be roughly")
    many = {HOLDS: "sparse", FAILS: "not sparse"}.get(sparse.verdict, "perhaps sparse")
    zeros = np.mean([row["F"]["near_zero"] for run in runs for row in run["features_trained"]])
    return (
        f"Residuals {size} much smaller than their inputs (median ‖F‖/‖x‖ {ratio:.2f}){because}.",
        f"They {shape} Gaussian and {many}: {100 * zeros:.1f} % of their values are near zero, where "
        "a Gaussian has 4.0 %.",
    )


def _spread(values: Sequence[float]) -> str:
    deviation = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
    return f"{np.mean(values):.2f}{deviation}"


def _reason(runs: Sequence[Row], when: str) -> Point:
    trunk, branch = ([growth(run, when, name) for run in runs] for name in ("x", "F"))
    point = more("", np.log(trunk), np.log(branch), "")
    return Point(
        f"why they are smaller, {MOMENTS[when]}: the trunk grows with depth, and the branches less",
        f"from the early to the late third of layers ‖x‖ grows by a factor of {_spread(trunk)}, "
        f"‖F‖ by {_spread(branch)}; logarithm of the one less that of the other: "
        f"{point.measured.split('difference ')[1]}",
        len(runs),
        point.verdict,
    )


def shares(runs: Sequence[Row], fits: Callable[[Row], bool]) -> list[float]:
    """For every seed, the share of layers for which something holds after training."""
    return [float(np.mean([fits(row) for row in run["features_trained"]])) for run in runs]


def ratios_by_third(run: Row, when: str) -> list[float]:
    """Mean ‖F‖/‖x‖ of the early, middle and late layers."""
    values = [row["ratio"] for row in run[when]]
    return [float(np.mean(part)) for part in np.array_split(np.array(values), 3)]


def _thirds(runs: Sequence[Row]) -> Point:
    thirds = np.array([ratios_by_third(run, "features_trained") for run in runs])
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
    rows = [row for run in runs for row in run["features_trained"]]
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

"""Intervals and tests over seeds, geometric means and laws, and how well a score ranks candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

Values = Sequence[float] | np.ndarray
RESAMPLES = 2000
DETERMINED = 1e-9
"""Where 1 - r² is less, one ranking says all of the other."""
FEWEST = 3
"""Values below which no interval is told: of two, it says next to nothing."""
LEAST_LOGARITHM = -745.0
"""Of a positive float64; taken for a ratio of 0."""


def interval(values: Values, level: float = 0.95) -> tuple[float, float]:
    """Student's t confidence interval of the mean; infinite for fewer than three values."""
    array = np.asarray(values, dtype=float)
    if len(array) < FEWEST:
        return -np.inf, np.inf
    error = stats.sem(array)
    if error == 0:
        return float(array.mean()), float(array.mean())
    low, high = stats.t.interval(level, len(array) - 1, array.mean(), error)
    return float(low), float(high)


def share_interval(values: Values) -> tuple[float, float] | None:
    """95 % confidence interval of a mean of shares, which stays within 0 and 1; None for fewer than three.

    Student's t on the scale of the mean's logit (delta method).
    """
    array = np.asarray(values, dtype=float)
    if len(array) < FEWEST:
        return None
    mean, error = float(array.mean()), float(stats.sem(array))
    if error == 0 or not 0 < mean < 1:
        return mean, mean
    spread = stats.t.ppf(0.975, len(array) - 1) * error / (mean * (1 - mean))
    low, high = special.expit(special.logit(mean) + np.array([-spread, spread]))
    return float(low), float(high)


def mean_std(values: Values, unit: str = "%") -> str:
    """`85.31 ± 0.42 %`; sample standard deviation."""
    array = np.asarray(values, dtype=float) * (100 if unit == "%" else 1)
    spread = f" ± {array.std(ddof=1):.3g}" if len(array) > 1 else ""
    text = f"{array.mean():.2f}" if unit == "%" else f"{array.mean():.3g}"
    return f"{text}{spread}{' ' + unit if unit else ''}"


def significant(value: float) -> str:
    """Three significant digits: `0.0405`, `2.31`, `8,710`."""
    if not 1e-4 <= abs(value) < 1e7:
        return f"{value:.3g}"
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 1000 else f"{rounded:g}"


def paired_p(deltas: np.ndarray) -> float | None:
    """Two-sided t-test that paired differences are 0 on average; None for fewer than three."""
    if len(deltas) < FEWEST:
        return None
    constant = np.ptp(deltas) == 0  # t is not defined; equal scores are no evidence
    return 1.0 if constant else float(stats.ttest_1samp(deltas, 0.0).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the given order (Holm 1979)."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[int(index)] = largest
    return adjusted


def geometric_mean(values: Values) -> float:
    """Of those that are positive numbers; nan if none is."""
    positive = [value for value in values if value > 0]
    return float(stats.gmean(positive)) if positive else float("nan")


def geometric_factor(depths: Values, ratios: Values) -> tuple[float, float]:
    """(factor, R²) of the fit ratio = c · factor^depth, by least squares on the logarithm."""
    logarithms = [np.log(ratio) if ratio > 0 else LEAST_LOGARITHM for ratio in ratios]
    if np.ptp(logarithms) == 0:
        return 1.0, 1.0
    fit = stats.linregress(depths, logarithms)
    return float(np.exp(fit.slope)), float(fit.rvalue**2)


@dataclass(frozen=True)
class Correlation:
    """Of a score with accuracy; None where it is not defined (a constant, or only skips)."""

    n: int
    infinite: int
    """Candidates without a finite score; they rank worst."""
    rho: float | None
    """Spearman's rank correlation."""
    bounds: tuple[float, float] | None
    """Its 95 % interval: the bootstrap's percentiles over candidates."""
    partial: float | None
    """Of ranks, given the number of skips."""
    partial_bounds: tuple[float, float] | None


def correlate(
    scores: Sequence[float], accuracies: Sequence[float], skips: Sequence[int], seed: int = 0
) -> Correlation:
    """Both correlations over candidates, with intervals.

    Args:
        skips: every candidate's number of skips.
        seed: of the bootstrap.
    """
    finite = np.isfinite(scores)
    columns = np.where(finite, scores, -np.inf), np.array(accuracies), np.array(skips)
    n = len(finite)
    drawn = np.random.default_rng(seed).integers(0, n, (RESAMPLES, n))
    again = [column[drawn] for column in columns]
    rho, partial = spearman(*columns[:2]), partial_spearman(*columns)
    return Correlation(
        n, int(n - finite.sum()),
        _defined(rho), _interval(rho, spearman(*again[:2])),
        _defined(partial), _interval(partial, partial_spearman(*again)),
    )  # fmt: skip


# SciPy's spearmanr takes one pair of samples at a time, which is fifty times as slow here.
def spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rank correlations (…) of rows (…, n), ties at their mean rank; nan where a row is constant."""
    a, b = (stats.rankdata(values, axis=-1) for values in (x, y))
    a, b = (ranks - ranks.mean(-1, keepdims=True) for ranks in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))


def partial_spearman(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Rank correlations of x and y given z: (r_xy - r_xz r_yz) / √((1 - r_xz²)(1 - r_yz²)).

    With a constant z it is that of x and y; nan where z's ranking determines one of theirs.
    """
    xy, xz, yz = spearman(x, y), np.nan_to_num(spearman(x, z)), np.nan_to_num(spearman(y, z))
    left = np.minimum(1 - xz**2, 1 - yz**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    return np.where(left > DETERMINED, found, np.nan)


def _defined(value: np.ndarray) -> float | None:
    return float(value) if np.isfinite(value) else None


def _interval(value: np.ndarray, resampled: np.ndarray) -> tuple[float, float] | None:
    if not np.isfinite(value):
        return None
    low, high = np.nanquantile(resampled, (0.025, 0.975))
    return float(low), float(high)

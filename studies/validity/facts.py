"""What trainings of the same patterns over several seeds say about the training that ranks them.

The terms are those of measurement theory: the *reliability* of a score is the share of its variance that
is the patterns' own and not the seeds' (the intraclass correlation of a one-way analysis of variance,
Shrout & Fleiss 1979); that of a mean over n seeds follows from it (Spearman and Brown 1910).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf, sqrt
from typing import Any

import numpy as np

from nas.statistics import spearman
from studies.formatting import ACCURACY, Score, duration, plural

ENOUGH = 0.9
"""Reliability that is called good overall."""
ENOUGH_BEST = 0.5
"""The same within the best tenth, where all are alike."""
ENOUGH_RANKS = 0.8
"""Rank correlation with a longer training that is called good."""
MANY = 50
"""Seeds a pattern that nobody can pay for."""
FEWEST = 5
"""Patterns below which nothing is said of a group."""


@dataclass(frozen=True)
class Reliability:
    """Of one training's score."""

    patterns: int
    between: float
    """Standard deviation between patterns, without the seeds' part."""
    within: float
    """Standard deviation over seeds."""
    one: float
    """Share of one training's variance that is the patterns'."""

    def of(self, seeds: int) -> float:
        """Of a mean over so many seeds (Spearman & Brown)."""
        return seeds * self.one / (1 + (seeds - 1) * self.one)

    def seeds_for(self, wanted: float) -> float:
        """Seeds whose mean has this reliability; infinite where nothing but luck differs."""
        if self.one <= 0:
            return inf
        return max(1, ceil(wanted * (1 - self.one) / (self.one * (1 - wanted)) - 1e-9))


@dataclass(frozen=True)
class Measure:
    """How one score does: accuracy, loss, or a score of the user's own."""

    name: str
    overall: Reliability
    best: Reliability | None
    """Within the best tenth, chosen by other seeds; None where it has too few patterns."""
    ranks: float | None
    """Mean rank correlation of one training with the mean of longer ones."""
    ranks_best: float | None
    """The same within the best tenth, chosen by other seeds."""
    ranks_mean: float | None
    """Rank correlation of the mean over all seeds with the mean of longer ones."""


@dataclass(frozen=True)
class Validity:
    """How far to trust a proxy."""

    name: str
    """Of the space or the study."""
    patterns: int
    seeds: int
    longer: float
    """Epochs of the longer training, in those of the proxy; 0 where there was none."""
    images: int
    """Validation images that a score is over."""
    seconds: float
    """Median of one short training."""
    measures: tuple[Measure, ...]
    """Of the score first, then of the loss."""
    short: tuple[tuple[float, ...], ...]
    """Scores by pattern and seed, where more is better."""
    among_best: bool
    """Whether the patterns are the best of a search, and no even sample."""
    long: tuple[float, ...]
    """Mean scores of the longer training by pattern; empty where there was none."""
    score: Score = ACCURACY

    @property
    def recommendation(self) -> str:
        """What to do, in a sentence."""
        accuracy = self.measures[0]
        if self.among_best:
            return self._among_best(accuracy.overall)
        wanted = accuracy.overall.seeds_for(ENOUGH)
        one = f"One training tells patterns apart with a reliability of {accuracy.overall.one:.2f}"
        if wanted > MANY:
            return f"{one}: what differs is mostly luck, so use a deeper space, more epochs or other data."
        cost = f"{plural(int(wanted), 'seed')} a pattern ({duration(wanted * self.seconds)})"
        enough = "is enough" if wanted == 1 else f"are needed for {ENOUGH}"
        said = f"{one}: {cost} {enough}"
        if accuracy.best and accuracy.best.one < ENOUGH_BEST:
            seeds = accuracy.best.seeds_for(ENOUGH_BEST)
            among = "no number of seeds" if seeds == inf else plural(int(seeds), "seed")
            said += f"; among the best tenth {among} would tell them apart"
        if accuracy.ranks is None:
            return f"{said}."
        if accuracy.ranks >= ENOUGH_RANKS:
            return f"{said}; the order survives {self.longer:g} × the training (ρ {accuracy.ranks:.2f})."
        return (
            f"{said}; but its order survives {self.longer:g} × the training only in part "
            f"(ρ {accuracy.ranks:.2f}), so train the finalists longer before you choose."
        )

    def _among_best(self, found: Reliability) -> str:
        wanted = found.seeds_for(ENOUGH)
        said = f"Among the best {self.patterns} one training has a reliability of {found.one:.2f}: "
        if wanted > MANY:
            return f"{said}what differs there is mostly luck, so one of them is as good as another."
        return f"{said}{plural(int(wanted), 'seed')} a pattern tell them apart ({ENOUGH})."

    def as_json(self) -> dict[str, Any]:
        from dataclasses import asdict

        values, sign = asdict(self), self.score.sign
        del values["score"]
        values["short"] = [[sign * one for one in row] for row in self.short]
        values["long"] = [sign * one for one in self.long]
        return {**values, "recommendation": self.recommendation}


def reliability(scores: np.ndarray) -> Reliability:
    """Of one training's score, from scores (patterns, seeds) with at least two of each."""
    patterns, seeds = scores.shape
    within = float(scores.var(axis=1, ddof=1).mean())
    between = max(0.0, float(scores.mean(axis=1).var(ddof=1)) - within / seeds)
    whole = between + within
    return Reliability(patterns, sqrt(between), sqrt(within), between / whole if whole else 0.0)


def measure(name: str, short: np.ndarray, long: np.ndarray | None) -> Measure:
    """How a score does.

    Args:
        short: (patterns, seeds), higher is better.
        long: (patterns,), means of the longer training; None where there was none.
    """
    half = short.shape[1] // 2
    best = _best_tenth(short[:, :half]) if half and short.shape[1] - half > 1 else None
    if best is not None and len(best) < FEWEST:
        best = None
    others = short[:, half:]
    return Measure(
        name, reliability(short),
        None if best is None else reliability(others[best]),
        None if long is None else _ranks(short, long),
        None if long is None or best is None else _ranks(others[best], long[best]),
        None if long is None else _rank(short.mean(axis=1), long),
    )  # fmt: skip


def _best_tenth(scores: np.ndarray) -> np.ndarray:
    """Indices of the best tenth by the mean."""
    count = max(1, round(len(scores) / 10))
    return np.argsort(-scores.mean(axis=1), kind="stable")[:count]


def _ranks(short: np.ndarray, long: np.ndarray) -> float | None:
    found = [_rank(column, long) for column in short.T]
    known = [rho for rho in found if rho is not None]
    return float(np.mean(known)) if known else None


def _rank(scores: np.ndarray, long: np.ndarray) -> float | None:
    rho = float(spearman(scores, long))
    return rho if np.isfinite(rho) else None

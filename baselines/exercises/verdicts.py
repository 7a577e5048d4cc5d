"""How a measurement decides an expectation of the sheet: one rule, for every row of every exercise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nas.statistics import Values, interval, mean_std, share_interval

HOLDS, FAILS, OPEN = "holds", "does not hold", "not decided at this budget"
EARNED, NOT_EARNED, WRONG = "earned", "not earned", "the sheet is wrong here"
ABSOLUTE_TOLERANCE = 0.03
SHORT = "the training is shorter than the sheet's"
RULE = (
    "A claim is about one of two things. It may be about the end of training: an accuracy, which "
    "of two networks is the more accurate, or that training goes well or converges. Only a training "
    "like the sheet's decides that: 20 epochs at full width (--profile full), and for an accuracy "
    "in percent CIFAR-10 as well. A shorter training decides such a claim neither way: one that is "
    "too short to refute it is too short to confirm it, and its neighbours.",
    "Or it may be about what any training shows: gradients, features, seconds, and the training "
    "loss after the same number of steps. There the 95 % interval over seeds decides. Where all of "
    "it lies on the claim's side the claim holds, where all of it lies on the other side it does "
    "not, and where it holds both answers nothing is decided.",
)
"""Of verdicts, as the pages show it."""


@dataclass(frozen=True)
class Point:
    """One expectation of the sheet beside what was measured."""

    expected: str
    measured: str
    n: int
    verdict: str
    end: bool = False
    """Whether it is about the end of training; else about what any training shows."""
    short: str = ""
    """Why this training cannot decide it."""

    @property
    def why(self) -> str:
        """Why nothing is decided; empty where something is."""
        if self.verdict != OPEN:
            return ""
        both = "the interval holds both answers" if self.n > 1 else "one training has no interval"
        return self.short or both


@dataclass(frozen=True)
class Grade:
    """A line of the sheet's rubric, and whether the page earns it."""

    stars: int
    mark: int
    """Of 10."""
    line: str
    state: str
    """EARNED, NOT_EARNED or WRONG."""
    why: str


@dataclass(frozen=True)
class Context:
    """What decides which statements a run can make."""

    data: str
    profile: str
    classes: int = 10

    @property
    def as_long(self) -> bool:
        """Whether trainings are as long, and networks as wide, as the sheet's."""
        return self.profile == "full"

    @property
    def as_sheet(self) -> bool:
        """Whether accuracies can be held against the sheet's numbers too."""
        return self.as_long and self.data == "cifar10"


def ended(point: Point, context: Context) -> Point:
    """A claim about the end of training: a shorter one decides it neither way."""
    if context.as_long:
        return replace(point, end=True)
    return replace(point, end=True, verdict=OPEN, short=SHORT)


def decided(low: float, high: float, threshold: float = 0.0) -> str:
    """The verdict on a claim that a quantity with this interval is above a threshold."""
    return HOLDS if low > threshold else FAILS if high < threshold else OPEN


def more(expected: str, better: Values, worse: Values, unit: str = "%") -> Point:
    """The claim that one quantity is larger than another, paired over seeds."""
    deltas = np.subtract(better, worse)
    low, high = interval(deltas)
    scale = 100 if unit == "%" else 1
    measured = (
        f"{mean_std(better, unit)} against {mean_std(worse, unit)}; difference "
        f"{scale * deltas.mean():+.2f}, 95 % interval [{scale * low:.2f}, {scale * high:.2f}]"
    )
    return Point(expected, measured, len(deltas), decided(low, high))


def absolute(expected: str, target: float, scores: Sequence[float], context: Context) -> Point:
    """A claim about an accuracy, which only the sheet's own setting can decide."""
    low, high = interval(scores)
    lowest, highest = target - ABSOLUTE_TOLERANCE, target + ABSOLUTE_TOLERANCE
    verdict = OPEN
    if low >= lowest and high <= highest:
        verdict = HOLDS
    elif high < lowest or low > highest:
        verdict = FAILS
    setting = "" if context.as_sheet else f" ({context.data}, {context.profile} profile)"
    point = Point(expected, f"{mean_std(scores)}{setting}", len(scores), verdict)
    if context.as_long and not context.as_sheet:
        return replace(point, end=True, verdict=OPEN, short=f"{context.data} is not CIFAR-10")
    return ended(point, context)


def most(expected: str, shares: Values, what: str) -> Point:
    """A claim about most of many things: the mean share over seeds is above a half."""
    low, high = share_interval(shares) or (-np.inf, np.inf)
    measured = f"{what}: {mean_std(shares)}, 95 % interval [{100 * low:.1f}, {100 * high:.1f}]"
    return Point(expected, measured, len(shares), decided(low, high, 0.5))


def every(expected: str, fits: Sequence[bool], what: str) -> Point:
    """A claim about all of many things."""
    verdict = HOLDS if all(fits) else FAILS
    return Point(expected, f"{what}: {sum(fits)} of {len(fits)}", len(fits), verdict)


def graded(stars: int, mark: int, line: str, where: str, *points: Point) -> Grade:
    """A rubric's line: earned where every row that it rests on holds.

    Args:
        where: what earns it, and where on the page that is.
        points: the rows; none for what is shown and not claimed.
    """
    failed = [p for p in points if p.verdict == FAILS]
    undecided = [p for p in points if p.verdict == OPEN]
    if failed:
        return Grade(stars, mark, line, WRONG, _cited(failed))
    if undecided:
        return Grade(stars, mark, line, NOT_EARNED, _cited(undecided))
    return Grade(stars, mark, line, EARNED, where)


def _cited(points: Sequence[Point]) -> str:
    return "; ".join(
        f"“{p.expected}” {f'is {p.verdict}, as {p.why}' if p.why else p.verdict} (measured: {p.measured})"
        for p in points
    )

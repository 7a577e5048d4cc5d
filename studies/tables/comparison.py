"""Strategies against each other in a table: quartiles of their regret, and paired tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median_high
from typing import Any

import numpy as np

from nas.statistics import FEWEST, holm, interval, paired_p
from studies.tables.simulate import BEST, Run

POINTS = 60
"""Moments of a curve against seconds."""
Quartiles = tuple[tuple[float, float, float], ...]
"""Quarter, middle and three quarters over the seeds, at every point of a curve."""


@dataclass(frozen=True)
class StrategyRegret:
    """A strategy's regret over many seeds."""

    strategy: str
    by_evaluations: Quartiles
    by_seconds: Quartiles
    """At the `moments` of the comparison."""
    until: tuple[tuple[int | None, float], ...]
    """For each share of BEST the median of the evaluations until the pick was in it, None where that is
    more than there were, and the share of the searches that came to it."""
    mean: float
    """Regret at the end, over the seeds."""
    difference: float | None = None
    """Mean of its regret at the end less that of the first strategy's."""
    bounds: tuple[float, float] | None = None
    """Its 95 % confidence interval."""
    p: float | None = None
    """Of a paired t-test over the seeds, corrected for the strategies (Holm 1979)."""


@dataclass(frozen=True)
class TableComparison:
    """Strategies in a table."""

    table: str
    seeds: int
    evaluations: int
    moments: tuple[float, ...]
    """Seconds, as recorded, at which regrets are compared."""
    shares: tuple[float, ...]
    strategies: tuple[StrategyRegret, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def compared(table: str, runs: Mapping[str, Sequence[Run]]) -> TableComparison:
    """What runs of the same seeds say; the first strategy is what the others are held against."""
    first = next(iter(runs.values()))
    evaluations, seeds = len(first[0].regrets), len(first)
    ends = {name: np.array([one.regrets[-1] for one in some]) for name, some in runs.items()}
    start = np.median([one.seconds[0] for some in runs.values() for one in some])
    last = min(np.median([one.seconds[-1] for one in some]) for some in runs.values())
    moments = np.linspace(start, last, POINTS)
    others = [end - ends[next(iter(ends))] for end in list(ends.values())[1:]]
    tested = [delta for delta in others if len(delta) >= FEWEST]
    p_values: list[float | None] = [*holm([paired_p(delta) or 0.0 for delta in tested])]
    p_values = [None, *(p_values or [None] * len(others))]
    found = []
    for (name, some), delta, p in zip(runs.items(), [None, *others], p_values, strict=True):
        whole = np.array([one.regrets for one in some])
        found.append(
            StrategyRegret(
                name, _quartiles(whole), _quartiles(np.array([_at(one, moments) for one in some])),
                tuple(_until([one.until[i] for one in some], evaluations) for i in range(len(BEST))),
                float(whole[:, -1].mean()),
                None if delta is None else float(delta.mean()),
                None if delta is None or p is None else interval(delta), p,
            )
        )  # fmt: skip
    return TableComparison(table, seeds, evaluations, tuple(moments.tolist()), BEST, tuple(found))


def _quartiles(curves: np.ndarray) -> Quartiles:
    """Over the rows, for every column."""
    return tuple(map(tuple, np.quantile(curves, (0.25, 0.5, 0.75), axis=0).T.tolist()))


def _at(run: Run, moments: np.ndarray) -> np.ndarray:
    """A search's regret at moments; before its first result that of the first."""
    return run.regrets[np.maximum(0, np.searchsorted(run.seconds, moments, side="right") - 1)]


def _until(reached: Sequence[int | None], evaluations: int) -> tuple[int | None, float]:
    middle = median_high(evaluations + 1 if one is None else one for one in reached)
    share = sum(one is not None for one in reached) / len(reached)
    return (middle if middle <= evaluations else None), share

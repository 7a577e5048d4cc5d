"""The trade-off between objectives: the Pareto front and its hypervolume (moocore)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.architecture.space import SearchSpace
from studies.search.objectives import OBJECTIVES
from studies.store.names import own_score
from studies.store.trial import Trial, candidates, nondominated_values, role_of


@dataclass(frozen=True)
class Point:
    """A trial that was trained to the end."""

    number: int
    values: tuple[float, ...]
    role: str
    front: bool
    """No other trial here is as good in every objective and better in one."""


@dataclass(frozen=True)
class Front:
    objectives: tuple[str, ...]
    maximise: tuple[bool, ...]
    searched: bool
    """False where the study had one objective, and parameters are only looked at."""
    points: tuple[Point, ...]
    reference: tuple[float, ...]
    """The worst value of every objective over all points."""
    ideal: tuple[float, ...]
    """The best value of every objective over all points."""
    hypervolume: float | None
    """Share of the box between reference and ideal that the search's candidates dominate; None
    where the box has no volume."""
    given: float | None
    """The same for the hand-made patterns (and what the search started from)."""
    history: tuple[tuple[int, float], ...]
    """(evaluations, hypervolume of the candidates so far) wherever it grew."""


def front(trials: Sequence[Trial], space: SearchSpace, objectives: Sequence[str]) -> Front | None:
    """The front over all trials that were trained to the end; None where there are none."""
    done = [t for t in trials if t.ok]
    if not done:
        return None
    names = tuple(objectives)
    searched = len(names) > 1
    if not searched:
        names = (names[0] if own_score(names[0]) else "accuracy", "params")
    values = np.array([_values(t, objectives, searched) for t in done], dtype=float)
    maximise = tuple(OBJECTIVES[name].maximise for name in names)
    best, worst = values.max(axis=0), values.min(axis=0)
    ideal, reference = np.where(maximise, (best, worst), (worst, best))
    on_front = nondominated_values(values, maximise)
    found = {t.number for t in candidates(done, space)}
    measure = _Box(reference, ideal)
    shares = [measure(values[[t.number in found for t in done]])]
    shares.append(measure(values[[bool(role_of(t)) for t in done]]))
    points = tuple(
        Point(t.number, tuple(map(float, v)), role_of(t), bool(f))
        for t, v, f in zip(done, values, on_front, strict=True)
    )
    return Front(
        names, maximise, searched, points, tuple(map(float, reference)), tuple(map(float, ideal)),
        shares[0], shares[1], _history(points, found, measure),
    )  # fmt: skip


def _values(trial: Trial, objectives: Sequence[str], searched: bool) -> Sequence[float]:
    if searched and trial.values is not None:
        return trial.values
    own = own_score(objectives[0])
    return (own[1] if own else 1.0) * trial.attrs["accuracy"], trial.attrs["params"]


class _Box:
    """Hypervolume in units of the box between two points: the one is 0, the other 1, on each axis."""

    def __init__(self, reference: np.ndarray, ideal: np.ndarray) -> None:
        self.reference, self.span = reference, ideal - reference

    def __call__(self, values: np.ndarray) -> float | None:
        import moocore

        if (self.span == 0).any():
            return None
        if not len(values):
            return 0.0
        scaled = (values - self.reference) / self.span
        return float(moocore.hypervolume(scaled, ref=0.0, maximise=True))


def _history(
    points: Sequence[Point], found: set[int], measure: _Box
) -> tuple[tuple[int, float], ...]:
    grown: list[tuple[int, float]] = []
    values: list[tuple[float, ...]] = []
    for point in points:
        if point.number not in found:
            continue
        values.append(point.values)
        share = measure(np.array(values))
        if share is not None and (not grown or share > grown[-1][1]):
            grown.append((point.number + 1, share))
    return tuple(grown)

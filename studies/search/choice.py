"""Which patterns of a search are trained again: its best, or points spread over its Pareto front."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nas.architecture.genome import Genome
from nas.architecture.space import SearchSpace
from nas.errors import unknown
from nas.files.settings import from_mapping
from nas.strategies.problem import Limits
from nas.tasks.table import TASKS
from studies.formatting import Score
from studies.search.objectives import OBJECTIVES
from studies.store.names import own_score
from studies.store.trial import Trial, best_trials, nondominated_values

POINTS = ("accuracy", "knee", "cheapest")
"""Points of a front that have a name: its most accurate end, the one farthest beyond the plane through
its ends (Das 1999), and the end that is best in the second objective."""
ENDS = tuple(task.score for task in TASKS.values())
"""What the first of them is also called, by the score of a search's task."""
LOOKED_AT = ("accuracy", "params")
"""The objectives of the front of a search for accuracy alone."""


def front_of(
    trials: Sequence[Trial],
    space: SearchSpace,
    objectives: Sequence[str],
    admitted: Callable[[Genome], bool] = lambda genome: True,
) -> list[Trial]:
    """The candidates that no other dominates, the most accurate first.

    Where contenders were trained again, the front is of them alone, by their means over fresh seeds.
    """
    found = [t for t in best_trials(trials, space) if admitted(t.genome)]
    again = [t for t in found if t.again is not None]
    found = again or found
    if not found:
        return []
    names = _names(objectives)
    kept = nondominated_values(_values(found, names), [OBJECTIVES[n].maximise for n in names])
    return [trial for trial, keep in zip(found, kept, strict=True) if keep]


def recorded_front(
    record: Mapping[str, Any], space: SearchSpace, trials: Sequence[Trial]
) -> list[Trial]:
    """`front_of` for a recorded search, from its settings and its ranked trials."""
    limits = from_mapping(Limits, record["limits"], "the study's limits")
    return front_of(trials, space, record["objectives"], lambda genome: limits.admit(genome, space))


def named_point(front: Sequence[Trial], objectives: Sequence[str], name: str) -> Trial:
    """The point of a front that POINTS names.

    Args:
        front: of `front_of`, not empty.

    Raises:
        InputError: an unknown name.
    """
    if name == Score.of(objectives).key:
        name = POINTS[0]
    if name not in POINTS:
        raise unknown("point", name, POINTS, place="best:STUDY/POINT")
    return front[_named(_goodness(front, objectives))[name]]


def spread(front: Sequence[Trial], objectives: Sequence[str], count: int) -> list[Trial]:
    """At most so many points of a front: those with names, then each the farthest from those before."""
    if not front or count < 1:
        return []
    good = _goodness(front, objectives)
    names = _named(good)
    order = ("knee",) if count == 1 else ("accuracy", "knee", "cheapest")
    chosen = list(dict.fromkeys(names[name] for name in order))[:count]
    while len(chosen) < min(count, len(front)):
        away = np.min(np.linalg.norm(good[:, None] - good[None, chosen], axis=2), axis=1)
        away[chosen] = -1
        chosen.append(int(away.argmax()))
    return [front[index] for index in sorted(chosen)]


def _named(good: np.ndarray) -> dict[str, int]:
    return {
        "accuracy": int(good[:, 0].argmax()),
        "knee": int(good.sum(1).argmax()),
        "cheapest": int(good[:, 1].argmax()),
    }


def _goodness(front: Sequence[Trial], objectives: Sequence[str]) -> np.ndarray:
    """Each objective over the front from 0, its worst, to 1, its best."""
    names = _names(objectives)
    signs = np.array([1.0 if OBJECTIVES[name].maximise else -1.0 for name in names])
    values = signs * _values(front, names)
    low, high = values.min(0), values.max(0)
    return (values - low) / np.where(high > low, high - low, 1.0)


def _names(objectives: Sequence[str]) -> Sequence[str]:
    """What a front is of: its objectives, or the score and what is looked at beside it."""
    if len(objectives) > 1:
        return objectives
    return (objectives[0], *LOOKED_AT[1:]) if own_score(objectives[0]) else LOOKED_AT


def _values(trials: Sequence[Trial], names: Sequence[str]) -> np.ndarray:
    """Values by trial and objective; accuracy is the mean over fresh seeds where there is one."""
    rows = []
    for trial in trials:
        accuracy = trial.attrs["accuracy"] if trial.again is None else trial.again
        accuracy *= (own_score(names[0]) or ("", 1.0))[1]
        others = trial.values[1:] if trial.values and len(trial.values) == len(names) else None
        rows.append([accuracy, *(others or [trial.attrs["params"]])])
    return np.array(rows, dtype=float)

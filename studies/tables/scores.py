"""A table's scores, losses and seconds as arrays, by pattern and seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.tables.file import Contents
from nas.tables.rows import MOST, Rows
from nas.tasks.table import find_task


def scores_of(
    contents: Contents,
    seeds: Sequence[int],
    numbers: np.ndarray | None = None,
    longer: bool = False,
) -> np.ndarray:
    """(P, S), scores on the validation part of which larger is better, the task's worst where a training
    did not come to its end; nan where there is none.

    Args:
        numbers: of patterns, rising; None is all.
        longer: of the longer training.
    """
    rows = contents.trainings[longer]
    worst = find_task(contents.header.space.proxy.task).worst
    return _spread(contents, rows, rows.final(rows.scores, worst), seeds, numbers)


def losses_of(
    contents: Contents, seeds: Sequence[int], numbers: np.ndarray | None = None
) -> np.ndarray:
    """(P, S), losses of the validation part, as `scores_of` has scores."""
    rows = contents.trainings[0]
    return _spread(contents, rows, rows.final(rows.scored_losses, MOST), seeds, numbers)


def seconds_of(contents: Contents, seeds: Sequence[int]) -> np.ndarray:
    """(P, S), seconds of the trainings by the proxy."""
    rows = contents.trainings[0]
    return _spread(contents, rows, rows.seconds, seeds, None)


def _spread(
    contents: Contents,
    rows: Rows,
    values: np.ndarray,
    seeds: Sequence[int],
    numbers: np.ndarray | None,
) -> np.ndarray:
    places = rows.places(contents.numbers if numbers is None else numbers, seeds)
    return np.append(values, np.nan)[places]  # the last is what has no row

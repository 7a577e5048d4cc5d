"""A table's scores as arrays, by pattern and seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.tables.file import Contents
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
    final = rows.final(find_task(contents.header.space.proxy.task).worst)
    places = rows.places(contents.numbers if numbers is None else numbers, seeds)
    return np.append(final, np.nan)[places]  # the last is what has no row

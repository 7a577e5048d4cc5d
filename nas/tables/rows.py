"""Trainings by one proxy as columns: numbers to compute with, and small arrays for a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from nas.errors import InputError
from nas.evaluation.result import Evaluation

STATUSES = ("ok", "diverged", "out of memory", "failed")
LEAST, MOST = 1e-6, 1e3
"""Losses are cut to this range; in a file they are 65,535 steps of its logarithm, 0.03 % each."""
STEPS = 65_535


@dataclass(frozen=True)
class Rows:
    """A row a training, in the order of patterns and seeds; nan is what it did not come to."""

    number: np.ndarray
    """(N,), of the pattern: the place of its gene vector among all of its space."""
    seed: np.ndarray
    status: np.ndarray
    """(N,), indices of STATUSES."""
    seconds: np.ndarray
    losses: np.ndarray
    """(N, epochs), of training."""
    scored_losses: np.ndarray
    """(N, epochs), of the validation part."""
    scores: np.ndarray
    """(N, epochs), of the validation part, of which larger is better."""
    test: np.ndarray
    """(N, 2), score in its own sign and loss of the test part."""

    def __len__(self) -> int:
        return len(self.number)

    @classmethod
    def empty(cls, epochs: int) -> Rows:
        """No rows of trainings of so many epochs."""
        whole, curve = np.empty(0, np.int64), np.empty((0, epochs))
        return cls(whole, whole, whole, np.empty(0), curve, curve, curve, np.empty((0, 2)))

    def joined(self, numbers: Sequence[int], evaluations: Sequence[Evaluation]) -> Rows:
        """These and further trainings, of patterns with these numbers."""
        if not numbers:
            return self
        epochs = self.losses.shape[1]

        def curves(rows: Sequence[Sequence[float]]) -> np.ndarray:
            return np.array([[*row, *[np.nan] * epochs][:epochs] for row in rows])

        more = Rows(
            np.array(numbers),
            np.array([one.seed for one in evaluations]),
            np.array([STATUSES.index(one.status) for one in evaluations]),
            np.array([one.seconds for one in evaluations]),
            curves([one.losses for one in evaluations]),
            curves([one.scored_losses for one in evaluations]),
            curves([one.accuracies for one in evaluations]),
            np.array([one.test or (np.nan, np.nan) for one in evaluations]),
        )
        whole = {
            f.name: np.concatenate([getattr(self, f.name), getattr(more, f.name)])
            for f in fields(self)
        }
        order = np.lexsort((whole["seed"], whole["number"]))
        return Rows(**{name: column[order] for name, column in whole.items()})

    def places(self, numbers: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
        """(P, S), the row of every pattern and seed; -1 where there is none."""
        found = np.full((len(numbers), len(seeds)), -1)
        for column, seed in enumerate(seeds):
            rows = np.flatnonzero((self.seed == seed) & np.isin(self.number, numbers))
            found[np.searchsorted(numbers, self.number[rows]), column] = rows
        return found

    def final(self, curves: np.ndarray, worst: float) -> np.ndarray:
        """(N,), scores or losses after the last epoch; the worst where a training did not come to its end."""
        return np.where(self.status == 0, curves[:, -1], worst)

    def packed(self, examples: tuple[int, int] | None) -> dict[str, np.ndarray]:
        """As small arrays.

        Args:
            examples: of the validation and the test part, where scores are shares of them.
        """
        test_scores, test_losses = self.test.T
        columns = {
            "number": self.number.astype(np.uint32),
            "seed": self.seed.astype(np.uint32),
            "status": self.status.astype(np.uint8),
            "seconds": np.minimum(self.seconds, 60_000).astype(np.float16),
            "losses": _logarithms(self.losses),
            "scored_losses": _logarithms(self.scored_losses),
            "test_losses": _logarithms(test_losses),
        }
        both = ("scores", self.scores), ("test_scores", test_scores)
        for (name, values), some in zip(both, examples or (0, 0), strict=True):
            columns[name] = _counts(values, some) if some else values.astype(np.float32)
        # neighbours of one column are alike, and so pack better than those of one row
        return {name: np.asfortranarray(column) for name, column in columns.items()}

    @classmethod
    def unpacked(
        cls, columns: Mapping[str, np.ndarray], examples: tuple[int, int] | None, epochs: int
    ) -> Rows:
        """The inverse of `packed`, but for what it rounds.

        Raises:
            InputError: the arrays do not fit together.
        """
        count = len(columns["number"])
        for name, column in columns.items():
            wanted = (count, epochs) if name in ("losses", "scored_losses", "scores") else (count,)
            if column.shape != wanted:
                raise InputError(f"{name} are {column.shape}, not {wanted}")
        scores, test = (
            _shares(columns[name], some) if some else columns[name].astype(float)
            for name, some in zip(("scores", "test_scores"), examples or (0, 0), strict=True)
        )
        return cls(
            columns["number"].astype(np.int64),
            columns["seed"].astype(np.int64),
            columns["status"].astype(np.int64),
            columns["seconds"].astype(float),
            _exponentials(columns["losses"]),
            _exponentials(columns["scored_losses"]),
            scores,
            np.stack([test, _exponentials(columns["test_losses"])], axis=1),
        )


NAMES = ("number", "seed", "status", "seconds", "losses", "scored_losses", "test_losses", "scores", "test_scores")  # fmt: skip
"""Of the arrays of a file."""


def _logarithms(losses: np.ndarray) -> np.ndarray:
    """Losses as whole steps of their logarithm from 1; 0 is nan."""
    places = np.log(np.clip(losses, LEAST, MOST) / LEAST) / np.log(MOST / LEAST)
    return np.nan_to_num(1 + np.rint((STEPS - 1) * places), nan=0).astype(np.uint16)


def _exponentials(steps: np.ndarray) -> np.ndarray:
    places = (steps.astype(float) - 1) / (STEPS - 1)
    return np.where(steps == 0, np.nan, LEAST * (MOST / LEAST) ** places)


def _counts(shares: np.ndarray, examples: int) -> np.ndarray:
    """How many of the examples; the largest number of the type is nan."""
    kind = np.uint16 if examples < np.iinfo(np.uint16).max else np.uint32
    return np.nan_to_num(np.rint(shares * examples), nan=np.iinfo(kind).max).astype(kind)


def _shares(counts: np.ndarray, examples: int) -> np.ndarray:
    return np.where(counts == np.iinfo(counts.dtype).max, np.nan, counts / examples)

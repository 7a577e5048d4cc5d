"""A Gaussian process that predicts from few results (Rasmussen & Williams 2006, chapters 2 and 5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LENGTHS = (0.5, 1.0, 2.0, 4.0)
"""Length scales that are tried, in mean distances of a group of standardised columns."""
NOISES = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Variances of the noise that are tried, in those of the values without it."""


def predict(known: Sequence[Array], values: Array, asked: Sequence[Array]) -> tuple[Array, Array]:
    """Mean and standard deviation (M,) of what M points have, by the values of N others.

    The kernel is Matérn's with ν = 3/2; length scale and noise are those of the greatest marginal
    likelihood.

    Args:
        known: groups of columns (N, D), which weigh the same however many columns they have.
        values: (N,), with mean 0.
        asked: the same groups for the M points, (M, D).
    """
    pairs = [_standardised(one, other) for one, other in zip(known, asked, strict=True)]
    points, others = (np.hstack(groups) for groups in zip(*pairs, strict=True))
    apart, across = _distances(points, points), _distances(others, points)
    best = (-np.inf, 0.0, 0.0, 0.0)
    kept = None
    for length in LENGTHS:
        roots, vectors = np.linalg.eigh(_matern(apart, length))
        along = vectors.T @ values
        for noise in NOISES:
            spread = np.maximum(roots, 0) + noise
            variance = max(float(np.mean(along**2 / spread)), 1e-12)
            likelihood = -0.5 * (len(values) * np.log(variance) + np.log(spread).sum())
            if likelihood > best[0]:
                best, kept = (likelihood, length, noise, variance), (spread, vectors, along)
    assert kept is not None
    (_, length, _, variance), (spread, vectors, along) = best, kept
    seen = _matern(across, length) @ vectors
    explained = (seen**2 / spread).sum(1)
    return seen @ (along / spread), np.sqrt(variance * np.maximum(1 - explained, 1e-12))


def _standardised(known: Array, asked: Array) -> tuple[Array, Array]:
    """Both with mean 0 and mean square 1 of the known points, over all columns that vary."""
    mean, deviation = known.mean(0), known.std(0)
    varies = deviation > 1e-9
    scale = deviation[varies] * max(1, int(varies.sum())) ** 0.5
    return (known - mean)[:, varies] / scale, (asked - mean)[:, varies] / scale


def _distances(one: Array, other: Array) -> Array:
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T
    return np.sqrt(np.maximum(squares, 0))


def _matern(distances: Array, length: float) -> Array:
    scaled = 3**0.5 * distances / length
    return (1 + scaled) * np.exp(-scaled)

"""What a tracker is told: the one class that MLflow's, TensorBoard's and a user's own are made over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Run:
    """A search or a long training that begins or goes on."""

    kind: str
    """`search` or `training`."""
    name: str
    """The study's, or the trained pattern's."""
    settings: Mapping[str, Any]
    """All that decides its results, flat: `proxy.epochs`."""
    folder: Path | None = None
    """Of a training's files; None for a search."""
    trials: tuple[Finished, ...] = ()
    """Of a search that goes on: those that have ended."""
    score: str = "accuracy"
    """Name of what a search ranks by, and of the curves: accuracy, or a score of the user's own."""


@dataclass(frozen=True)
class Finished:
    """A trial that has ended."""

    number: int
    notation: str
    role: str
    """A given pattern's name, or empty."""
    status: str
    scores: Mapping[str, float]
    """Values by objective, and params, macs, seconds; all scores of the user's own by their names."""
    curve: tuple[float, ...]
    """Validation accuracy by epoch, or the first score of the user's own."""
    genes: Mapping[str, Any]
    """Choices by name; empty for a pattern outside the space."""
    best: bool = False
    """Whether it is the best that the search found so far."""


@dataclass(frozen=True)
class End:
    """How it ended."""

    status: str
    """Such as budget, patience, interrupted; ok or diverged for a training."""
    sentence: str
    """What it comes to."""
    scores: Mapping[str, float] = field(default_factory=dict)
    artefacts: Mapping[str, Path] = field(default_factory=dict)
    """Files by what they are: `picture`, `report`, `network`. They may be gone after the call."""


class Tracker:
    """Told in this order, from one thread; every method may be overridden.

    What a tracker does or raises changes nothing of a search: it gets copies, in a thread of its own,
    and after its first error it is told nothing more.
    """

    def started(self, run: Run) -> None: ...

    def trial(self, trial: Finished) -> None:
        """After every trial of a search."""

    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        """After every epoch of a training, from 1; those from before are told again."""

    def ended(self, end: End) -> None: ...

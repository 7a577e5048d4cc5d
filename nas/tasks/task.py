"""What a trainer, a search and a report ask of a task, whatever is learned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Outputs = Literal["classes", "symbols", "map"]
"""What a network gives for an input: logits (classes,), logits (T, classes) of a text, or (C, H, W)."""
FIELDS = 1024
"""Random fields from which a task that spoils its inputs takes one an example."""
SCORED = 256
"""Of them, those with which examples are scored; the others are for training."""


@dataclass(frozen=True)
class Task(ABC):
    """What is learned. Losses and scores are of a batch: outputs (N, …), targets as `example` makes them."""

    name: str
    score: str
    """Name of the score, as objectives have it."""
    label: str
    """Name of the score in sentences and tables."""
    way: Literal["max", "min"]
    """Whether more of the score is better, or less."""
    unit: str
    """`%` of a share that is shown so, `dB`, or nothing."""
    outputs: Outputs
    labels: Literal["classes", "masks", "symbols", ""]
    """What an input of the data is labelled with; nothing where the labels do not matter."""
    standardised: bool = True
    """Whether pictures have mean 0 and deviation 1; otherwise they are from 0 to 1."""
    draws: bool = False
    """Whether its inputs are spoilt at random."""
    worst: float = 0.0
    """What a training counts that has diverged, where larger is better."""
    counts: bool = False
    """Whether the score's label is what it counts, as in `2.131 bits per character`."""

    @property
    def sign(self) -> float:
        """By which a score is multiplied where larger has to be better."""
        return 1.0 if self.way == "max" else -1.0

    def signed(self, value: float | None) -> float | None:
        """A score in its own sign, from one of which larger is better, and the other way round."""
        return None if value is None else self.sign * value

    def show(self, value: float) -> str:
        """A score of which larger is better, in its own sign and unit: `83.20 %`, `2.131`, `27.4 dB`."""
        if self.unit == "%":
            return f"{100 * value:.2f} %"
        return f"{self.sign * value:.4g} {self.unit}".rstrip()

    @property
    def examples(self) -> str:
        """What it is learned from."""
        return "sequences" if self.labels == "symbols" else "images"

    def width(self, shape: Sequence[int], classes: int) -> int:
        """Logits, or channels of the map, that a network needs for data of this shape and classes."""
        return classes

    def example(self, inputs: Tensor, labels: Tensor, fields: Tensor) -> tuple[Tensor, Tensor]:
        """What a network reads, and the targets.

        Args:
            inputs: pictures (N, C, H, W) as floats, or symbols (N, T).
            labels: as the data have them.
            fields: (N,), the random field of each example, from 0 to FIELDS - 1.
        """
        return inputs, labels

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """The mean loss of a batch, which is minimised."""

    @abstractmethod
    def measure(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """What a score is computed from, to be added over batches: numbers (k,) in float64, and the sum
        of the examples' losses, without label smoothing, in float64."""

    @abstractmethod
    def result(self, sums: Sequence[float], examples: int) -> float:
        """The score from the sums over so many examples."""

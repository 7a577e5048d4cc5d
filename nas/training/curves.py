"""What a training reports: its curves and its progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Curves:
    """What one training measured, a value an epoch."""

    losses: list[float] = field(default_factory=list)
    """Mean loss of the training batches: cross-entropy, or the task's own."""
    accuracies: list[float] = field(default_factory=list)
    """Of the part that is scored, where it was; a task's score, with a minus where less of it is better."""
    scored_losses: list[float] = field(default_factory=list)
    """Mean loss of that part; none in trainings of versions before 0.3."""
    gradients: list[tuple[float, float]] = field(default_factory=list)
    """L2 norms of the gradient in the first and last layer's branch weights, at an epoch's last step, after
    clipping."""
    diverged: str = ""
    """Why the training could not go on; empty where it could."""
    stopped: bool = False
    """Whether `on_epoch` ended it early."""


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training stands after its last epoch, beside the network's own tensors."""

    curves: Curves
    momentum: Mapping[str, Tensor]
    """The optimizer's, by the parameter's name."""
    variance: Mapping[str, Tensor] = field(default_factory=dict)
    """AdamW's mean squares of the gradients, by the parameter's name."""

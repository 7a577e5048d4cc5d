"""What a search can optimise, and the value of a candidate that could not be trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, log10

from nas.errors import InputError, unknown
from nas.evaluation.result import Evaluation
from studies.formatting import large, percent
from studies.store.names import LOSS

QUALITIES = ("accuracy", LOSS)
"""Objectives of which a search has one, and that first."""
WORST_SECONDS = 1e6
"""Latency of a candidate that does not fit into memory."""
WORST_LOSS = 1e6
"""Validation loss of a candidate that diverged or does not fit into memory."""
WORST_DECADES = 300.0
"""Gradient ratio of a candidate without finite gradients: about all that a float can hold."""


@dataclass(frozen=True)
class Objective:
    label: str
    """What it is, in sentences and tables."""
    unit: str
    """Of axes; empty for counts."""
    scale: float
    """How many units a value of 1 is."""
    show: Callable[[float], str]
    """A value with its unit, as text."""
    maximise: bool
    value: Callable[[Evaluation], float]
    about: str
    measured: bool = False
    """Whether it is a measurement, which does not repeat exactly."""

    @property
    def axis(self) -> str:
        return f"{self.label}, {self.unit}" if self.unit else self.label


def gradient_ratio(evaluation: Evaluation) -> float:
    """How unevenly gradients reach the layers: mean over epochs of |log10(first / last)|.

    `first` and `last` are the L2 norms of the gradients of the first and the last layer's branch,
    so 0 is even, and 2 is a hundred times more, or less, in the first layer.
    """
    import numpy as np  # here, as the names of objectives are read without it

    decades = [
        abs(log10(first / last)) if 0 < first < inf and 0 < last < inf else WORST_DECADES
        for first, last in evaluation.gradients
    ]
    whole = decades and evaluation.status not in ("diverged", "out of memory")
    return float(np.mean(decades)) if whole else WORST_DECADES


def validation_loss(evaluation: Evaluation) -> float:
    """Mean cross-entropy over the validation images after the last epoch that was trained."""
    losses = evaluation.scored_losses if evaluation.status in ("ok", "pruned") else ()
    return min(losses[-1], WORST_LOSS) if losses and losses[-1] < inf else WORST_LOSS


def _seconds(measured: float | None) -> float:
    return WORST_SECONDS if measured is None else measured


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"


OBJECTIVES: dict[str, Objective] = {
    "accuracy": Objective(
        "validation accuracy", "%", 100, percent,
        True, lambda e: e.accuracy, "share of validation images",
    ),
    LOSS: Objective(
        "validation loss", "", 1, "{:.4f}".format,
        False, validation_loss, "mean cross-entropy over validation images",
    ),
    "params": Objective(
        "parameters", "", 1, large, False, lambda e: float(e.params), "learnt parameters"
    ),
    "macs": Objective(
        "multiply-adds", "", 1, large, False, lambda e: float(e.macs), "multiply-adds an image"
    ),
    "latency-1": Objective(
        "latency of one image", "ms", 1000, _milliseconds,
        False, lambda e: _seconds(e.latency_1), "seconds of a pass of one image", measured=True,
    ),
    "latency-full": Objective(
        "latency of a batch", "ms", 1000, _milliseconds,
        False, lambda e: _seconds(e.latency_full), "seconds of a pass of a batch", measured=True,
    ),
    "gradient-ratio": Objective(
        "unevenness of gradients", "decades", 1, "{:.3g}".format,
        False, gradient_ratio, "|log10| of the first layer's gradient over the last's",
    ),
}  # fmt: skip
"""A diverged candidate has accuracy 0; its parameters and MACs are what they are."""


def check_objectives(names: Sequence[str], strategy: str, several: bool) -> tuple[str, ...]:
    """The names, if they exist, are distinct, begin with accuracy or loss, and suit the strategy.

    Args:
        several: whether the strategy can have several objectives.

    Raises:
        InputError: otherwise.
    """
    for name in names:
        if name not in OBJECTIVES:
            raise unknown("objective", name, OBJECTIVES, place="--objectives")
    if len(set(names)) != len(names):
        raise InputError(f"--objectives {','.join(names)}: each one once")
    if not names or names[0] not in QUALITIES:
        raise InputError("--objectives: accuracy or loss comes first, such as accuracy,params")
    if len(names) > 1 and not several:
        raise InputError(
            f"--objectives {','.join(names)}: strategy {strategy!r} has one objective; "
            "nsga2, tpe and others have several"
        )
    return tuple(names)

"""What a search can optimise, and the value of a candidate that could not be trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, log10

from nas.architecture.space import RATE_GENE
from nas.errors import InputError, unknown
from nas.evaluation.result import Evaluation
from studies.formatting import INTERVALS, SIGNED, TASK_SCORES, large, percent
from studies.store.names import COLUMNS, LOSS, own_score

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


def _own(name: str, sign: float) -> Objective:
    """A score of the user's own, or of a task."""

    def value(evaluation: Evaluation) -> float:
        known = evaluation.status in ("ok", "pruned")
        return evaluation.scores[name] if known else -sign * inf

    task = TASK_SCORES.get(f"{'max' if sign > 0 else 'min'}:{name}")
    if task:
        label, about = f"validation {task.label}", f"{task.label} on validation {task.examples}"
        return Objective(label, task.unit, 1, lambda v: task.show(sign * v), sign > 0, value, about)
    about = "as the own training returns it"
    return Objective(name, "", 1, "{:.4g}".format, sign > 0, value, about)


class Objectives(dict[str, Objective]):
    """Objectives by name; `max:f1` and `min:perplexity` are scores of the user's own."""

    def __missing__(self, name: str) -> Objective:
        own = own_score(name)
        if own is None:
            raise KeyError(name)
        return _own(*own)


OBJECTIVES = Objectives({
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
        "multiply-adds", "", 1, large, False, lambda e: float(e.macs), "multiply-adds an input"
    ),
    "latency-1": Objective(
        "latency of one input", "ms", 1000, _milliseconds,
        False, lambda e: _seconds(e.latency_1), "seconds of a pass of one input", measured=True,
    ),
    "latency-full": Objective(
        "latency of a batch", "ms", 1000, _milliseconds,
        False, lambda e: _seconds(e.latency_full), "seconds of a pass of a batch", measured=True,
    ),
    "gradient-ratio": Objective(
        "unevenness of gradients", "decades", 1, "{:.3g}".format,
        False, gradient_ratio, "|log10| of the first layer's gradient over the last's",
    ),
})  # fmt: skip
"""A diverged candidate has accuracy 0; its parameters and MACs are what they are."""


TAKEN = frozenset({
    *COLUMNS, *SIGNED, *INTERVALS, RATE_GENE, "best", "event", "scores", "values", "name",
    "std", "n", "p", "ahead_p", "trial", "evaluations", "numbers", "seeds",
}) - {"accuracy"}  # fmt: skip
"""Names that stand for something else beside a score, in tables and JSON."""
UNTRAINED = ("params", "macs", "latency-1", "latency-full")
"""Objectives that do not come from the framework's own training."""


def own_objectives(
    names: Sequence[str], ways: Mapping[str, str], default: Sequence[str], place: str
) -> tuple[str, ...]:
    """The objectives of a search whose scores are the user's own.

    Args:
        names: as they were asked for; empty is the first score, and what `default` has beside accuracy.
        ways: whether each score is to be max or min, by its name.
        place: what returns them, in an error: an own training, or a task.

    Raises:
        InputError: none of the scores, and not what a plan or a measurement tells; or a score whose
            name stands for something else.
    """
    _check_free(ways, place)
    own = {name: f"{way}:{name}" for name, way in ways.items()}
    for name in names:
        if name not in own and name not in own.values() and name not in UNTRAINED:
            raise unknown("objective", name, (*own, *UNTRAINED), place=f"--objectives with {place}")
    if not names:
        names = (next(iter(own)), *default[1:])
    return tuple(own.get(name, name) for name in names)


def _check_free(scores: Iterable[str], place: str) -> None:
    """Raises InputError for a score of the user's own whose name stands for something else."""
    for name in scores:
        if name in TAKEN:
            raise InputError(f"{place}: no score can be called {name}, which a trial has already")


def check_objectives(
    names: Sequence[str], strategy: str, several: bool, own: bool = False
) -> tuple[str, ...]:
    """The names, if they exist, are distinct, begin with accuracy or loss, and suit the strategy.

    Args:
        several: whether the strategy can have several objectives.
        own: whether the scores are the user's own, of which one comes first then.

    Raises:
        InputError: otherwise.
    """
    for name in names:
        if name not in OBJECTIVES and not (own and own_score(name)):
            raise unknown("objective", name, OBJECTIVES, place="--objectives")
    _check_free((score[0] for name in names if (score := own_score(name))), "--objectives")
    if len(set(names)) != len(names):
        raise InputError(f"--objectives {','.join(names)}: each one once")
    if own and names and not own_score(names[0]):
        raise InputError(f"--objectives {','.join(names)}: a score of your own comes first")
    if not own and (not names or names[0] not in QUALITIES):
        raise InputError("--objectives: accuracy or loss comes first, such as accuracy,params")
    if len(names) > 1 and not several:
        raise InputError(
            f"--objectives {','.join(names)}: strategy {strategy!r} has one objective; "
            "nsga2, tpe and others have several"
        )
    return tuple(names)

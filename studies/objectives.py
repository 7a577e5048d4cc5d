"""What a search can optimise, and the value of a candidate that could not be trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nas.errors import InputError, unknown
from nas.evaluation import Evaluation


@dataclass(frozen=True)
class Objective:
    maximise: bool
    value: Callable[[Evaluation], float]


OBJECTIVES: dict[str, Objective] = {
    "accuracy": Objective(True, lambda e: e.accuracy),
    "params": Objective(False, lambda e: float(e.params)),
    "macs": Objective(False, lambda e: float(e.macs)),
}
"""A diverged candidate has accuracy 0; its parameters and MACs are what they are."""

MULTI_OBJECTIVE = ("nsga2", "random")


def check_objectives(names: Sequence[str], strategy: str) -> tuple[str, ...]:
    """The names, if they exist, are distinct, begin with accuracy, and suit the strategy.

    Raises:
        InputError: otherwise.
    """
    for name in names:
        if name not in OBJECTIVES:
            raise unknown("objective", name, OBJECTIVES, place="--objectives")
    if len(set(names)) != len(names):
        raise InputError(f"--objectives {','.join(names)}: each one once")
    if not names or names[0] != "accuracy":
        raise InputError("--objectives: accuracy comes first, such as accuracy,params")
    if len(names) > 1 and strategy not in MULTI_OBJECTIVE:
        raise InputError(
            f"--objectives {','.join(names)}: strategy {strategy!r} has one objective; "
            f"several are for {' and '.join(MULTI_OBJECTIVE)}"
        )
    return tuple(names)

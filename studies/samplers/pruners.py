"""Optuna's pruners for every strategy with one objective.

The decision about trial k after an epoch depends on k's own curve and on what the trials before
k - lag have recorded: a pruner is made anew for it, on a view of those trials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nas.strategies.problem import PastTrial

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

REDUCTION = 2
"""Of two candidates about one goes on at every rung: proxies have few epochs, so few rungs."""


def _median(epochs: int) -> BasePruner:
    from optuna.pruners import MedianPruner

    return MedianPruner(n_startup_trials=8)


def _halving(epochs: int) -> BasePruner:
    """Asynchronous, as Li et al. 2018 have it (ASHA)."""
    from optuna.pruners import SuccessiveHalvingPruner

    return SuccessiveHalvingPruner(min_resource=1, reduction_factor=REDUCTION, bootstrap_count=0)


def _hyperband(epochs: int) -> BasePruner:
    from optuna.pruners import HyperbandPruner

    return HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=REDUCTION)


PRUNERS: dict[str, Callable[[int], BasePruner] | None] = {
    "none": None,
    "median": _median,
    "halving": _halving,
    "hyperband": _hyperband,
}
"""A pruner by name, made from the proxy's epochs. Optuna is imported when one is made."""


def judge(
    pruner: str,
    epochs: int,
    visible: Sequence[PastTrial],
    k: int,
    curve: Mapping[int, float],
    memory: Mapping[str, Any],
    weight: float = 1.0,
) -> tuple[bool, dict[str, Any]]:
    """Whether trial k is to be pruned now, and what the pruner keeps with it.

    Args:
        epochs: of a whole proxy training; after the last there is nothing to prune.
        visible: trials 0 to k - lag - 1, finished.
        curve: trial k's accuracy, or score of the user's own, by epoch so far.
        memory: what the pruner kept with trial k after earlier epochs.
        weight: 1 where more is better on the curves, else -1.
    """
    from studies.samplers.visible import VisibleStudy

    make = PRUNERS[pruner]
    assert make is not None
    view = VisibleStudy([weight])
    for record in visible:
        view.add(record)
    for _ in range(len(visible), k):
        view.begin()  # so that trial k has its number, by which Hyperband chooses a bracket
    trial_id = view.begin()
    for key, value in memory.items():
        view.storage.set_trial_system_attr(trial_id, key, value)
    for epoch, accuracy in curve.items():
        view.storage.set_trial_intermediate_value(trial_id, epoch, accuracy)
    stop = make(epochs).prune(view.study, view.trial(trial_id))
    return stop and max(curve) < epochs, dict(view.trial(trial_id).system_attrs)

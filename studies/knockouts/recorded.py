"""What each skip of the winner is worth: what is recorded of the networks without it.

They are a study of their own beside the search's, a trial for every network: the winner trained
once more (role "whole"), that network less one skip ("cut"), the pattern without the skip trained
from the start ("retrained"; not where the search has evaluated that pattern itself).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from studies.knockouts.lesions import remove_skip, skips_of
from studies.store.names import KNOCKOUTS
from studies.store.store import Store
from studies.store.trial import Trial, status_of

WHOLE, CUT, RETRAINED = "whole", "cut", "retrained"


@dataclass(frozen=True)
class Loss:
    """One skip of the winner."""

    layer: int
    distance: int
    strength: float
    merge: str
    cut: float | None
    """Validation accuracy of the trained network without it."""
    retrained: float | None
    """Validation accuracy of the pattern without it, trained from the start."""
    trial: int | None
    """The search's trial that the retrained accuracy is from; None if it was trained for this."""
    why: str
    """Why an accuracy is missing."""


@dataclass(frozen=True)
class Knockout:
    number: int
    """The winner's trial."""
    seed: int
    whole: float | None
    """Validation accuracy of the network that skips were cut from."""
    losses: tuple[Loss, ...]
    missing: int
    """Networks that are yet to be scored, of `total`."""
    total: int
    seconds: float


def recorded_knockout(store: Store, winner: Trial, trials: Sequence[Trial]) -> Knockout | None:
    """What is recorded of the winner's knock-outs; None where they were never asked for."""
    study = store.beside(KNOCKOUTS)
    if study is None:
        return None
    beside = study.trials()
    done = by_part(beside)
    known = trained_keys(trials)
    key = winner.key
    whole = done.get((WHOLE, key, key))
    if whole is None:
        return None
    losses: list[Loss] = []
    waiting: list[Trial | None] = [whole]
    for layer, distance in skips_of(winner.genome):
        without = remove_skip(winner.genome, layer, distance).key
        cut = done.get((CUT, key, without))
        anew = known.get(without) or done.get((RETRAINED, "", without))
        waiting += [cut, anew]
        own = winner.genome.layers[layer - 1]
        strength = next(s.strength for s in own.skips if s.distance == distance)
        losses.append(
            Loss(
                layer, distance, strength, own.merge or "", _accuracy(cut), _accuracy(anew),
                known[without].number if without in known else None, _why(cut) or _why(anew),
            )
        )  # fmt: skip
    missing = sum(trial is None or not trial.state.is_finished() for trial in waiting)
    seconds = sum(trial.attrs.get("seconds") or 0.0 for trial in beside)
    return Knockout(
        winner.number, whole.attrs["seed"], _accuracy(whole), tuple(losses), missing,
        len(waiting), round(seconds, 3),
    )  # fmt: skip


def by_part(trials: Sequence[Trial]) -> Mapping[tuple[str, str, str], Trial]:
    """A knock-out study's trials by (role, key of the network that was cut or nothing, key)."""
    return {(t.attrs["role"], t.attrs.get("of", ""), t.key): t for t in trials}


def trained_keys(trials: Sequence[Trial]) -> dict[str, Trial]:
    """The patterns that a search has trained from scratch to the end, or to their divergence."""
    scratch = (t for t in trials if "inherited_from" not in t.attrs)
    return {t.key: t for t in scratch if status_of(t) in ("ok", "diverged")}


def _accuracy(trial: Trial | None) -> float | None:
    return trial.attrs["accuracy"] if trial is not None and trial.ok else None


def _why(trial: Trial | None) -> str:
    if trial is None or trial.ok or not trial.state.is_finished():
        return ""
    return f"{status_of(trial)}: {trial.attrs.get('why', '')}".removesuffix(": ")

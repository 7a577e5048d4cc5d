"""Strategies against each other: best-so-far curves over search seeds, and paired tests.

Studies that differ in nothing but the search's seed are the repetitions of one contender. A seed
also fixes weights and batches, so scores are compared within seeds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any

import numpy as np
from optuna.storages import BaseStorage

from nas.errors import InputError, unknown
from nas.files.settings import differences
from nas.statistics import FEWEST, holm, interval, paired_p
from studies.formatting import Score
from studies.search.screen import SCREENED_ON
from studies.search.settings import recorded_space
from studies.store.names import check_trained_here, search_names, study_names
from studies.store.store import Store
from studies.store.trial import Trial

SAME = ("data", "proxy", "trainer")
"""Settings without which accuracies cannot be compared."""


@dataclass(frozen=True)
class StrategyRuns:
    """A strategy with its repetitions."""

    label: str
    studies: tuple[str, ...]
    seeds: tuple[int, ...]
    curves: tuple[tuple[float, ...], ...]
    """By seed: accuracy of the best candidate found so far after each evaluation, 0 before the
    first. Hand-made patterns are not among the candidates."""
    epochs: tuple[int, ...]
    """By seed: trained by all candidates together, which pruning makes fewer."""
    seconds: tuple[float, ...]
    """By seed: of training, summed over the candidates, with what else the machine did."""
    reached: tuple[int | None, ...] = ()
    """By seed: evaluations until the target was reached, None if it never was."""
    difference: float | None = None
    """Mean of its final score less that of the first contender, over the seeds of both."""
    bounds: tuple[float, float] | None = None
    """95 % confidence interval of the difference."""
    p: float | None = None
    """Two-sided paired t-test of the difference, corrected for the contenders (Holm 1979)."""
    pairs: int = 0
    """Seeds that both have."""
    inherits: bool = False
    """Whether its accuracies hold the training of ancestors."""

    @property
    def finals(self) -> list[float]:
        return [curve[-1] for curve in self.curves]

    @property
    def mean(self) -> float:
        return float(np.mean(self.finals))

    @property
    def std(self) -> float:
        """Over search seeds; nan for one."""
        return float(np.std(self.finals, ddof=1)) if len(self.finals) > 1 else float("nan")

    @property
    def anytime(self) -> float:
        """Mean of the curve over all evaluations, and over seeds: how good it is on the way."""
        return float(np.mean([np.mean(curve) for curve in self.curves]))


@dataclass(frozen=True)
class Comparison:
    evaluations: int
    """Trials that every study has; what a study has more is left out."""
    target: float
    """Accuracy that the contenders were to reach."""
    patterns: Mapping[str, float]
    """Accuracy of the hand-made patterns by the proxy, mean over all studies."""
    contenders: tuple[StrategyRuns, ...]

    def as_json(self) -> dict[str, Any]:
        entries = [
            {**asdict(one), "mean": one.mean, "std": one.std, "anytime": one.anytime}
            for one in self.contenders
        ]
        whole = {**asdict(self), "contenders": entries}
        return json.loads(json.dumps(whole), parse_constant=lambda _: None)


def compare_studies(
    storage: BaseStorage, names: Sequence[str], target: float | None = None
) -> Comparison:
    """Compares studies; the first one's contender is what the others are held against.

    Args:
        names: of studies, or patterns such as `tpe-*`.
        target: an accuracy from 0 to 1; None is what the weakest contender ends with on average.

    Raises:
        InputError: no such study, nothing to compare, or studies on other data or with another
            training.
    """
    found = _chosen(storage, names)
    stores = [Store.load_search(storage, name) for name in found]
    for store in stores:
        check_trained_here(store.settings, store.name, "nas compare")
        if Score.of(store.settings["objectives"]).own:
            raise InputError(f"study {store.name!r}: nas compare is for studies of accuracy")
    settings = [store.settings for store in stores]
    _check_same(found, settings)
    trials = [store.trials() for store in stores]
    finished = [next((t.number for t in ts if not t.state.is_finished()), len(ts)) for ts in trials]
    evaluations = min(finished)
    if evaluations == 0:
        empty = found[finished.index(0)]
        raise InputError(f"study {empty!r} has no finished trial yet")
    trials = [ts[:evaluations] for ts in trials]
    groups: dict[str, list[int]] = {}
    for index, one in enumerate(settings):
        key = {name: value for name, value in one.items() if name not in ("seed", "device")}
        groups.setdefault(json.dumps(key, sort_keys=True), []).append(index)
    labels = _labels([settings[indices[0]] for indices in groups.values()])
    contenders = []
    for label, members in zip(labels, groups.values(), strict=True):
        ordered = sorted(members, key=lambda i: settings[i]["seed"])
        for first, second in pairwise(ordered):
            if settings[first]["seed"] == settings[second]["seed"]:
                raise InputError(
                    f"studies {found[first]!r} and {found[second]!r} are the same search with the "
                    "same seed, which counts once: name one of them"
                )
        curves = tuple(_best_so_far(trials[i], settings[i]) for i in ordered)
        contenders.append(
            StrategyRuns(
                label, tuple(found[i] for i in ordered),
                tuple(settings[i]["seed"] for i in ordered), curves,
                tuple(_epochs(trials[i]) for i in ordered),
                tuple(sum(t.attrs.get("seconds") or 0.0 for t in trials[i]) for i in ordered),
                inherits="inherit" in settings[members[0]],
            )
        )  # fmt: skip
    goal = min(one.mean for one in contenders) if target is None else target
    contenders = [
        replace(one, reached=tuple(_first(curve, goal) for curve in one.curves))
        for one in contenders
    ]
    return Comparison(evaluations, goal, _patterns(trials), _tested(contenders))


def _chosen(storage: BaseStorage, names: Sequence[str]) -> list[str]:
    """The studies of names and patterns, in the order of the names, each once."""
    existing, searches = study_names(storage), search_names(storage)
    found: list[str] = []
    for name in names:
        matching = [name] if name in existing else [s for s in searches if fnmatchcase(s, name)]
        if not matching:
            raise unknown("study", name, searches)
        found += [one for one in matching if one not in found]
    if len(found) < 2:
        raise InputError(f"nothing to compare: {', '.join(found)} is one study; name another")
    return found


def _check_same(names: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> None:
    for name, one in zip(names[1:], settings[1:], strict=True):
        for part in SAME:
            recorded = {part: settings[0][part], "skeleton": settings[0]["space"]["skeleton"]}
            asked = {part: one[part], "skeleton": one["space"]["skeleton"]}
            for text in differences(recorded, asked):
                raise InputError(f"studies {names[0]!r} and {name!r} cannot be compared: {text}")


def _labels(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The strategy, its pruner, screen and inheritance, and what else differs from the first contender."""
    labels = []
    for one in settings:
        words = [one["strategy"], one.get("pruner"), one.get("screen")]
        words.append("inherit" if "inherit" in one else None)
        labels.append(" + ".join(filter(None, words)))
    made = []
    for label, one in zip(labels, settings, strict=True):
        first = settings[0]
        more = [
            text.replace(" is ", "=").split("=")[0] + "=" + text.rsplit("not ", 1)[1]
            for text in differences(_flat(first), _flat(one))
        ]
        made.append(f"{label} ({', '.join(sorted(more))})" if more else label)
    return made


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings less what labels say already, and with short names."""
    said = ("seed", "strategy", "device", "pruner", "screen", SCREENED_ON, "inherit")
    left = {k: v for k, v in settings.items() if k not in said}
    space = {k: v for k, v in left.pop("space").items() if k not in ("name", "data", "skeleton")}
    return {**left, **space}


def _best_so_far(trials: Sequence[Trial], settings: Mapping[str, Any]) -> tuple[float, ...]:
    space = recorded_space(settings)
    scores = [
        t.attrs["accuracy"] if t.ok and not t.attrs["role"] and t.genome in space else 0.0
        for t in trials
    ]
    return tuple(np.maximum.accumulate(scores).tolist())


def _epochs(trials: Sequence[Trial]) -> int:
    return sum(len(t.attrs.get("accuracies") or ()) for t in trials)


def _first(curve: Sequence[float], target: float) -> int | None:
    return next((k for k, best in enumerate(curve, 1) if best >= target), None)


def _patterns(trials: Sequence[Sequence[Trial]]) -> dict[str, float]:
    scores: dict[str, list[float]] = {}
    for trial in (t for ts in trials for t in ts if t.ok and t.attrs["role"]):
        scores.setdefault(trial.attrs["role"], []).append(trial.attrs["accuracy"])
    return {role: float(np.mean(values)) for role, values in scores.items()}


def _tested(contenders: Sequence[StrategyRuns]) -> tuple[StrategyRuns, ...]:
    """Adds to each but the first its paired difference from that, with p."""
    first, *others = contenders
    reference = dict(zip(first.seeds, first.finals, strict=True))
    deltas = [
        np.array(
            [f - reference[s] for s, f in zip(o.seeds, o.finals, strict=True) if s in reference]
        )
        for o in others
    ]
    p_values = [paired_p(delta) for delta in deltas]
    tested = [index for index, p in enumerate(p_values) if p is not None]
    corrected = dict(zip(tested, holm([p_values[i] or 0.0 for i in tested]), strict=True))
    made = [first]
    for index, (other, delta) in enumerate(zip(others, deltas, strict=True)):
        fields = {**vars(other), "pairs": len(delta), "p": corrected.get(index)}
        if len(delta):
            fields["difference"] = float(delta.mean())
        if len(delta) >= FEWEST:
            fields["bounds"] = interval(delta.tolist())
        made.append(StrategyRuns(**fields))
    return tuple(made)

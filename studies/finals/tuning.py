"""Tuning: finalists and references are trained alike at every learning rate, on validation images.

Each goes to the test at its own best rate. The best finalist there is the search's winner, and the best
reference is what it has to beat; both are chosen before any test image is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.architecture.genome import Genome
from nas.architecture.plan import plan
from nas.architecture.references import FIRST, REFERENCES, reference
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.architecture.space import SearchSpace
from nas.errors import InputError
from nas.proxy import Proxy
from nas.workers.protocol import Pool
from studies.finals.trainings import USUAL, Setting, Trainings, train_all
from studies.store.names import TUNED, TUNING, labelled, worst_score
from studies.store.store import Store

FIRST_SEED = 700_000
"""Its seeds start here among a search's fresh ones."""


@dataclass(frozen=True)
class Tuned:
    """A pattern at its best learning rate."""

    name: str
    """`trial 17`, or a reference's name."""
    genome: Genome
    """With that rate; without one where the space has none."""
    mean: float
    """Validation accuracy there, mean over seeds."""
    std: float | None
    """Sample standard deviation; None for one seed."""

    @property
    def rate(self) -> float | None:
        """The learning rate; None where the space has none."""
        return self.genome.learning_rate


def references_of(space: SearchSpace) -> dict[str, Genome]:
    """The references that fit a space: it has their merges, and its skeleton can build them.

    Plain, residual and dense are among them whatever the merges. For few layers some coincide; then
    the first name stays.
    """
    found: dict[str, Genome] = {}
    for name in REFERENCES:
        genome = reference(name, space.skeleton)
        merges = {layer.merge for layer in genome.layers if layer.merge}
        if name not in FIRST and not merges <= set(space.merges):
            continue
        if genome not in found.values() and buildable(genome, space):
            found[name] = genome
    return found


def buildable(genome: Genome, space: SearchSpace) -> bool:
    """Whether it can be built on the space's skeleton: option A adapters cannot shrink a width."""
    try:
        plan(genome, space.skeleton)
    except InputError:
        return False
    return True


def run_tuning(
    entries: Mapping[str, Genome],
    rates: Sequence[float],
    skeleton: AnySkeleton,
    proxy: Proxy,
    seeds: Sequence[int],
    store: Store,
    url: str,
    workers: Pool,
    on_result: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
    setting: Setting = USUAL,
) -> list[Tuned]:
    """Trains every entry at every rate over the same seeds; the most accurate first.

    Args:
        entries: patterns by name.
        rates: none leaves all at the proxy's.
        store: the search's, which notes the result.
        url: the storage's.
        on_result: called with (trainings done, trainings in all).
        stop: asked again and again; no training starts when it is true.
        setting: that of a transfer.

    Returns:
        Nothing if it was stopped before all were trained.
    """
    grid = {
        name: [genome.pattern.at(rate) for rate in rates or (None,)]
        for name, genome in entries.items()
    }
    genomes = list(dict.fromkeys(genome for row in grid.values() for genome in row))
    batch = Trainings.over_seeds("tuning", genomes, seeds, proxy, "validation", setting.skeletons)
    what = labelled(TUNING, setting.label)
    beside = store.open_beside(what, skeleton, proxy, "validation accuracy", **setting.record)
    with beside.joined(url):
        results = train_all(batch, skeleton, beside, workers, on_result, stop, store)
    if results is None:
        return []
    scores = {g: [s for seed in seeds if (s := results[g.key, seed]) is not None] for g in genomes}
    worst = worst_score(store.settings)
    tuned = [_best(name, row, scores, worst) for name, row in grid.items()]
    tuned.sort(key=lambda one: -one.mean)
    told = [[one.name, str(one.genome), one.mean, one.std] for one in tuned]
    note = {"entries": told, "rates": list(rates), "seeds": list(seeds)}
    store.note(labelled(TUNED, setting.label), note)
    return tuned


def recorded_tuning(notes: Mapping[str, Any], label: str = "") -> list[Tuned]:
    """What a search has noted of its last tuning, the most accurate first.

    Args:
        label: of a transfer.
    """
    entries = (notes.get(labelled(TUNED, label)) or {}).get("entries", ())
    return [Tuned(name, Genome.parse(text), mean, std) for name, text, mean, std in entries]


def best_reference(tuned: Sequence[Tuned]) -> Tuned | None:
    """The most accurate of the references."""
    return next((one for one in tuned if one.name in REFERENCES), None)


def _best(
    name: str, row: Sequence[Genome], scores: Mapping[Genome, list[float]], worst: float
) -> Tuned:
    """A pattern at the rate of its highest mean, of equals the lower one."""
    means = [float(np.mean(scores[genome])) if scores[genome] else worst for genome in row]
    best = row[int(np.argmax(means))]
    std = float(np.std(scores[best], ddof=1)) if len(scores[best]) > 1 else None
    return Tuned(name, best, max(means), std)

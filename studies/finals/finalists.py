"""Finalists: the best candidates and the hand-made patterns, trained longer, scored once on the test set.

They are a study of their own beside the search's, a trial for every (genome, seed), so a run that
was interrupted goes on, and a finalist of a larger budget is trained only where it is new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nas.architecture.genome import Genome
from nas.architecture.plan import plan
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.proxy import Proxy
from nas.statistics import holm, paired_p
from nas.workers.protocol import Pool
from studies.finals.trainings import USUAL, Setting, Trainings, results_of, train_all
from studies.store.names import FINALISTS, TABLE, is_found, labelled
from studies.store.store import Store


@dataclass(frozen=True)
class Finalist:
    """A row of the finalists' table."""

    name: str
    """`trial 17`, or a hand-made pattern's name."""
    genome: Genome
    accuracies: tuple[float | None, ...]
    """Test accuracy by seed: 0 where the training diverged, None where it could not be done."""
    params: int
    macs: int
    difference: float | None = None
    """Mean of the paired differences to the residual pattern, over seeds."""
    p: float | None = None
    """Two-sided paired t-test against it, corrected for the number of finalists (Holm 1979)."""
    ahead: float | None = None
    """The same difference to the best reference, where that is not the residual pattern."""
    ahead_p: float | None = None

    @property
    def scores(self) -> list[float]:
        """The accuracies that there are."""
        return [score for score in self.accuracies if score is not None]

    @property
    def n(self) -> int:
        return len(self.scores)

    @property
    def mean(self) -> float:
        return float(np.mean(self.scores)) if self.scores else float("nan")

    @property
    def std(self) -> float:
        """Sample standard deviation over seeds; nan for one."""
        return float(np.std(self.scores, ddof=1)) if len(self.scores) > 1 else float("nan")


def run_finalists(
    entries: Sequence[tuple[str, Genome]],
    skeleton: AnySkeleton,
    proxy: Proxy,
    seeds: Sequence[int],
    store: Store,
    url: str,
    workers: Pool,
    on_result: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
    best: str | None = None,
    setting: Setting = USUAL,
) -> list[Finalist]:
    """Trains every entry over all seeds, scores it on the test images, and compares.

    Args:
        entries: (name, genome); the one named "residual" is what the others are compared with.
        best: the entry that is the best reference, with which they are compared, too.
        setting: that of a transfer.
        store: the search's.
        url: the storage's.
        on_result: called with (trainings done, trainings in all).
        stop: asked again and again; no training starts when it is true.

    Returns:
        Nothing if it was stopped before all were trained.
    """
    what = labelled(FINALISTS, setting.label)
    beside = store.open_beside(what, skeleton, proxy, "test accuracy", **setting.record)
    named = [[name, str(genome)] for name, genome in entries]
    note = {"entries": named, "seeds": list(seeds), "best": best}
    store.note(labelled(TABLE, setting.label), note)
    batch = Trainings.over_seeds(
        "final", [genome for _, genome in entries], seeds, proxy, "test", setting.skeletons
    )
    with beside.joined(url):
        results = train_all(batch, skeleton, beside, workers, on_result, stop, store)
    return _rows(entries, seeds, results, skeleton, best, setting.skeletons) if results else []


def trained(table: Mapping[str, Any], finals: Store) -> tuple[int, int]:
    """(trainings of a noted table that have ended, all of them), also where a merge is unknown.

    Args:
        finals: the study of the finalists, which can hold earlier tables' trainings, too.
    """
    wanted = {(notation, seed) for _, notation in table["entries"] for seed in table["seeds"]}
    trials = finals.storage.get_all_trials(finals.study_id, deepcopy=False)
    ended = {
        (t.user_attrs["notation"], t.user_attrs["seed"]) for t in trials if t.state.is_finished()
    }
    return len(wanted & ended), len(wanted)


def recorded_finalists(
    store: Store,
    finals: Store | None,
    skeleton: AnySkeleton,
    label: str = "",
    skeletons: Mapping[Genome, AnySkeleton] | None = None,
) -> list[Finalist]:
    """The table that a search ended with, from its study and the one of its finalists.

    Empty where there is none yet, or not all of it.

    Args:
        store: the search's.
        finals: the one beside it, if there is one.
        label: of a transfer.
        skeletons: of patterns that have their own there.
    """
    note = store.notes().get(labelled(TABLE, label))
    if not note or finals is None:
        return []
    results = results_of(finals.trials())
    entries = [(name, Genome.parse(notation)) for name, notation in note["entries"]]
    if any((genome.key, seed) not in results for _, genome in entries for seed in note["seeds"]):
        return []
    return _rows(entries, note["seeds"], results, skeleton, note.get("best"), skeletons or {})


def _rows(
    entries: Sequence[tuple[str, Genome]],
    seeds: Sequence[int],
    results: Mapping[tuple[str, int], float | None],
    skeleton: AnySkeleton,
    best: str | None,
    skeletons: Mapping[Genome, AnySkeleton],
) -> list[Finalist]:
    rows = []
    for name, genome in entries:
        planned = plan(genome, skeletons.get(genome.pattern, skeleton))
        scores = tuple(results[genome.key, seed] for seed in seeds)
        rows.append(Finalist(name, genome, scores, planned.params, planned.macs))
    return compare(rows, best)


def compare(rows: Sequence[Finalist], best: str | None = None) -> list[Finalist]:
    """Adds each row's paired difference to the residual pattern and to the best reference.

    Those found by search have p-values, too. References were not selected on test images, so they are
    not among the comparisons corrected for.
    """
    compared = list(rows)
    for index, (delta, p) in _differences(rows, "residual").items():
        compared[index] = replace(compared[index], difference=delta, p=p)
    if best != "residual":
        for index, (delta, p) in _differences(rows, best).items():
            compared[index] = replace(compared[index], ahead=delta, ahead_p=p)
    return compared


def _differences(
    rows: Sequence[Finalist], name: str | None
) -> dict[int, tuple[float, float | None]]:
    """Mean paired difference to the row of this name, and its corrected p, by index of the others."""
    against = next((row for row in rows if row.name == name), None)
    if against is None:
        return {}
    differences: dict[int, tuple[float, float | None]] = {}
    for index, row in enumerate(rows):
        pairs = zip(row.accuracies, against.accuracies, strict=True)
        deltas = np.array([a - b for a, b in pairs if a is not None and b is not None])
        if row is not against and len(deltas):
            p = paired_p(deltas) if is_found(row.name) else None
            differences[index] = float(deltas.mean()), p
    tested = {index: p for index, (_, p) in differences.items() if p is not None}
    for index, p in zip(tested, holm(list(tested.values())), strict=True):
        differences[index] = differences[index][0], p
    return differences

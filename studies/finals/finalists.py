"""Finalists: the best candidates and the hand-made patterns, trained longer, scored once on the test set.

They are a study of their own beside the search's, a trial for every (genome, seed), so a run that
was interrupted goes on, and a finalist of a larger budget is trained only where it is new.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from scipy import stats

from nas.architecture.genome import Genome
from nas.architecture.plan import plan
from nas.architecture.skeletons.convolutional import Skeleton
from nas.evaluation.evaluate import failed
from nas.evaluation.jobs import EvaluationJob
from nas.proxy import Proxy
from nas.workers.process import Finished
from nas.workers.process_pool import Pool
from studies.search.settings import SearchSettings
from studies.store.claims import POLL_SECONDS
from studies.store.store import Store, study_names
from studies.store.trial import Trial

FINALISTS = "nas:finalists"
"""Key of the note in the search's study: the names, patterns and seeds of the last table."""
FRESH_SEEDS = 1_000_000
"""Finalists' seeds start here, times one more than the search's seed: never a search's own."""


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

    @property
    def scores(self) -> list[float]:
        """The accuracies that there are."""
        return [score for score in self.accuracies if score is not None]

    @property
    def mean(self) -> float:
        return float(np.mean(self.scores)) if self.scores else float("nan")

    @property
    def std(self) -> float:
        """Sample standard deviation over seeds; nan for one."""
        return float(np.std(self.scores, ddof=1)) if len(self.scores) > 1 else float("nan")


def beside_settings(settings: SearchSettings, proxy: Proxy, what: str, study: str) -> dict:
    """What decides the scores of a study beside a search's, such as its finalists, recorded there."""
    record = settings.record()
    kept = {key: record[key] for key in ("data", "fast", "plugins", "trainer", "device")}
    skeleton, own_proxy = asdict(settings.space.skeleton), asdict(proxy)
    return {**kept, f"{what}_of": study, "skeleton": skeleton, "proxy": own_proxy}


def fresh_seeds(seed: int, count: int, first: int = 0) -> list[int]:
    return [FRESH_SEEDS * (seed + 1) + first + index for index in range(count)]


def run_finalists(
    entries: Sequence[tuple[str, Genome]],
    settings: SearchSettings,
    proxy: Proxy,
    seeds: Sequence[int],
    store: Store,
    workers: Pool,
    on_result: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Finalist]:
    """Trains every entry over all seeds, scores it on the test images, and compares.

    Args:
        entries: (name, genome); the one named "residual" is what the others are compared with.
        store: the finalists' study, which this process has joined.
        on_result: called with (trainings done, trainings in all).
        stop: asked again and again; no training starts when it is true.

    Returns:
        Nothing if it was stopped before all were trained.
    """
    skeleton = settings.space.skeleton
    batch = Batch([genome for _, genome in entries], seeds, proxy, "test", "final")
    results = train_all(batch, skeleton, store, workers, on_result, stop)
    return _rows(entries, seeds, results, skeleton) if results else []


@dataclass(frozen=True)
class Batch:
    """Trainings of all genomes over all seeds."""

    genomes: Sequence[Genome]
    seeds: Sequence[int]
    proxy: Proxy
    part: str
    """Of the data, on which they are scored."""
    role: str
    """Recorded with every trial."""


def train_all(
    batch: Batch,
    skeleton: Skeleton,
    store: Store,
    workers: Pool,
    on_result: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[tuple[str, int], float | None] | None:
    """Trains what is not recorded yet, beside other processes that do the same.

    Args:
        store: the trainings' study, which this process has joined.

    Returns:
        Accuracies by key and seed; None if it was stopped before all were trained.
    """
    wanted = {(genome.key, seed): genome for seed in batch.seeds for genome in batch.genomes}
    running: dict[int, EvaluationJob] = {}
    waiting: list[tuple[int, Genome, int]] = []
    counted = -1
    while True:
        if not stop():
            waiting += [(t.number, t.genome, t.attrs["seed"]) for t, _ in store.take_lost()]
        trials = store.trials()
        known = {(t.attrs["key"], t.attrs["seed"]): t.state.is_finished() for t in trials}
        done = sum(known.get(key, False) for key in wanted)
        if done > counted:
            on_result(done, len(wanted))
            counted = done
        if done == len(wanted) or (stop() and not running):
            break
        while workers.idle and not stop():
            if not waiting:
                new = _begin(wanted, known, len(known), store, skeleton, batch.role)
                if new is None:
                    break
                waiting.append(new)
            number, genome, seed = waiting.pop(0)
            known.setdefault((genome.key, seed), False)
            running[number] = EvaluationJob(number, genome, batch.proxy, seed, batch.part)
            workers.submit(running[number])
        store.renew()
        others = sum(key in known for key in wanted) - done > len(running)
        for report in workers.reports(timeout=POLL_SECONDS if others else 5):
            if isinstance(report, Finished):
                _finish(store, running.pop(report.number), report, skeleton)
    return _results(trials) if done == len(wanted) else None


def _begin(
    wanted: Mapping[tuple[str, int], Genome],
    known: Collection[tuple[str, int]],
    number: int,
    store: Store,
    skeleton: Skeleton,
    role: str,
) -> tuple[int, Genome, int] | None:
    """The next training that nobody has begun, recorded as begun; None if another was faster."""
    key = next((key for key in wanted if key not in known), None)
    if key is None:
        return None
    genome, seed = wanted[key], key[1]
    planned = plan(genome, skeleton)
    attrs = {"seed": seed, "params": planned.params, "macs": planned.macs, "role": role}
    return (number, genome, seed) if store.add(number, genome, None, attrs) else None


def _finish(store: Store, job: EvaluationJob, report: Finished, skeleton: Skeleton) -> None:
    status = "out of memory" if report.full else "failed"
    evaluation = report.result or failed(job.genome, skeleton, job.seed, report.why, status)
    store.finish(report.number, evaluation, [evaluation.accuracy])


def _results(trials: Sequence[Trial]) -> dict[tuple[str, int], float | None]:
    """Accuracies by key and seed."""
    return {
        (t.attrs["key"], t.attrs["seed"]): _score(
            t.attrs.get("status", "failed"), t.attrs.get("accuracy", 0.0)
        )
        for t in trials
        if t.state.is_finished()
    }


def recorded_finalists(store: Store, skeleton: Skeleton) -> list[Finalist]:
    """The table that a search ended with, from its study and the one of its finalists.

    Empty where there is none yet, or not all of it.

    Args:
        store: the search's.
    """
    note = store.notes().get(FINALISTS)
    if not note or finalists_name(store.name) not in study_names(store.storage):
        return []
    finals = Store.load(store.storage, finalists_name(store.name))
    results = _results(finals.trials())
    entries = [(name, Genome.parse(notation)) for name, notation in note["entries"]]
    if any((genome.key, seed) not in results for _, genome in entries for seed in note["seeds"]):
        return []
    return _rows(entries, note["seeds"], results, skeleton)


def finalists_name(study: str) -> str:
    """The name of the study of a study's finalists."""
    return f"{study}-finalists"


def _rows(
    entries: Sequence[tuple[str, Genome]],
    seeds: Sequence[int],
    results: Mapping[tuple[str, int], float | None],
    skeleton: Skeleton,
) -> list[Finalist]:
    rows = []
    for name, genome in entries:
        planned = plan(genome, skeleton)
        scores = tuple(results[genome.key, seed] for seed in seeds)
        rows.append(Finalist(name, genome, scores, planned.params, planned.macs))
    return compare(rows)


def _score(status: str, accuracy: float) -> float | None:
    """Divergence is the pattern's own failure; a lost process or full memory says nothing of it."""
    return accuracy if status in ("ok", "diverged") else None


def compare(rows: Sequence[Finalist]) -> list[Finalist]:
    """Adds each row's paired difference to the residual pattern, and p to those found by search.

    Hand-made patterns were not selected, so they are not among the comparisons corrected for.
    """
    reference = next((row for row in rows if row.name == "residual"), None)
    if reference is None:
        return list(rows)
    compared, tested = [], []
    for row in rows:
        if row is reference:
            compared.append(row)
            continue
        pairs = zip(row.accuracies, reference.accuracies, strict=True)
        deltas = np.array([a - b for a, b in pairs if a is not None and b is not None])
        if len(deltas) == 0:
            compared.append(row)
            continue
        p = paired_p(deltas) if row.name.startswith("trial") else None
        if p is not None:
            tested.append(len(compared))
        compared.append(replace(row, difference=float(deltas.mean()), p=p))
    corrected = holm([compared[index].p or 0.0 for index in tested])
    for index, p in zip(tested, corrected, strict=True):
        compared[index] = replace(compared[index], p=p)
    return compared


def paired_p(deltas: np.ndarray) -> float | None:
    """Two-sided t-test that paired differences are 0 on average; None for fewer than two."""
    if len(deltas) < 2:
        return None
    constant = np.ptp(deltas) == 0  # t is not defined; equal scores are no evidence
    return 1.0 if constant else float(stats.ttest_1samp(deltas, 0.0).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the given order (Holm 1979)."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[int(index)] = largest
    return adjusted

"""Finalists: the best candidates and the hand-made patterns, trained longer, scored once on the test set.

They are a study of their own beside the search's, a trial for every (genome, seed), so a run that
was interrupted goes on, and a finalist of a larger budget is trained only where it is new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from scipy import stats

from nas.evaluation import Evaluation, failed
from nas.genome import Genome
from nas.jobs import EvaluationJob
from nas.plan import plan
from nas.proxy import Proxy
from nas.skeleton import Skeleton
from nas.workers import Finished, Workers
from studies.settings import SearchSettings
from studies.store import Store, study_names

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


def final_settings(settings: SearchSettings, proxy: Proxy, study: str) -> dict:
    """What decides a finalist's score, recorded in their study."""
    record = settings.record()
    kept = {key: record[key] for key in ("data", "fast", "plugins", "trainer", "device")}
    skeleton, own_proxy = asdict(settings.space.skeleton), asdict(proxy)
    return {**kept, "finalists_of": study, "skeleton": skeleton, "proxy": own_proxy}


def fresh_seeds(seed: int, count: int) -> list[int]:
    return [FRESH_SEEDS * (seed + 1) + index for index in range(count)]


def run_finalists(
    entries: Sequence[tuple[str, Genome]],
    settings: SearchSettings,
    proxy: Proxy,
    seeds: Sequence[int],
    store: Store,
    workers: Workers,
    on_result: Callable[[int, int], None] = lambda done, total: None,
    on_wait: Callable[[], None] = lambda: None,
) -> list[Finalist]:
    """Trains every entry over all seeds (what is recorded is not trained again) and compares.

    Args:
        entries: (name, genome); the one named "residual" is what the others are compared with.
        store: the finalists' study, owned by this process.
        on_result: called with (trainings done, trainings in all).
        on_wait: called every few seconds.
    """
    scores = {(t.attrs["key"], t.attrs["seed"]): t for t in store.trials()}
    wanted = [(genome, seed) for seed in seeds for _, genome in entries]
    queue: list[tuple[int, Genome, int]] = []
    number = len(scores)
    for genome, seed in wanted:
        trial = scores.get((genome.key, seed))
        if trial is None:
            planned = plan(genome, settings.space.skeleton)
            attrs = {"seed": seed, "params": planned.params, "macs": planned.macs, "role": "final"}
            store.add(number, genome, None, attrs)
            queue.append((number, genome, seed))
            number += 1
        elif not trial.state.is_finished():
            queue.append((trial.number, genome, seed))
    results = {
        k: _score(t.attrs.get("status", "failed"), t.attrs.get("accuracy", 0.0))
        for k, t in scores.items()
        if t.state.is_finished()
    }
    on_result(len(wanted) - len(queue), len(wanted))
    for evaluation in _train(queue, settings, proxy, store, workers, on_wait):
        results[evaluation.genome.key, evaluation.seed] = _score(
            evaluation.status, evaluation.accuracy
        )
        done = sum((genome.key, seed) in results for genome, seed in wanted)
        on_result(done, len(wanted))
    return _rows(entries, seeds, results, settings.space.skeleton)


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
    results = {
        (t.attrs["key"], t.attrs["seed"]): _score(
            t.attrs.get("status", "failed"), t.attrs.get("accuracy", 0.0)
        )
        for t in finals.trials()
        if t.state.is_finished()
    }
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


def _train(
    queue: Sequence[tuple[int, Genome, int]],
    settings: SearchSettings,
    proxy: Proxy,
    store: Store,
    workers: Workers,
    on_wait: Callable[[], None],
) -> Iterator[Evaluation]:
    jobs = {n: EvaluationJob(n, genome, proxy, seed, "test") for n, genome, seed in queue}
    for report in workers.run(list(jobs.values()), idle=on_wait):
        if isinstance(report, Finished):
            job = jobs[report.number]
            evaluation = report.result or failed(
                job.genome, settings.space.skeleton, job.seed, report.why
            )
            store.finish(report.number, evaluation, [evaluation.accuracy])
            yield evaluation


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

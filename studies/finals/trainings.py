"""Trainings beside a search: all of a list, once each, shared by whoever works on it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from nas.architecture.genome import Genome
from nas.architecture.plan import plan
from nas.architecture.skeletons.convolutional import Skeleton
from nas.evaluation.jobs import EvaluationJob
from nas.evaluation.result import failed
from nas.proxy import Proxy
from nas.workers.protocol import Finished, Pool
from studies.store.claims import POLL_SECONDS
from studies.store.store import Store
from studies.store.trial import Trial

FRESH_SEEDS = 1_000_000
"""Finalists' seeds start here, times one more than the search's seed: never a search's own."""


def fresh_seeds(seed: int, count: int, first: int = 0) -> list[int]:
    return [FRESH_SEEDS * (seed + 1) + first + index for index in range(count)]


@dataclass(frozen=True)
class Trainings:
    """Trainings of all genomes over all seeds."""

    genomes: Sequence[Genome]
    seeds: Sequence[int]
    proxy: Proxy
    part: str
    """Of the data, on which they are scored."""
    role: str
    """Recorded with every trial."""


def train_all(
    batch: Trainings,
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
        known = {(t.key, t.attrs["seed"]): t.state.is_finished() for t in trials}
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
    return results_of(trials) if done == len(wanted) else None


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
    return (number, genome, seed) if store.add(number, genome, attrs) else None


def _finish(store: Store, job: EvaluationJob, report: Finished, skeleton: Skeleton) -> None:
    status = "out of memory" if report.full else "failed"
    evaluation = report.result or failed(job.genome, skeleton, job.seed, report.why, status)
    store.finish(report.number, evaluation, [evaluation.accuracy])


def results_of(trials: Sequence[Trial]) -> dict[tuple[str, int], float | None]:
    """Accuracies by key and seed."""
    return {
        (t.key, t.attrs["seed"]): _score(
            t.attrs.get("status", "failed"), t.attrs.get("accuracy", 0.0)
        )
        for t in trials
        if t.state.is_finished()
    }


def _score(status: str, accuracy: float) -> float | None:
    """Divergence is the pattern's own failure; a lost process or full memory says nothing of it."""
    return accuracy if status in ("ok", "diverged") else None

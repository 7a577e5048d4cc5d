"""Trainings beside a search: all of a list, once each, shared by whoever works on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nas.architecture.genome import Genome
from nas.architecture.plan import plan
from nas.architecture.skeletons.skeleton import AnySkeleton
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
class Setting:
    """Where patterns are trained, if not as their search trains its finalists."""

    label: str = ""
    """In a word or two; none is the search's own setting."""
    skeletons: Mapping[Genome, AnySkeleton] = field(default_factory=dict)
    """Of patterns that have their own."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """What else decides the scores, such as other data."""


USUAL = Setting()


@dataclass(frozen=True)
class Trainings:
    """What is to be trained, once each."""

    wanted: Sequence[tuple[str, Genome, int]]
    """(role, genome, seed); the role is recorded with the trial."""
    proxy: Proxy
    part: str
    """Of the data, on which they are scored."""
    skeletons: Mapping[Genome, AnySkeleton] = field(default_factory=dict)
    """Of patterns that have their own."""

    @classmethod
    def over_seeds(
        cls,
        role: str,
        genomes: Sequence[Genome],
        seeds: Sequence[int],
        proxy: Proxy,
        part: str,
        skeletons: Mapping[Genome, AnySkeleton] | None = None,
    ) -> Trainings:
        """Every genome over every seed."""
        wanted = [(role, genome, seed) for seed in seeds for genome in genomes]
        return cls(wanted, proxy, part, skeletons or {})

    def skeleton_of(self, genome: Genome, usual: AnySkeleton) -> AnySkeleton:
        return self.skeletons.get(genome.pattern, usual)


def train_all(
    batch: Trainings,
    skeleton: AnySkeleton,
    store: Store,
    workers: Pool,
    on_result: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
    search: Store | None = None,
) -> dict[tuple[str, int], float | None] | None:
    """Trains what is not recorded yet, beside other processes that do the same.

    Args:
        store: the trainings' study, which this process has joined.
        search: the search's study, where this process has joined that, too.

    Returns:
        Accuracies by key and seed; None if it was stopped before all were trained.
    """
    wanted = {(role, genome.key, seed): genome for role, genome, seed in batch.wanted}
    running: dict[int, EvaluationJob] = {}
    waiting: list[tuple[int, Genome, int]] = []  # number, genome, seed
    counted = -1
    while True:
        if not stop():
            lost = [trial for trial, _ in store.take_lost() if _what(trial) in wanted]
            waiting += [(t.number, t.genome, t.attrs["seed"]) for t in lost]
        trials = store.trials()
        known = {_what(trial): trial.state.is_finished() for trial in trials}
        number = len(trials)
        done = sum(known.get(key, False) for key in wanted)
        if done > counted:
            on_result(done, len(wanted))
            counted = done
        if done == len(wanted) or (stop() and not running):
            break
        while workers.idle and not stop():
            if not waiting:
                key = next((key for key in wanted if key not in known), None)
                if key is None:
                    break
                own = batch.skeleton_of(wanted[key], skeleton)
                if not _begin(number, key, wanted[key], store, own):
                    break
                known[key] = False
                waiting.append((number, wanted[key], key[2]))
                number += 1
            job = _job(*waiting.pop(0), batch)
            running[job.number] = job
            workers.submit(job)
        store.renew()
        if search:
            search.renew()
        others = sum(key in known for key in wanted) - done > len(running)
        for report in workers.reports(timeout=POLL_SECONDS if others else 5):
            if isinstance(report, Finished):
                job = running.pop(report.number)
                _finish(store, job, report, job.skeleton or skeleton)
    return results_of(trials) if done == len(wanted) else None


def _what(trial: Trial) -> tuple[str, str, int]:
    """Which training a trial is: role, key and seed."""
    return trial.attrs["role"], trial.key, trial.attrs["seed"]


def _begin(
    number: int, what: tuple[str, str, int], genome: Genome, store: Store, skeleton: AnySkeleton
) -> bool:
    """Records a training as begun; False if another process was faster."""
    (role, _, seed), planned = what, plan(genome, skeleton)
    attrs = {"seed": seed, "params": planned.params, "macs": planned.macs, "role": role}
    return store.add(number, genome, attrs)


def _job(number: int, genome: Genome, seed: int, batch: Trainings) -> EvaluationJob:
    own = batch.skeletons.get(genome.pattern)
    return EvaluationJob(number, genome, batch.proxy, seed, batch.part, once=True, skeleton=own)


def _finish(store: Store, job: EvaluationJob, report: Finished, skeleton: AnySkeleton) -> None:
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

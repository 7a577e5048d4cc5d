"""Candidates a minute: this framework's evaluator beside the usual way, interleaved in one run."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from nas.architecture.genome import Genome
from nas.devices.device import computes_bf16, find_device
from nas.devices.machine import default_count
from nas.evaluation.jobs import EvaluationContext, EvaluationJob, at_once, evaluate_job
from nas.tasks.table import find_task
from nas.workers.process_pool import Workers
from nas.workers.protocol import Finished
from studies.search.request import SearchRequest, prepare_settings
from studies.search.settings import SearchSettings
from studies.speed.profile import arithmetic, matrix_gflops, where_time_goes, without_padding
from studies.speed.usual import as_pictures, as_tensors, usual_seconds

OURS = "skipnas"
WAYS = {"tensors": as_tensors, "transforms": as_pictures}
"""How the usual way holds its data; transforms are for pictures with classes alone."""


@dataclass(frozen=True)
class Bench:
    """What was measured."""

    space: str
    data: str
    device: str
    precision: str
    workers: int
    units: int
    """CPU cores or GPUs that these share."""
    pack: int
    """Evaluations that a worker gets at once."""
    threads: int
    """Of the usual way."""
    candidates: int
    """That each way trained in a repetition."""
    rates: dict[str, list[float]]
    """Candidates a minute in every repetition, by way."""
    seconds: float
    """Median seconds of an evaluation in its worker."""
    gflop: float
    """Arithmetic of an evaluation, mean, in 10⁹ operations."""
    needed: float
    """The share of it that is not on padding."""
    matrix: dict[str, float]
    """10⁹ operations a second of a large matrix product on one core or GPU, by precision."""
    shares: dict[str, float]
    """Of an evaluation's time, by kind of work."""

    def ratios(self, way: str) -> list[float]:
        """This framework's rate over a way's, a number a repetition."""
        return [a / b for a, b in zip(self.rates[OURS], self.rates[way], strict=True)]

    @property
    def limit_share(self) -> float:
        """Of the matrix product's rate, what evaluations reach; padding is not counted."""
        per_second = median(self.rates[OURS]) / 60 / self.units
        return per_second * self.gflop * self.needed / self.matrix[self.precision]

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        ratios = {way: self.ratios(way) for way in self.rates if way != OURS}
        return asdict(self) | {"ratios": ratios, "limit_share": self.limit_share}


def bench(
    space: str = "digits27",
    data: str | None = None,
    device: str = "auto",
    workers: int | None = None,
    candidates: int = 24,
    repetitions: int = 5,
    lag: int = 8,
    lockstep: bool = False,
    on_progress: Callable[[str], None] = lambda line: None,
) -> Bench:
    """Measures; workers are started before the clock.

    Args:
        candidates: random genomes that this framework trains in a repetition; the usual way trains
            a third of them.
        repetitions: of every way, in turn.
        lockstep: whether a GPU trains candidates side by side, as `nas search --lockstep` does.
    """
    settings, devices = prepare_settings(SearchRequest(space=space, data=data, device=device))
    count = workers or min(default_count(devices), lag)
    rng = random.Random(0)
    genomes = [settings.space.sample(rng) for _ in range(candidates)]
    some = genomes[: max(1, candidates // 3)]
    threads = default_count(("cpu",))
    both = find_task(settings.space.proxy.task).labels == "classes"
    parts = {way: make(settings) for way, make in WAYS.items() if both or way == "tensors"}
    rates: dict[str, list[float]] = {OURS: [], **{way: [] for way in parts}}
    context = EvaluationContext(settings.space.skeleton, settings.data, devices, lockstep=lockstep)
    pack = at_once(context, count, lag)
    inside: list[float] = []
    on_progress("the machine's limit")
    native = ("fp32", "bf16") if computes_bf16(find_device(devices[0])) else ("fp32",)
    matrix = {p: matrix_gflops(devices[0], p) for p in native}
    with Workers(evaluate_job, context, count, pack) as pool:
        _run(pool, settings, genomes[: 2 * count * pack])  # starts the processes
        for part in parts.values():
            usual_seconds(settings, part, some[:1], devices[0], threads)
        for repetition in range(repetitions):
            on_progress(f"repetition {repetition + 1} of {repetitions}")
            seconds, spent = _run(pool, settings, genomes)
            inside += spent
            rates[OURS].append(60 * len(genomes) / seconds)
            for way, part in parts.items():
                seconds = usual_seconds(settings, part, some, devices[0], threads)
                rates[way].append(60 * len(some) / seconds)
    on_progress("where the time goes")
    shares = where_time_goes(settings, some[:4], devices[0])
    units = count if devices == ("cpu",) else min(count, len(devices))
    gflop = sum(arithmetic(settings, genome) for genome in genomes) / len(genomes)
    needed = sum(without_padding(settings, genome) for genome in genomes) / len(genomes)
    return Bench(
        settings.space.name, settings.data.name, devices[0], settings.space.proxy.precision,
        count, units, pack, threads, candidates, rates, median(inside), gflop, needed, matrix, shares,
    )  # fmt: skip


def _run(
    pool: Workers, settings: SearchSettings, genomes: Sequence[Genome]
) -> tuple[float, list[float]]:
    """Seconds in all, and of every evaluation in its worker."""
    jobs = [EvaluationJob(n, genome, settings.space.proxy, 0) for n, genome in enumerate(genomes)]
    started = time.perf_counter()
    found = [r.result for r in pool.run(jobs) if isinstance(r, Finished)]
    return time.perf_counter() - started, [one.seconds for one in found if one]

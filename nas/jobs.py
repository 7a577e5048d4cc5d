"""Evaluations as jobs for workers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nas.data import Data
from nas.evaluation import Evaluation, evaluate
from nas.genome import Genome
from nas.proxy import Proxy
from nas.skeleton import Skeleton
from nas.workers import Send


@dataclass(frozen=True)
class EvaluationBench:
    """What the evaluations of a search share."""

    skeleton: Skeleton
    data: Data
    devices: tuple[str, ...]
    fast: bool = False
    plugins: tuple[Path, ...] = ()


@dataclass(frozen=True)
class EvaluationJob:
    """One evaluation; `number` names it in the reports."""

    number: int
    genome: Genome
    proxy: Proxy
    seed: int
    part: str = "validation"
    ask: bool = False
    """Whether it waits after every epoch for the answer whether to be pruned."""
    latencies: bool = False


@dataclass(frozen=True)
class Epoch:
    """A job's score after an epoch (from 1)."""

    number: int
    epoch: int
    accuracy: float


def evaluate_job(job: EvaluationJob, bench: EvaluationBench, device: str, send: Send) -> Evaluation:
    """The task of a search's workers."""
    return evaluate(
        job.genome, bench.skeleton, job.proxy, job.seed, bench.data, device,
        part=job.part, fast=bench.fast, latencies=job.latencies,
        on_epoch=lambda epoch, accuracy: send(Epoch(job.number, epoch, accuracy), job.ask),
    )  # fmt: skip

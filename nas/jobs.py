"""Evaluations as jobs for workers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nas.data import Data
from nas.evaluation import Evaluation, evaluate
from nas.genome import Genome
from nas.inheritance import Ancestor, WeightFolder, evaluate_heir
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
    weights: WeightFolder | None = None
    """Where weights are kept that others inherit."""


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
    ancestors: tuple[Ancestor, ...] | None = None
    """First parents, the eldest first, whose weights it inherits; None where nobody inherits."""


@dataclass(frozen=True)
class Epoch:
    """A job's score after an epoch (from 1)."""

    number: int
    epoch: int
    accuracy: float


def evaluate_job(job: EvaluationJob, bench: EvaluationBench, device: str, send: Send) -> Evaluation:
    """The task of a search's workers."""
    train = partial(
        evaluate, skeleton=bench.skeleton, proxy=job.proxy, seed=job.seed, data=bench.data,
        device=device, part=job.part, fast=bench.fast,
    )  # fmt: skip
    own = partial(
        train, job.genome, latencies=job.latencies,
        on_epoch=lambda epoch, accuracy: send(Epoch(job.number, epoch, accuracy), job.ask),
    )  # fmt: skip
    if job.ancestors is None or bench.weights is None:
        return own()
    lineage = (*job.ancestors, Ancestor(job.number, job.genome))
    return evaluate_heir(lineage, bench.weights, own, train)

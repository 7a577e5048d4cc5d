"""Evaluations as jobs for workers."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from nas.architecture.genome import Genome
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.data.dataset import Data
from nas.errors import InputError
from nas.evaluation.evaluate import evaluate, evaluate_together
from nas.evaluation.inheritance import Ancestor, WeightFolder, evaluate_heir
from nas.evaluation.own import evaluate_own
from nas.evaluation.own_file import OwnTraining
from nas.evaluation.result import Evaluation
from nas.plugins import load_plugin
from nas.proxy import Proxy
from nas.tasks.table import find_task
from nas.workers.protocol import Pack, Send


class Recorded(Protocol):
    """What answers in the place of a training: a table (`nas.tables.table`)."""

    def query(self, genome: Genome, epochs: int | None = None, seed: int = 0) -> Evaluation: ...

    def drawn(self, genome: Genome, seed: int) -> int:
        """Which of the recorded seeds stands for this one."""


@dataclass(frozen=True)
class EvaluationContext:
    """What the evaluations of a search share."""

    skeleton: AnySkeleton
    data: Data
    devices: tuple[str, ...]
    fast: bool = False
    plugins: tuple[Path, ...] = ()
    weights: WeightFolder | None = None
    """Where weights are kept that others inherit."""
    plugin_texts: tuple[tuple[str, bytes], ...] = ()
    """File names and contents of plugins, for machines that do not have the files."""
    kind: Mapping[str, str] | None = None
    """What `device_kind` must find where the evaluations run; None is anything."""
    own: OwnTraining | None = None
    """What trains in the place of the framework's own training."""
    lockstep: bool = False
    """Whether candidates are trained side by side on a GPU, their steps as CUDA graphs."""
    table: Recorded | None = None
    """What was trained before, so that nothing is trained."""

    def for_cluster(self, kind: Mapping[str, str]) -> EvaluationContext:
        """The same for other machines, which must be of this kind.

        Raises:
            InputError: a plugin cannot be read.
        """
        try:
            texts = tuple((path.name, path.read_bytes()) for path in self.plugins)
        except OSError as error:
            raise InputError(f"--plugin {error.filename}: {error.strerror}") from None
        return replace(self, plugins=(), plugin_texts=texts, kind=kind)

    def prepare(self, device: str) -> None:
        """Loads plugins, and what a first evaluation needs.

        Raises:
            InputError: this machine's device is of another kind, or a plugin cannot be loaded.
        """
        import sklearn.model_selection  # noqa: F401

        import nas.training.lockstep  # noqa: F401

        for path in self.plugins:
            load_plugin(path)
        with TemporaryDirectory(prefix="skipnas-") as folder:
            for name, text in self.plugin_texts:
                path = Path(folder) / name
                path.write_bytes(text)
                load_plugin(path)
        if self.own:
            self.own.load()
        if self.kind is not None:
            _check_kind(device, self.kind, self.skeleton.widths)


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
    once: bool = False
    """Whether it is scored after the last epoch alone."""
    skeleton: AnySkeleton | None = None
    """Its own, where that is not the one that all share."""
    ancestors: tuple[Ancestor, ...] | None = None
    """First parents, the eldest first, whose weights it inherits; None where nobody inherits."""
    also_test: bool = False
    """Whether the trained network is scored on the test part, too."""


@dataclass(frozen=True)
class Epoch:
    """A job's score after an epoch (from 1)."""

    number: int
    epoch: int
    accuracy: float
    """Or the first score of a training of the user's own, as that reports it."""


def evaluate_job(
    job: EvaluationJob | Pack, context: EvaluationContext, device: str, send: Send
) -> Evaluation | list[Evaluation]:
    """The task of a search's workers; jobs that differ by their genomes alone run in lockstep."""
    jobs: Sequence[EvaluationJob] = job.jobs if isinstance(job, Pack) else [job]
    found: dict[int, Evaluation] = {}
    alike: dict[EvaluationJob, list[EvaluationJob]] = {}
    for one in jobs:
        if context.table:
            found[one.number] = _recorded(one, context.table, send)
        elif context.own:
            found[one.number] = _own(one, context, context.own, device, send)
        elif one.ancestors is None or context.weights is None:
            pattern = jobs[0].genome.at(one.genome.learning_rate)
            alike.setdefault(replace(one, number=0, genome=pattern), []).append(one)
        else:
            found[one.number] = _heir(one, context, context.weights, device, send)
    for shared, pack in alike.items():
        evaluations = evaluate_together(
            [one.genome for one in pack], shared.skeleton or context.skeleton, shared.proxy, shared.seed, context.data,
            device, part=shared.part, once=shared.once, fast=context.fast, latencies=shared.latencies,
            also_test=shared.also_test, on_score=partial(_report, pack, send), graphs=context.lockstep,
        )  # fmt: skip
        found |= {one.number: result for one, result in zip(pack, evaluations, strict=True)}
    results = [found[one.number] for one in jobs]
    return results if isinstance(job, Pack) else results[0]


def _heir(
    job: EvaluationJob, context: EvaluationContext, folder: WeightFolder, device: str, send: Send
) -> Evaluation:
    """What a job evaluates that inherits weights."""
    train = partial(
        evaluate, skeleton=context.skeleton, proxy=job.proxy, seed=job.seed, data=context.data,
        device=device, part=job.part, fast=context.fast,
    )  # fmt: skip
    own = partial(
        train, job.genome, latencies=job.latencies, on_epoch=partial(_report, [job], send, 0)
    )
    lineage = (*(job.ancestors or ()), Ancestor(job.number, job.genome))
    return evaluate_heir(lineage, folder, own, train)


def _recorded(job: EvaluationJob, table: Recorded, send: Send) -> Evaluation:
    """What a table has in the place of a job's training."""
    seed = table.drawn(job.genome, job.seed)
    found, sign = table.query(job.genome, seed=seed), find_task(job.proxy.task).sign
    for epoch, score in enumerate(found.accuracies, 1):
        if _report([job], send, 0, epoch, sign * score) and epoch < job.proxy.epochs:
            why = f"after epoch {epoch} of {job.proxy.epochs}"
            part = table.query(job.genome, epoch, seed)
            return replace(part, status="pruned", why=why)
    return found


def _own(
    job: EvaluationJob, context: EvaluationContext, own: OwnTraining, device: str, send: Send
) -> Evaluation:
    """What a training of the user's own makes of a job."""
    return evaluate_own(
        own, job.genome, job.skeleton or context.skeleton, job.proxy, job.seed, context.data,
        device, part=job.part, fast=context.fast, latencies=job.latencies,
        on_epoch=lambda epoch, score: None if job.once else _report([job], send, 0, epoch, score),
    )  # fmt: skip


def _report(
    jobs: Sequence[EvaluationJob], send: Send, index: int, epoch: int, accuracy: float
) -> bool | None:
    return send(Epoch(jobs[index].number, epoch, accuracy), jobs[index].ask)


def _check_kind(device: str, kind: Mapping[str, str], widths: Sequence[int]) -> None:
    from nas.devices.device import device_kind, find_device

    found = device_kind(find_device(device), widths)
    if found != dict(kind):
        raise InputError(
            f"node {platform.node()} computes with {_shown(found)}, but the search with "
            f"{_shown(kind)}: results depend on it, so all nodes must be alike"
        )


def _shown(kind: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in kind.items())


def memory_ended(evaluation: Evaluation) -> bool:
    """Whether it is to be run again without others beside it."""
    return evaluation.status == "out of memory"


def at_once(context: EvaluationContext, workers: int, lag: int) -> int:
    """How many evaluations a worker gets at once: in lockstep on a GPU what the lag allows, else one.

    The worker itself trains as many of them side by side as its memory holds.
    """
    packs = context.lockstep and not context.own and context.devices[0].startswith("cuda")
    return max(1, lag // workers) if packs else 1

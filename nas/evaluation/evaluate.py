"""One candidate's evidence: compile, train, score, measure. No torch until `evaluate` is called."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from nas.architecture.genome import Genome
from nas.architecture.plan import plan
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.devices.memory import PeakMemory, free_gpu_bytes, out_of_memory
from nas.evaluation.result import Evaluation
from nas.proxy import Proxy
from nas.tasks.table import find_task
from nas.training.memory import side_by_side, training_bytes

if TYPE_CHECKING:
    import torch

    from nas.data.dataset import Data
    from nas.evaluation.result import Inherited
    from nas.network.network import Network
    from nas.training.curves import Curves


OnScore = Callable[[int, int, float], bool | None]
"""Called with (index of the genome, epoch from 1, the task's score) after every score; True prunes it."""


def evaluate(
    genome: Genome,
    skeleton: AnySkeleton,
    proxy: Proxy,
    seed: int,
    data: Data,
    device: str = "auto",
    *,
    part: str = "validation",
    once: bool = False,
    fast: bool = False,
    latencies: bool = False,
    also_test: bool = False,
    on_epoch: Callable[[int, float], bool | None] | None = None,
    start: Mapping[str, torch.Tensor] | None = None,
    keep: Callable[[Network], None] | None = None,
) -> Evaluation:
    """Trains a genome by the proxy, at its own learning rate where it has one, and scores it.

    On a CPU it runs on one thread, on a GPU with deterministic algorithms unless `fast`. What goes
    wrong in the candidate itself (divergence, memory) is a status, not an exception.

    Args:
        seed: fixes weights, batches and augmentation.
        device: "auto", "cpu", "cuda" or "cuda:N".
        part: "validation" (scored every epoch) or "test" (scored once, at the end).
        once: whether the validation part is scored at the end alone, too.
        latencies: whether to measure latency after the training.
        also_test: whether the trained network is scored on the test part, too (`Evaluation.test`).
        on_epoch: called with (epoch from 1, the task's score) after every score; True prunes the
            candidate.
        start: weights by name to start from, where names and shapes agree.
        keep: called with the trained network, unless it was pruned or diverged.

    Raises:
        InputError: the arguments do not fit together.
    """
    return evaluate_together(
        [genome], skeleton, proxy, seed, data, device, part=part, once=once, fast=fast,
        latencies=latencies, also_test=also_test,
        on_score=lambda _, epoch, score: on_epoch(epoch, score) if on_epoch else None,
        starts=[start], keep=lambda _, network: keep(network) if keep else None,
    )[0]  # fmt: skip


def evaluate_together(
    genomes: Sequence[Genome],
    skeleton: AnySkeleton,
    proxy: Proxy,
    seed: int,
    data: Data,
    device: str = "auto",
    *,
    part: str = "validation",
    once: bool = False,
    fast: bool = False,
    latencies: bool = False,
    also_test: bool = False,
    on_score: OnScore = lambda index, epoch, score: None,
    starts: Sequence[Mapping[str, torch.Tensor] | None] | None = None,
    keep: Callable[[int, Network], None] = lambda index, network: None,
    graphs: bool = False,
) -> list[Evaluation]:
    """Trains genomes in lockstep, on a GPU side by side; each evaluation is as if it were alone.

    As many run together as the device's memory holds by prediction; where it ends nevertheless,
    half as many are tried, down to one, and scores are reported again.

    Args:
        genomes: of one learning rate; the other arguments are those of `evaluate`, with the index of
            the genome first.
        graphs: on a GPU, whether steps are CUDA graphs.
    """
    from nas.devices.device import find_device, on_device, one_thread, reproducible
    from nas.training.precision import resolved

    where = find_device(device)
    proxy = resolved(proxy, skeleton, where).at(genomes[0].learning_rate)
    sizes = [len(genomes)]
    if where.type == "cuda" and len(genomes) > 1:
        needs = [training_bytes(plan(g, skeleton), proxy, skeleton) for g in genomes]
        sizes = side_by_side(needs, free_gpu_bytes(where))
    job = _Job(
        skeleton, proxy, seed, data, where, part, once or part == "test", latencies, graphs,
        also_test, on_score, keep,
    )  # fmt: skip
    starts = starts or [None] * len(genomes)
    found: list[Evaluation] = []
    with on_device(where), one_thread(where), reproducible(where, not fast):
        for size in sizes:
            some = range(len(found), len(found) + size)
            found += _pack([_Entry(i, genomes[i], starts[i]) for i in some], job)
    return found


@dataclass(frozen=True)
class _Job:
    """What the genomes of a pack share; the precision is resolved."""

    skeleton: AnySkeleton
    proxy: Proxy
    seed: int
    data: Data
    device: torch.device
    part: str
    once: bool
    latencies: bool
    graphs: bool
    also_test: bool
    on_score: OnScore
    keep: Callable[[int, Network], None]


@dataclass
class _Entry:
    """A genome of a pack and what was found of it."""

    index: int
    genome: Genome
    start: Mapping[str, torch.Tensor] | None
    curves: Curves | None = None
    inherited: Inherited | None = None
    latencies: tuple[float | None, float | None] = (None, None)
    test: tuple[float, float] | None = None


def _pack(entries: Sequence[_Entry], job: _Job) -> list[Evaluation]:
    """Evaluates genomes together, or in halves where memory ends."""
    from nas.devices.device import refuses_determinism

    started, peak = time.perf_counter(), PeakMemory(job.device)
    with out_of_memory() as problem:
        try:
            _train(entries, job)
        except RuntimeError as error:
            if not refuses_determinism(error):
                raise
            _train(entries, job)
    if problem and len(entries) > 1:
        half = len(entries) // 2
        return _pack(entries[:half], job) + _pack(entries[half:], job)
    seconds, bytes_ = time.perf_counter() - started, peak.read()
    why, share = problem[0] if problem else "", bytes_ and bytes_ // len(entries)
    return [_evaluation(entry, job, why, seconds / len(entries), share) for entry in entries]


def _train(entries: Sequence[_Entry], job: _Job) -> None:
    import torch

    from nas.evaluation.inheritance import inherit
    from nas.evaluation.latency import latency
    from nas.network.compile import compile_network
    from nas.training.lockstep import Trainee, train_together

    trainees = []
    for entry in entries:
        network = compile_network(entry.genome, job.skeleton, job.seed)
        if entry.start is not None:
            entry.inherited = inherit(network, entry.start)
        network = network.to(job.device).to(memory_format=torch.channels_last)
        trainees.append(Trainee(network, on_epoch=partial(_told, job, entry.index)))
        entry.curves = trainees[-1].curves
    train_together(
        trainees, job.data, job.proxy, job.seed, job.device, job.part, not job.once, graphs=job.graphs,
        also_test=job.also_test,
    )  # fmt: skip
    for entry, trainee in zip(entries, trainees, strict=True):
        if trainee.test:
            score, loss = trainee.test
            entry.test = find_task(job.proxy.task).sign * score, loss
        if not (trainee.curves.diverged or trainee.curves.stopped):
            job.keep(entry.index, trainee.network)
        if job.latencies:
            shape, batch = job.skeleton.input_shape, job.proxy.batch
            single, full = (
                latency(trainee.network, shape, n, job.proxy, job.device) for n in (1, batch)
            )
            entry.latencies = (single, full)


def _told(job: _Job, index: int, epoch: int, score: float) -> bool | None:
    """Reports a score, of which larger is better, in its own sign."""
    return job.on_score(index, epoch, find_task(job.proxy.task).sign * score)


def _evaluation(
    entry: _Entry, job: _Job, problem: str, seconds: float, peak_bytes: int | None
) -> Evaluation:
    from nas.training.curves import Curves

    curves = entry.curves if entry.curves and not problem else Curves()
    status, why = "ok", ""
    if problem:
        status, why = "out of memory", problem
    elif curves.diverged:
        status, why = "diverged", curves.diverged
    elif curves.stopped:
        status, why = "pruned", f"after epoch {len(curves.accuracies)} of {job.proxy.epochs}"
    planned, task = plan(entry.genome, job.skeleton), find_task(job.proxy.task)
    scored = task.score != "accuracy" and status in ("ok", "pruned")
    return Evaluation(
        genome=entry.genome,
        seed=job.seed,
        status=status,
        why=why,
        accuracy=curves.accuracies[-1] if status in ("ok", "pruned") else task.worst,
        accuracies=tuple(curves.accuracies),
        losses=tuple(curves.losses),
        gradients=tuple(curves.gradients),
        params=planned.params,
        macs=planned.macs,
        seconds=seconds,
        peak_bytes=peak_bytes,
        latency_1=entry.latencies[0],
        latency_full=entry.latencies[1],
        scored_losses=tuple(curves.scored_losses),
        inherited=entry.inherited,
        scores={task.score: task.sign * curves.accuracies[-1]} if scored else {},
        heeds_part=task.score != "accuracy",
        test=None if problem else entry.test,
    )

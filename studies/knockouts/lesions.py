"""Single skips taken out of a trained network, as jobs for workers.

A network without a skip is the one that the genome without it compiles to, with the trained
weights: modules have the same names in both. A layer that loses its last skip becomes plain, so its
merge falls away with it; a layer that keeps others keeps its merge, which says what is left of its
parts (`Merge.without`). Batch norm's statistics are then taken anew, as before every score,
because a sum of fewer terms has another scale.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.architecture.genome import Genome
from nas.architecture.layers import Layer
from nas.architecture.merges import MERGES
from nas.errors import InputError
from nas.evaluation.jobs import EvaluationContext, EvaluationJob, evaluate_job
from nas.proxy import Proxy
from nas.workers.protocol import Send

if TYPE_CHECKING:
    from nas.evaluation.result import Evaluation
    from nas.network.network import Network


@dataclass(frozen=True)
class LesionJob:
    """Trains a genome once and scores the trained network whole and without each of the skips."""

    number: int
    genome: Genome
    proxy: Proxy
    seed: int
    skips: tuple[tuple[int, int], ...]
    """(layer from 1, distance)."""


@dataclass(frozen=True)
class Lesions:
    """Validation accuracies of a trained network; None where a skip could not be taken out."""

    whole: float
    skips: tuple[tuple[int, int], ...]
    """(layer from 1, distance); the other tuples are in their order."""
    accuracies: tuple[float | None, ...]
    why: tuple[str, ...]
    """Why there is no accuracy; empty where there is."""
    seconds: tuple[float, ...]
    training_seconds: float


def knockout_job(
    job: LesionJob | EvaluationJob, context: EvaluationContext, device: str, send: Send
) -> Lesions | Evaluation:
    """The task of a knock-out's workers."""
    if isinstance(job, LesionJob):
        return lesions(job, context, device)
    found = evaluate_job(job, context, device, send)
    assert not isinstance(found, list)  # these workers take one job at a time
    return found


def lesions(job: LesionJob, context: EvaluationContext, device: str) -> Lesions:
    """Trains and scores, on one thread or deterministically as every evaluation.

    Raises:
        InputError: the training diverges.
    """
    import torch

    from nas.devices.device import find_device, on_device, one_thread, reproducible
    from nas.network.compile import compile_network
    from nas.training.batches import prepare
    from nas.training.lockstep import train
    from nas.training.precision import resolved
    from nas.training.scoring import accuracy, recalibrate

    where = find_device(device)
    proxy = resolved(job.proxy, context.skeleton, where)
    started = time.perf_counter()
    with on_device(where), one_thread(where), reproducible(where, not context.fast):
        network = compile_network(job.genome, context.skeleton, job.seed)
        network = network.to(where).to(memory_format=torch.channels_last)
        curves = train(network, context.data, proxy, job.seed, where)
        if curves.diverged:
            raise InputError(curves.diverged)
        trained = time.perf_counter()
        training = prepare(context.data, proxy, "train", where)
        scoring = prepare(context.data, proxy, "validation", where)
        scores: list[float | None] = []
        why, seconds = [], []
        for layer, distance in job.skips:
            begun = time.perf_counter()
            try:
                cut = without_skip(network, layer, distance)
            except InputError as error:
                scores.append(None)
                why.append(str(error))
            else:
                recalibrate(cut, training, proxy)
                scores.append(accuracy(cut, scoring, proxy))
                why.append("")
            seconds.append(time.perf_counter() - begun)
    return Lesions(
        curves.accuracies[-1], job.skips, tuple(scores), tuple(why), tuple(seconds),
        trained - started,
    )  # fmt: skip


def remove_skip(genome: Genome, layer: int, distance: int) -> Genome:
    """The genome less one skip of a layer (from 1); a layer without skips is plain."""
    old = genome.layers[layer - 1]
    skips = tuple(skip for skip in old.skips if skip.distance != distance)
    new = Layer(old.merge, skips) if skips else Layer()
    return Genome((*genome.layers[: layer - 1], new, *genome.layers[layer:]))


def skips_of(genome: Genome) -> list[tuple[int, int]]:
    """(layer from 1, distance) of every skip."""
    return [(i, s.distance) for i, layer in enumerate(genome.layers, 1) for s in layer.skips]


def without_skip(network: Network, layer: int, distance: int) -> Network:
    """A copy of a trained network without one skip, on the same device.

    Raises:
        InputError: the parts of a plugin's merge depend on the number of skips, and its `without`
            does not say how.
    """
    import torch

    from nas.files.tensors import check_weights
    from nas.network.compile import compile_network

    genome = remove_skip(network.genome, layer, distance)
    old, new = network.genome.layers[layer - 1], genome.layers[layer - 1]
    where = next(network.parameters()).device
    cut = compile_network(genome, network.skeleton).to(where).to(memory_format=torch.channels_last)
    learnt = network.state_dict()
    if new.merge is not None:
        begin = f"layers.{layer}.merge."
        parts = {n.removeprefix(begin): t for n, t in learnt.items() if n.startswith(begin)}
        skip = [skip.distance for skip in old.skips].index(distance)
        kept = MERGES[new.merge].without(parts, skip)
        learnt |= {begin + name: tensor for name, tensor in kept.items()}
    learnt = {name: learnt[name] for name in cut.state_dict() if name in learnt}
    try:
        check_weights(cut, learnt)
    except InputError as error:
        raise InputError(f"merge {old.merge!r}, less a skip by its `without`: {error}") from None
    cut.load_state_dict(learnt)
    return cut

"""An evaluation's result, and what a candidate has inherited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nas.architecture.genome import Genome
from nas.architecture.plan import plan
from nas.architecture.skeletons.skeleton import AnySkeleton

if TYPE_CHECKING:
    from torch import Tensor

    Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Evaluation:
    """The result of training one genome.

    Accuracies, losses, gradient norms and status are a function of genome, skeleton, proxy, seed,
    data and kind of device; seconds, memory and latency are measurements. Of genomes that were
    trained in lockstep each has an equal share of the seconds.
    """

    genome: Genome
    seed: int
    status: str
    """ok, pruned, diverged, out of memory, or failed."""
    why: str
    accuracy: float
    """Of the last epoch that was trained; the task's worst, 0 of accuracy, unless it is ok or pruned."""
    accuracies: tuple[float, ...]
    losses: tuple[float, ...]
    """Mean training loss of every epoch."""
    gradients: tuple[tuple[float, float], ...]
    """L2 norms of the first and last layer's gradient at the last step of every epoch."""
    params: int
    macs: int
    """For one image of the skeleton's input shape."""
    seconds: float
    peak_bytes: int | None
    """Peak memory: of the process on a CPU (None where the system cannot say), allocated on a GPU;
    of genomes that ran side by side each has an equal share."""
    latency_1: float | None = None
    """Seconds of a forward pass of one image, where it was asked for."""
    latency_full: float | None = None
    """Seconds of a forward pass of a whole batch of the proxy, where it was asked for."""
    scored_losses: tuple[float, ...] = ()
    """Mean cross-entropy of the part that is scored, after every epoch in which it is."""
    inherited: Inherited | None = None
    """What it started with of another network's weights."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Scores by name where they are no accuracy: the user's own, or the task's. `accuracy` and
    `accuracies` are the first of them then, and its negative where it is to be minimised: larger is
    better there."""
    heeds_part: bool = False
    """Whether a training of the user's own asked which part of the data it is to be scored on."""
    test: tuple[float, float] | None = None
    """The task's score and the mean loss of the test part, where they were asked for beside validation."""


def failed(
    genome: Genome, skeleton: AnySkeleton, seed: int, why: str, status: str = "failed"
) -> Evaluation:
    """The evaluation of a candidate whose training raised an error or lost its process."""
    planned = plan(genome, skeleton)
    return Evaluation(
        genome, seed, status, why, 0.0, (), (), (), planned.params, planned.macs, 0.0, None
    )


@dataclass(frozen=True)
class Inherited:
    """What a network took over."""

    tensors: int
    share: float
    """Of its parameters, from 0 to 1."""

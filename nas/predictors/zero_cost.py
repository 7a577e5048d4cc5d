"""Scores of networks at initialisation, which may rank candidates at no cost of training.

A score is a function (candidate) -> float; larger is better. What cannot be scored is not finite.
The controls at the end of the table read the plan alone: a score that ranks no better than they do
only counts. Weights are those of convolutions and linear layers; L is the task's loss; networks
are in training mode, with batch norm over the batch, unless a score says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from nas.architecture.genome import Genome
from nas.architecture.plan import Plan, plan
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.errors import InputError, called, refuse, unknown
from nas.proxy import Proxy
from nas.tasks.classification import CLASSIFICATION
from nas.tasks.table import find_task
from nas.tasks.task import Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from nas.data.dataset import Data

EIGENVALUE_FLOOR = 1e-5
"""k in jacob_cov, against eigenvalues of 0."""


@dataclass(frozen=True)
class Candidate:
    """What a score may look at."""

    planned: Plan
    network: Callable[[], nn.Module]
    """() -> a new network with its initial weights, in training mode: (N, C, H, W) -> logits."""
    batches: Callable[[int], Sequence[tuple[Tensor, Tensor]]]
    """(n) -> the first n batches of the training: images (N, C, H, W) and labels (N,), or what else the
    task's are."""
    task: Task = CLASSIFICATION


Score: TypeAlias = Callable[[Candidate], float]


def grad_norm(candidate: Candidate) -> float:
    """Σ over layers of ‖∂L/∂W‖₂, on one batch (Abdelfattah et al. 2021)."""
    (batch,) = candidate.batches(1)
    pairs = _gradients(candidate, candidate.network(), *batch)
    return sum(gradient.double().norm().item() for _, gradient in pairs)


def snip(candidate: Candidate) -> float:
    """Σ |∂L/∂W ⊙ W|, on one batch (Lee et al. 2019, SNIP; summed by Abdelfattah et al. 2021)."""
    (batch,) = candidate.batches(1)
    pairs = _gradients(candidate, candidate.network(), *batch)
    return sum((gradient.double() * weight).abs().sum().item() for weight, gradient in pairs)


def synflow(candidate: Candidate) -> float:
    """Σ |∂R/∂W ⊙ W|, R the sum of the outputs for an image of ones (Tanaka et al. 2020, SynFlow).

    Every parameter is replaced by its absolute value and every norm by the identity, as
    Abdelfattah et al. (2021) do, in evaluation mode and double precision: R grows with depth.
    """
    import torch
    from torch import nn

    from nas.network.modules import OwnPiece
    from nas.network.parameters import NORMS

    ((images, _),) = candidate.batches(1)
    network = candidate.network().double().eval()
    own = any(isinstance(module, OwnPiece) for module in network.modules())
    norms = nn.BatchNorm2d if own else NORMS
    for name, module in list(network.named_modules()):
        if isinstance(module, norms):
            network.set_submodule(name, nn.Identity())
        elif isinstance(module, nn.ReLU):
            module.inplace = False  # behind an identity it would overwrite a node that others read
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    weights = _weights(network)
    flow = network(torch.ones_like(images[:1], dtype=torch.float64)).sum()
    gradients = torch.autograd.grad(flow, weights, materialize_grads=True)
    pairs = zip(weights, gradients, strict=True)
    return sum((weight * gradient).abs().sum().item() for weight, gradient in pairs)


def naswot(candidate: Candidate) -> float:
    """log |det K|, K[i, j] the number of ReLUs that images i and j of a batch switch alike.

    Mellor et al. 2021, NASWOT: K[i, j] is the number of ReLUs less the Hamming distance.
    """
    import torch
    from torch import nn

    ((images, _),) = candidate.batches(1)
    network = candidate.network()
    alike = torch.zeros(len(images), len(images), dtype=torch.float64, device=images.device)

    def compare(module: nn.Module, inputs: object, output: Tensor) -> None:
        on = (output > 0).flatten(1).float()
        off = 1 - on
        alike.add_(on @ on.T + off @ off.T)  # counts below 2²⁴ are exact

    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(compare)
    with torch.no_grad():
        network(images)
    return torch.linalg.slogdet(alike).logabsdet.item()


def jacob_cov(candidate: Candidate) -> float:
    """-Σ log(σ + k) + 1 / (σ + k), σ the eigenvalues of the correlations of a batch's Jacobians.

    An image's Jacobian is the gradient of its summed logits by its pixels; k = 1e-5 (Mellor et al.
    2020, the first version of NASWOT's paper, as in Abdelfattah et al. 2021).
    """
    import torch

    ((images, _),) = candidate.batches(1)
    images = images.detach().clone().requires_grad_()
    (jacobian,) = torch.autograd.grad(candidate.network()(images).sum(), images)
    return jacobian_score(jacobian.flatten(1).double().cpu().numpy())


def jacobian_score(rows: np.ndarray) -> float:
    """`jacob_cov` of Jacobians (images, pixels); nan where an image has a constant one."""
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = np.corrcoef(rows)
    if not np.isfinite(correlations).all():
        return float("nan")
    values = np.linalg.eigvalsh(correlations) + EIGENVALUE_FLOOR  # symmetric: never complex
    return float(-(np.log(values) + 1 / values).sum())


def zico(candidate: Candidate) -> float:
    """Σ over layers of log Σ over weights of mean |∂L/∂w| / std |∂L/∂w|, over two batches.

    Li et al. 2023, ZiCo, with two batches as there. A weight whose gradients are all
    of one size is left out, and so is a layer of none but such weights.
    """
    network = candidate.network()
    sizes = [
        [gradient.double().abs().flatten().cpu().numpy() for _, gradient in pairs]
        for pairs in (_gradients(candidate, network, *batch) for batch in candidate.batches(2))
    ]
    return sum(zico_of_layer(np.stack(layer)) for layer in zip(*sizes, strict=True))


def zico_of_layer(sizes: np.ndarray) -> float:
    """`zico` of one layer's absolute gradients (batches, weights); nan where one is not finite."""
    if not np.isfinite(sizes).all():
        return float("nan")
    mean, std = sizes.mean(0), sizes.std(0)
    moving = std > 0
    total = (mean[moving] / std[moving]).sum()
    return float(np.log(total)) if total > 0 else 0.0


def params(candidate: Candidate) -> float:
    """Control: the number of learnt parameters."""
    return float(candidate.planned.params)


def macs(candidate: Candidate) -> float:
    """Control: multiply-adds for one image."""
    return float(candidate.planned.macs)


def skips(candidate: Candidate) -> float:
    """Control: the number of skips."""
    return float(sum(len(layer.skips) for layer in candidate.planned.layers))


SCORES: dict[str, Score] = {
    "grad_norm": grad_norm,
    "snip": snip,
    "synflow": synflow,
    "naswot": naswot,
    "jacob_cov": jacob_cov,
    "zico": zico,
    "params": params,
    "macs": macs,
    "skips": skips,
}


OF_PICTURES = ("synflow", "jacob_cov")
"""Scores that need inputs which are not symbols."""


def check_score(name: str, place: str) -> None:
    """Raises InputError, with the nearest names, for a score that is not in the table."""
    if name not in SCORES:
        raise unknown("score", name, SCORES, place=place)


def score(
    genome: Genome,
    skeleton: AnySkeleton,
    proxy: Proxy,
    seed: int,
    data: Data,
    name: str,
    device: str = "auto",
) -> float:
    """A score of a genome's network before any training; not finite where it cannot be told.

    A function of its arguments and the kind of device: weights and batches are those with which
    `evaluate` begins, on one thread on a CPU, in single precision whatever the proxy's.

    Args:
        name: a name in SCORES.
        device: "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        InputError: an unknown score or device, or a genome that does not fit the skeleton.
    """
    import torch

    from nas.devices.device import find_device, one_thread, reproducible
    from nas.network.compile import compile_network
    from nas.network.network import Network

    check_score(name, "score")
    if data.kind == "text" and name in OF_PICTURES:
        raise InputError(
            f"score {name} differentiates by pixels or begins at them; {data.name} is a text"
        )
    where = find_device(device)

    def network() -> Network:
        made = compile_network(genome, skeleton, seed)
        return made.to(where).to(memory_format=torch.channels_last)

    candidate = Candidate(
        plan(genome, skeleton), network, lambda n: first_batches(data, proxy, seed, where, n),
        find_task(proxy.task),
    )  # fmt: skip
    with one_thread(where), reproducible(where, True):
        value = called(f"score {name!r}", SCORES[name], candidate)
        try:
            return float(value)
        except (TypeError, ValueError):
            refuse(f"score {name!r}", SCORES[name], value, "a number")


def first_batches(
    data: Data, proxy: Proxy, seed: int, device: torch.device, number: int
) -> list[tuple[Tensor, Tensor]]:
    """The first batches of a training, epoch after epoch where one has too few."""
    from nas.training.batches import Feed, prepare

    feed = Feed(prepare(data, proxy, "train", device), proxy, seed, device)
    found: list[tuple[Tensor, Tensor]] = []
    for epoch in count():
        feed.start(epoch)
        for _ in range(min(feed.steps, number - len(found))):
            feed.load()
            found.append((feed.images.clone(), feed.targets.clone()))
        if len(found) == number:
            break
    return found


def _weights(network: nn.Module) -> list[Tensor]:
    from torch import nn

    modules = network.modules()
    return [module.weight for module in modules if isinstance(module, nn.Conv2d | nn.Linear)]


def _gradients(
    candidate: Candidate, network: nn.Module, inputs: Tensor, targets: Tensor
) -> list[tuple[Tensor, Tensor]]:
    """(weight, ∂L/∂weight) of every convolution and linear layer."""
    import torch

    weights = _weights(network)
    loss = candidate.task.loss(network(inputs), targets)
    gradients = torch.autograd.grad(loss, weights, materialize_grads=True)
    return list(zip([weight.detach() for weight in weights], gradients, strict=True))

"""Scores of a network: norms calibrated, the task's measures added up."""

from __future__ import annotations

from functools import reduce
from math import prod
from operator import add

import torch
from torch import Tensor, nn

from nas.devices.device import with_float64
from nas.kernels.program import PROGRAM_IMAGES, Program
from nas.network.parameters import in_precision
from nas.proxy import Proxy
from nas.training.batches import Subset
from nas.training.folding import folded

SCORED_PIXELS = {"cpu": 1 << 16, "cuda": 1 << 22, "mps": 1 << 18}
"""Pixels of the images that are scored at once, by kind of device: what its caches hold."""


@torch.no_grad()
def recalibrate(
    network: nn.Module, training: Subset, proxy: Proxy, program: Program | None = None
) -> None:
    """Sets batch norm's statistics to those of some training images (Wu & Johnson 2021, PreciseBN).

    After few steps the running averages lag behind the weights, and a score would measure the lag.

    Args:
        program: computes the network, where there is one.
    """
    norms = [
        m for m in network.modules() if isinstance(m, nn.BatchNorm2d) and m.track_running_stats
    ]
    momenta = [norm.momentum for norm in norms]
    count = min(proxy.calibration_images, len(training.labels))
    if not norms or count == 0:
        return
    for norm in norms:
        norm.reset_running_stats()
    if not program:
        network.train()
    where = training.images.device
    every = torch.linspace(0, len(training.labels) - 1, count, device=where).round().long()
    chunks = every.split(4 * proxy.batch)
    with in_precision(network, proxy) as dtype:
        for number, indices in enumerate(chunks, 1):
            if len(indices) == 1 and count > 1:
                continue  # batch norm needs more than one value a channel
            for norm in norms:
                norm.momentum = 1 / number  # a plain average over the chunks
            images = training.batch(indices)[0]
            if program:
                program.calibrate(images)
            else:
                network(typed(images, dtype))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


@torch.no_grad()
def score(
    network: nn.Module, part: Subset, proxy: Proxy, program: Program | None = None
) -> tuple[Tensor, Tensor]:
    """In evaluation mode, over all images: the task's sums (k,) and the sum of the losses, (), float64."""
    network.eval()
    found: list[tuple[Tensor, Tensor]] = []
    if program:
        program.start_scoring()
        for indices in torch.arange(len(part.labels)).split(PROGRAM_IMAGES):
            images, targets = part.batch(indices)
            found.append(part.task.measure(program.score(images), targets))
    else:
        sides = part.images.shape[2:] or part.images.shape[1:]
        chunk = max(64, SCORED_PIXELS[part.mean.device.type] // prod(sides))
        with in_precision(network, proxy) as dtype, folded(network):
            for indices in torch.arange(len(part.labels), device=part.images.device).split(chunk):
                images, targets = part.batch(indices)
                outputs = with_float64(network(typed(images, dtype)))
                found.append(part.task.measure(outputs, with_float64(targets)))
    sums, losses = zip(*found, strict=True)
    return reduce(add, sums), reduce(add, losses)


def typed(inputs: Tensor, dtype: torch.dtype) -> Tensor:
    """Images in the type in which a network computes; symbols of a text stay whole numbers."""
    return inputs.to(dtype) if inputs.is_floating_point() else inputs


def accuracy(network: nn.Module, part: Subset, proxy: Proxy) -> float:
    """Share of images whose largest logit is the label's; the score of another task, with a minus where
    less of it is better."""
    return result(score(network, part, proxy)[0], part)


def result(sums: Tensor, part: Subset) -> float:
    """The score from a task's sums over a part, where larger is better."""
    return part.task.sign * part.task.result(sums.tolist(), len(part.labels))

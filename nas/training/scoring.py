"""Scores of a network: norms calibrated, images counted."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.kernels.program import PROGRAM_IMAGES, Program
from nas.network.parameters import in_precision
from nas.proxy import Proxy
from nas.training.batches import Subset
from nas.training.folding import folded

SCORED_PIXELS = {"cpu": 1 << 16, "cuda": 1 << 22}
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
                network(images.to(dtype))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


@torch.no_grad()
def score(
    network: nn.Module, part: Subset, proxy: Proxy, program: Program | None = None
) -> tuple[Tensor, Tensor]:
    """In evaluation mode, over all images: the number whose largest logit is the label's, int64 (),
    and the sum of their cross-entropies, float64 ()."""
    network.eval()
    right = torch.zeros((), dtype=torch.int64, device=part.mean.device)
    loss = torch.zeros((), dtype=torch.float64, device=part.mean.device)

    def add(logits: Tensor, labels: Tensor) -> None:
        right.add_((logits.argmax(1) == labels).sum())
        loss.add_(F.cross_entropy(logits.double(), labels, reduction="sum"))

    if program:
        program.start_scoring()
        for indices in torch.arange(len(part.labels)).split(PROGRAM_IMAGES):
            images, labels = part.batch(indices)
            add(program.score(images), labels)
        return right, loss
    pixels = part.images.shape[2] * part.images.shape[3]
    chunk = max(64, SCORED_PIXELS[right.device.type] // pixels)
    with in_precision(network, proxy) as dtype, folded(network):
        for indices in torch.arange(len(part.labels), device=part.images.device).split(chunk):
            images, labels = part.batch(indices)
            add(network(images.to(dtype)), labels)
    return right, loss


def accuracy(network: nn.Module, part: Subset, proxy: Proxy) -> float:
    """Share of images whose largest logit is the label's, in evaluation mode."""
    return score(network, part, proxy)[0].item() / len(part.labels)

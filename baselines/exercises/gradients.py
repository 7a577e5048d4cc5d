"""Gradients by layer and depth, and the law that they follow (exercise 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from nas.architecture.genome import Genome
from nas.architecture.skeletons.convolutional import Skeleton, Stage
from nas.network.compile import compile_network
from nas.network.network import CompiledLayer, Network
from nas.training.lockstep import gradient_norm


@dataclass(frozen=True)
class LawJob:
    """Gradient norms at initialisation over depth, in float64 (exercise 1)."""

    number: int
    key: str
    norm: str
    init: str
    relu_after: bool
    mode: str
    """train or eval: before any training, batch norm in eval mode is an identity."""
    width: int
    blocks: tuple[int, ...]
    seeds: tuple[int, ...]


def gradient_law(job: LawJob) -> dict[str, Any]:
    """First and last layer's gradient norms for every depth and seed, noise for images."""
    rows = []
    for blocks in job.blocks:
        skeleton = Skeleton(
            (3, 8, 8), 10, (Stage(blocks, job.width),), norm=job.norm, init=job.init,  # type: ignore[arg-type]
            activation=job.relu_after, bias=True,
        )  # fmt: skip
        for seed in job.seeds:
            network = compile_network(Genome.plain(blocks), skeleton, seed).double()
            network.train(job.mode == "train")
            generator = torch.Generator().manual_seed(seed)
            images = torch.randn(32, 3, 8, 8, generator=generator, dtype=torch.float64)
            labels = torch.randint(0, 10, (32,), generator=generator)
            nn.functional.cross_entropy(network(images), labels).backward()
            layers = [layer_of(network, index) for index in (1, blocks)]
            first = _norm([layers[0].branch.get_parameter("conv1.weight")])
            last = _norm([layers[1].branch.get_parameter("conv2.weight")])
            rows.append({"blocks": blocks, "seed": seed, "first": first, "last": last})
    return {"rows": rows}


def layer_gradients(network: Network) -> list[float]:
    """Gradient norm of every layer's convolution weights, first to last."""
    return [
        _norm([p for p in layer_of(network, index).branch.parameters() if p.ndim > 1])
        for index in range(1, len(network.layers) + 1)
    ]


def _norm(parameters: Sequence[nn.Parameter]) -> float:
    return gradient_norm([p.grad for p in parameters if p.grad is not None])


def layer_of(network: Network, index: int) -> CompiledLayer:
    layer = network.layers[str(index)]
    assert isinstance(layer, CompiledLayer)
    return layer

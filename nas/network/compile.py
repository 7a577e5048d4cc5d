"""The compiler: a genome on a skeleton becomes an ordinary `torch.nn.Module` with initial weights."""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn

from nas.architecture.genome import Genome
from nas.architecture.plan import plan
from nas.architecture.skeletons.convolutional import Skeleton
from nas.network.network import Merged, Network

KEPT_WEIGHTS = 1 << 16
"""Of the largest module whose initial weights are kept for the next network."""


def compile_network(genome: Genome, skeleton: Skeleton, seed: int = 0) -> Network:
    """The network of a genome: images (N, C, H, W) -> logits (N, classes).

    Every module's initial weights are a function of (seed, the module's name): two genomes share
    the weights of all that they have in common. The global random state is neither read nor moved.

    Raises:
        InputError: the genome does not fit the skeleton.
    """
    network = Network(plan(genome, skeleton), genome, skeleton)
    initialise(network, skeleton.init, seed)
    return network


def initialise(network: nn.Module, scheme: str, seed: int) -> None:
    """Sets all weights from (seed, module name): PyTorch's defaults, or He's (2015) for convolutions.

    Norms have theirs, which are not random, since they were made.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            he = scheme == "he" and isinstance(module, nn.Conv2d)
            weight = module.weight
            sizes = tuple(weight.shape), module.bias is not None, weight.dtype
            make = _weights if weight.numel() <= KEPT_WEIGHTS else _weights.__wrapped__
            values, bias = make(seed, name, he, *sizes)
            weight.data.copy_(values)
            if module.bias is not None and bias is not None:
                module.bias.data.copy_(bias)
                if hasattr(module, "bias_start"):
                    nn.init.constant_(module.bias, cast(float, module.bias_start))
        elif isinstance(module, Merged):
            for part_name, start in module.starts.items():
                nn.init.constant_(getattr(module, part_name), start)


@lru_cache(maxsize=256)
def _weights(
    seed: int, name: str, he: bool, shape: tuple[int, ...], biased: bool, dtype: torch.dtype
) -> tuple[Tensor, Tensor | None]:
    """A module's initial weights and bias, which all genomes share."""
    generator = module_generator(seed, name)
    weight = torch.empty(shape, dtype=dtype, device="cpu")
    if he:
        nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu", generator=generator)
    else:
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
    if not biased:
        return weight, None
    bound = 0.0 if he else 1 / math.sqrt(weight[0].numel())
    bias = weight.new_empty(shape[0])
    return weight, nn.init.uniform_(bias, -bound, bound, generator=generator)


def module_generator(seed: int, name: str) -> torch.Generator:
    """A generator seeded by (seed, name)."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)

"""The compiler: a genome on a skeleton becomes an ordinary `torch.nn.Module` with initial weights."""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn

from nas.architecture.genome import Genome
from nas.architecture.merges import MERGES, Merge
from nas.architecture.parts import Part, Shape
from nas.architecture.plan import Plan, plan
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.errors import called, own_name, refuse
from nas.network.modules import OwnPiece
from nas.network.network import Merged, Network
from nas.network.token_modules import Embedding

SPREAD = 0.02
"""Standard deviation of the scheme "normal", and of embeddings in every scheme (Radford et al. 2019)."""
KEPT_WEIGHTS = 1 << 16
"""Of the largest module whose initial weights are kept for the next network."""


def compile_network(genome: Genome, skeleton: AnySkeleton, seed: int = 0) -> Network:
    """The network of a genome: images (N, C, H, W) -> logits (N, classes).

    Every module's initial weights are a function of (seed, the module's name): two genomes share
    the weights of all that they have in common. The global random state is neither read nor moved.

    Raises:
        InputError: the genome does not fit the skeleton, or a merge of a user's own computes something
            else than the layer's output.
    """
    planned = plan(genome, skeleton)
    check_forward(planned)
    network = Network(planned, genome, skeleton)
    initialise(network, skeleton.init, seed)
    return network


def check_forward(planned: Plan) -> None:
    """Raises InputError where a merge of a user's own computes something of another shape or type."""
    for layer in planned.layers:
        if layer.merge and own_name(MERGES[layer.merge]):
            inputs = planned.shapes[layer.index - 1]
            _check_forward(
                layer.merge,
                MERGES[layer.merge],
                layer.learnt,
                len(layer.skips),
                inputs,
                layer.shape,
            )


@lru_cache(maxsize=256)
def _check_forward(
    name: str,
    merge: Merge,
    learnt: tuple[tuple[str, Part], ...],
    skips: int,
    inputs: Shape,
    shape: Shape,
) -> None:
    """Merges zeros once; the global random state stays as it is."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        made = Merged(name, learnt)
        initialise(made, "pytorch", 0)
        branch, *more = (torch.zeros(2, *shape) for _ in range(1 + skips))
        out = called(f"merge {name!r}", merge.forward, made, branch, more, torch.zeros(2, *inputs))
    expected = f"a tensor of shape {(2, *shape)} and {branch.dtype}"
    if not isinstance(out, Tensor) or out.shape != branch.shape or out.dtype != branch.dtype:
        refuse(f"merge {name!r}", merge.forward, out, expected)


def initialise(network: nn.Module, scheme: str, seed: int) -> None:
    """Sets all weights from (seed, module name): PyTorch's defaults; He's (2015) for convolutions but
    transposed ones; or normal ones with biases 0, as Transformers have them.

    Norms have theirs, which are not random, since they were made. Models of a user's own are made with
    the seed.
    """
    inside: str | None = None  # an own model's piece, which has its own weights
    for name, module in network.named_modules():
        if inside is not None and name.startswith(inside):
            continue
        if isinstance(module, OwnPiece):
            module.fill(seed)
            inside = f"{name}."
        elif isinstance(module, Embedding):
            _fill_normal(module.weight, seed, name)
        elif scheme == "normal" and isinstance(module, nn.Conv2d | nn.Linear):
            _fill_normal(module.weight, seed, name)
            if module.bias is not None:
                nn.init.constant_(module.bias, getattr(module, "bias_start", 0.0))
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            he = scheme == "he" and isinstance(module, nn.Conv2d)
            weight = module.weight
            biases = 0 if module.bias is None else len(module.bias)
            sizes = tuple(weight.shape), biases, weight.dtype
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


def _fill_normal(weight: Tensor, seed: int, name: str) -> None:
    make = _normal if weight.numel() <= KEPT_WEIGHTS else _normal.__wrapped__
    weight.data.copy_(make(seed, name, tuple(weight.shape), weight.dtype))


@lru_cache(maxsize=256)
def _normal(seed: int, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """A module's normal weights, which all genomes share."""
    weight = torch.empty(shape, dtype=dtype, device="cpu")
    return nn.init.normal_(weight, std=SPREAD, generator=module_generator(seed, name))


@lru_cache(maxsize=256)
def _weights(
    seed: int, name: str, he: bool, shape: tuple[int, ...], biases: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor | None]:
    """A module's initial weights and bias, which all genomes share."""
    generator = module_generator(seed, name)
    weight = torch.empty(shape, dtype=dtype, device="cpu")
    if he:
        nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu", generator=generator)
    else:
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
    if not biases:
        return weight, None
    bound = 0.0 if he else 1 / math.sqrt(weight[0].numel())
    bias = weight.new_empty(biases)
    return weight, nn.init.uniform_(bias, -bound, bound, generator=generator)


def module_generator(seed: int, name: str) -> torch.Generator:
    """A generator seeded by (seed, name)."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)

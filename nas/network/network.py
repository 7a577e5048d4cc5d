"""The compiler: a genome on a skeleton becomes an ordinary `torch.nn.Module`."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.architecture import parts
from nas.architecture.genome import Genome
from nas.architecture.merges import MERGES
from nas.architecture.plan import LayerPlan, Plan, plan
from nas.architecture.skeletons.convolutional import Skeleton

NARROW = 8
"""Channels below which strided 1×1 convolutions take every stride-th pixel first: the gradient of
torch 2.14's own (oneDNN with AVX2, channels last) writes beyond its memory there."""
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


class Network(nn.Module):
    """Stem, layers and head; node tensors are dropped after their last reader."""

    def __init__(self, planned: Plan, genome: Genome, skeleton: Skeleton) -> None:
        super().__init__()
        self.genome, self.skeleton = genome, skeleton
        self.stem = build(planned.stem)
        relu = skeleton.relu_after_merge
        self.layers = nn.ModuleDict({str(p.index): Layer(p, relu) for p in planned.layers})
        self.head = build(planned.head)
        dropped: list[list[int]] = [[] for _ in range(len(planned.layers) + 2)]
        for node, layer in enumerate(planned.last_use):
            dropped[layer].append(node)
        self._dropped = dropped

    def forward(self, images: Tensor) -> Tensor:
        previous = self.stem(images)
        nodes = {0: previous}
        for index, layer in enumerate(cast(Iterable[Layer], self.layers.values()), 1):
            previous = layer(previous, [nodes[source] for source in layer.sources])
            nodes[index] = previous
            for node in self._dropped[index]:
                del nodes[node]
        nodes.clear()
        return self.head(previous)


class Layer(nn.Module):
    """The branch on the previous node, merged with the skips, then the skeleton's activation."""

    def __init__(self, planned: LayerPlan, relu: bool) -> None:
        super().__init__()
        self.token = planned.token
        self.sources = [source for source, _ in planned.skips]
        self.strengths = [strength for _, strength in planned.skips]
        self.branch = build(planned.branch)
        self.adapters = nn.ModuleDict(
            {
                str(planned.index - source): build(adapter) if adapter else nn.Identity()
                for source, adapter in zip(self.sources, planned.adapters, strict=True)
            }
        )
        self.merge = Merged(planned.merge, planned.learnt) if planned.merge else None
        self.relu = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, previous: Tensor, sources: list[Tensor]) -> Tensor:
        """`previous` and `sources` are nodes, (N, C, H, W) of any shape; the result is node i."""
        out = self.branch(previous)
        if self.merge is not None:
            skips = []
            for adapter, strength, source in zip(
                self.adapters.values(), self.strengths, sources, strict=True
            ):
                skip = adapter(source)
                skips.append(skip if strength == 1 else strength * skip)
            out = self.merge(out, skips, previous)
        return self.relu(out)

    def extra_repr(self) -> str:
        return f"{self.token!r}, sources={self.sources}"


class Merged(nn.Module):
    """A merge with its learnt parts as submodules and parameters."""

    def __init__(self, name: str, learnt: tuple[tuple[str, parts.Part], ...]) -> None:
        super().__init__()
        self.name = name
        for part_name, part in learnt:
            if isinstance(part, parts.Vector):
                self.register_parameter(part_name, nn.Parameter(torch.empty(part.size)))
            else:
                self.add_module(part_name, build(part))
        self.starts = {n: p.start for n, p in learnt if isinstance(p, parts.Vector)}

    def forward(self, branch: Tensor, skips: list[Tensor], previous: Tensor) -> Tensor:
        return MERGES[self.name].forward(self, branch, skips, previous)

    def extra_repr(self) -> str:
        return self.name


class Subsample(nn.Module):
    """Option A: every stride-th pixel, zeros in the new channels."""

    def __init__(self, stride: int, extra: int) -> None:
        super().__init__()
        self.stride, self.extra = stride, extra

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))

    def extra_repr(self) -> str:
        return f"stride={self.stride}, zero_channels={self.extra}"


class Conv(nn.Conv2d):
    """Convolution whose weights are left as they are until `initialise` sets them."""

    def reset_parameters(self) -> None: ...

    def forward(self, x: Tensor) -> Tensor:
        strided = self.kernel_size == (1, 1) and self.stride != (1, 1)
        if strided and self.in_channels < NARROW:
            rows, columns = self.stride
            return F.conv2d(x[:, :, ::rows, ::columns], self.weight, self.bias)
        return super().forward(x)


class Head(nn.Linear):
    """Linear layer on a (N, C, 1, 1) map; its weights, too, are left to `initialise`."""

    def reset_parameters(self) -> None: ...

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1))


def build(part: parts.Part) -> nn.Module:
    """The module of a declared part; the weights are left to `initialise`."""
    return _copy(_built(part, torch.get_default_device(), torch.get_default_dtype()))


def _copy(module: nn.Module) -> nn.Module:
    """The same module with tensors, children and hooks of its own, in less time than a new one.

    The weights of convolutions and of the head are left to `initialise`.
    """
    new = module.__class__.__new__(module.__class__)
    for name, value in module.__dict__.items():
        new.__dict__[name] = value.copy() if isinstance(value, dict | set) else value
    for name, parameter in module._parameters.items():
        if parameter is not None:
            left = isinstance(module, Conv | Head)
            value = torch.empty_like(parameter) if left else parameter.detach().clone()
            new._parameters[name] = nn.Parameter(value)
    for name, buffer in module._buffers.items():
        if buffer is not None:
            new._buffers[name] = buffer.clone()
    for name, child in module._modules.items():
        if child is not None:
            new._modules[name] = _copy(child)
    return new


@lru_cache(maxsize=256)
def _built(part: parts.Part, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """A module to copy, made under this default device and type."""
    match part:
        case parts.Chain():
            return _chain(part)
        case parts.Conv():
            inputs, kernel = part.inputs[0], part.kernel
            conv = Conv(inputs, part.channels, kernel, part.stride, kernel // 2, bias=part.bias)
            if part.bias_start is not None:
                conv.bias_start = part.bias_start  # type: ignore[assignment]
            return conv
        case parts.Norm():
            return nn.BatchNorm2d(part.shape[0])
        case parts.Linear():
            return Head(part.inputs[0], part.features)
        case parts.Relu():
            return nn.ReLU(inplace=True)
        case parts.Sigmoid():
            return nn.Sigmoid()
        case parts.MaxPool():
            return nn.MaxPool2d(3, 2, 1)
        case parts.GlobalPool():
            return nn.AdaptiveAvgPool2d(1)
        case parts.Subsample():
            return Subsample(part.stride, part.channels - part.inputs[0])
    raise TypeError(f"no module for {part!r}")


def _chain(chain: parts.Chain) -> nn.Sequential:
    modules = OrderedDict((name, build(part)) for name, part in chain)
    first = next(iter(modules.values()))
    if isinstance(first, nn.ReLU):
        first.inplace = False  # it reads a node that others read too
    return nn.Sequential(modules)


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

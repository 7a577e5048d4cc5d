"""Modules of the declared parts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.architecture import map_parts, parts, token_parts
from nas.network import token_modules
from nas.network.cutting import pieces
from nas.network.map_modules import ChannelNorm, PatchConv, UpConv, Upsample

NARROW = 8
"""Channels below which strided 1×1 convolutions take every stride-th pixel first: the gradient of
torch 2.14's own (oneDNN with AVX2, channels last) writes beyond its memory there."""


class Subsample(nn.Module):
    """Option A: every stride-th pixel, zeros in the new channels."""

    def __init__(self, stride: int, extra: int) -> None:
        super().__init__()
        self.stride, self.extra = stride, extra

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))

    def extra_repr(self) -> str:
        return f"stride={self.stride}, zero_channels={self.extra}"


class UninitialisedConv(nn.Conv2d):
    """Convolution whose weights are left as they are until `initialise` sets them."""

    def reset_parameters(self) -> None: ...

    def forward(self, x: Tensor) -> Tensor:
        strided = self.kernel_size == (1, 1) and self.stride != (1, 1)
        if strided and self.in_channels < NARROW:
            rows, columns = self.stride
            return F.conv2d(x[:, :, ::rows, ::columns], self.weight, self.bias, groups=self.groups)
        return super().forward(x)


class UninitialisedLinear(nn.Linear):
    """Linear layer whose weights, too, are left to `initialise`."""

    def reset_parameters(self) -> None: ...


class Head(UninitialisedLinear):
    """Linear layer on a (N, C, 1, 1) map."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1))


class OwnPiece(nn.Module):
    """A piece of a model of a user's own, as it is; one that changes its input has a copy of it."""

    def __init__(self, piece: parts.Piece) -> None:
        super().__init__()
        self.piece = piece
        self.module = deepcopy(pieces(piece.source, 0)[piece.index])

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x.clone() if self.piece.in_place else x)

    def fill(self, seed: int) -> None:
        """Takes the weights that the model has when it is made with this seed."""
        made = pieces(self.piece.source, seed)[self.piece.index]
        self.module.load_state_dict(made.state_dict())


UNINITIALISED = (
    UninitialisedConv, UninitialisedLinear, PatchConv, UpConv, token_modules.Patches,
    token_modules.Embedding,
)  # fmt: skip
"""Modules whose weights are left to `initialise`."""


def draws(network: nn.Module) -> bool:
    """Whether a network may draw random numbers when it is trained, as dropout does."""
    return any(isinstance(module, OwnPiece) for module in network.modules())


def build(part: parts.Part) -> nn.Module:
    """The module of a declared part; the weights are left to `initialise`."""
    if isinstance(part, parts.Piece):  # a user's modules may hold what `_copy` does not know
        return OwnPiece(part)
    return _copy(_built(part, torch.get_default_device(), torch.get_default_dtype()))


def _copy(module: nn.Module) -> nn.Module:
    """The same module with tensors, children and hooks of its own, in less time than a new one.

    The weights of convolutions and linear layers are left to `initialise`.
    """
    new = module.__class__.__new__(module.__class__)
    for name, value in module.__dict__.items():
        new.__dict__[name] = value.copy() if isinstance(value, dict | set) else value
    for name, parameter in module._parameters.items():
        if parameter is not None:
            left = isinstance(module, UNINITIALISED)
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
    return MODULES[type(part)](part)


def _chain(chain: parts.Chain) -> nn.Sequential:
    modules = OrderedDict((name, build(part)) for name, part in chain)
    first = next(iter(modules.values()))
    if isinstance(first, nn.ReLU):
        first.inplace = False  # it reads a node that others read too
    return nn.Sequential(modules)


def _conv(part: parts.Conv) -> nn.Module:
    conv = UninitialisedConv(
        part.inputs[0], part.channels, part.kernel, part.stride, part.kernel // 2,
        groups=part.groups, bias=part.bias,
    )  # fmt: skip
    return _starting(conv, part.bias_start)


def _project(part: parts.Project) -> nn.Module:
    linear = UninitialisedLinear(part.inputs[-1], part.features, part.bias)
    return _starting(linear, part.bias_start)


def _starting(module: nn.Module, bias_start: float | None) -> nn.Module:
    """The module, which tells `initialise` where its bias begins; None is as in other modules."""
    if bias_start is not None:
        module.bias_start = bias_start  # type: ignore[assignment]
    return module


MODULES: dict[type, Callable[[Any], nn.Module]] = {
    parts.Chain: _chain,
    parts.Conv: _conv,
    parts.Norm: lambda part: nn.BatchNorm2d(part.shape[0]),
    parts.Linear: lambda part: Head(part.inputs[0], part.features),
    parts.Relu: lambda part: nn.ReLU(inplace=True),
    parts.Gelu: lambda part: nn.GELU(),
    parts.Sigmoid: lambda part: nn.Sigmoid(),
    parts.MaxPool: lambda part: nn.MaxPool2d(3, 2, 1),
    parts.GlobalPool: lambda part: nn.AdaptiveAvgPool2d(1),
    parts.Shrink: lambda part: nn.AdaptiveAvgPool2d(part.sides),
    parts.Project: _project,
    parts.Subsample: lambda part: Subsample(part.stride, part.channels - part.inputs[0]),
    map_parts.Identity: lambda part: nn.Identity(),
    map_parts.ChannelNorm: lambda part: ChannelNorm(part.shape[0]),
    map_parts.PatchConv: lambda part: PatchConv(
        part.inputs[0], part.channels, part.side, part.bias
    ),
    map_parts.Halve: lambda part: nn.MaxPool2d(2, ceil_mode=True),
    map_parts.Upsample: lambda part: Upsample(part.factor, part.sides),
    map_parts.UpConv: lambda part: UpConv(part.inputs[0], part.channels, part.sides, part.bias),
    token_parts.LayerNorm: lambda part: token_modules.LayerNorm(
        part.shape[-1], part.epsilon, bias=part.bias
    ),
    token_parts.RmsNorm: lambda part: token_modules.RmsNorm(part.shape[-1], part.epsilon),
    token_parts.TanhGelu: lambda part: nn.GELU("tanh"),
    token_parts.Attend: lambda part: token_modules.Attend(part.heads, part.causal, part.rotary),
    token_parts.Embedding: lambda part: token_modules.Embedding(part.symbols, part.features),
    token_parts.Patches: lambda part: token_modules.Patches(
        part.inputs[0], part.side, part.features, part.bias
    ),
    token_parts.ClassToken: lambda part: token_modules.ClassToken(1, part.shape[1]),
    token_parts.Positions: lambda part: token_modules.Positions(*part.shape),
    token_parts.TokenPool: lambda part: token_modules.TokenPool(part.pooling),
}
"""What makes the module of a part, by the part's class; its weights are left to `initialise`."""

"""How each kind of part is written: a table by type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nas.architecture import map_parts, parts
from nas.network.map_modules import EPSILON


@dataclass(frozen=True)
class Argument:
    """An argument of a module's constructor."""

    value: Any
    keyword: str = ""
    default: Any = None
    """With which it is left out."""
    size: bool = False
    """Whether it counts channels."""


@dataclass(frozen=True)
class Written:
    """A part as source."""

    call: str
    """The constructor, `{}` for its arguments."""
    arguments: tuple[Argument, ...]
    words: str
    """What it is, for docstrings."""
    before: tuple[str, str] | None = None
    """What has to be done to a map first: a name, and a module without parameters."""
    helper: str = ""
    """A class that the constructor needs, of the constructor's name."""


def _conv(part: parts.Conv) -> Written:
    return Written(
        "nn.Conv2d({})",
        (
            Argument(part.inputs[0], size=True),
            Argument(part.channels, size=True),
            Argument(part.kernel),
            Argument(part.stride, "stride", 1),
            Argument(part.kernel // 2, "padding", 0),
            Argument(part.groups, "groups", 1, size=part.groups > 1),
            Argument(part.bias, "bias", True),
        ),
        f"{part.kernel}×{part.kernel} convolution" + " in groups" * (part.groups > 1),
    )


def _norm(part: parts.Norm) -> Written:
    return Written("nn.BatchNorm2d({})", (Argument(part.shape[0], size=True),), "norm")


def _linear(part: parts.Linear) -> Written:
    sizes = Argument(part.inputs[0], size=True), Argument(part.features, size=True)
    return Written("nn.Linear({})", sizes, "linear layer", before=("flatten", "nn.Flatten()"))


def _vector(part: parts.Vector) -> Written:
    call = f"nn.Parameter(torch.full(({{}},), {float(part.start)!r}))"
    return Written(call, (Argument(part.size, size=True),), "a learnt vector")


def _relu(part: parts.Relu) -> Written:
    return Written("nn.ReLU({})", (Argument(True, "inplace", False),), "ReLU")


def _sigmoid(part: parts.Sigmoid) -> Written:
    return Written("nn.Sigmoid({})", (), "sigmoid")


def _gelu(part: parts.Gelu) -> Written:
    return Written("nn.GELU({})", (), "GELU")


def _max_pool(part: parts.MaxPool) -> Written:
    arguments = Argument(3), Argument(2, "stride"), Argument(1, "padding")
    return Written("nn.MaxPool2d({})", arguments, "3×3 maximum")


def _global_pool(part: parts.GlobalPool) -> Written:
    return Written("nn.AdaptiveAvgPool2d({})", (Argument(1),), "mean over the map")


SUBSAMPLE = '''
class Subsample(nn.Module):
    """Every stride-th pixel, and zeros in new channels (He et al. 2015, option A)."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.new, self.stride = channels - inputs, stride

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :: self.stride, :: self.stride]
        return nn.functional.pad(x, (0, 0, 0, 0, 0, self.new))
'''


def _subsample(part: parts.Subsample) -> Written:
    arguments = (
        Argument(part.inputs[0], size=True),
        Argument(part.channels, size=True),
        Argument(part.stride),
    )
    return Written("Subsample({})", arguments, "subsampling", helper=SUBSAMPLE.strip())


CHANNEL_NORM = '''
class ChannelNorm(nn.LayerNorm):
    """Layer norm of every pixel over its channels."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
'''


def _channel_norm(part: map_parts.ChannelNorm) -> Written:
    arguments = Argument(part.shape[0], size=True), Argument(EPSILON, "eps")
    return Written("ChannelNorm({})", arguments, "norm", helper=CHANNEL_NORM.strip())


PATCH_CONV = '''
class PatchConv(nn.Conv2d):
    """Convolution of patches; zeros fill those at the lower right."""

    def __init__(self, inputs: int, channels: int, side: int, bias: bool) -> None:
        super().__init__(inputs, channels, side, side, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        side = self.kernel_size[0]
        down, right = -x.shape[2] % side, -x.shape[3] % side
        return super().forward(nn.functional.pad(x, (0, right, 0, down)))
'''


def _patch_conv(part: map_parts.PatchConv) -> Written:
    arguments = (
        Argument(part.inputs[0], size=True),
        Argument(part.channels, size=True),
        Argument(part.side),
        Argument(part.bias, "bias"),
    )
    return Written("PatchConv({})", arguments, "convolution of patches", helper=PATCH_CONV.strip())


WRITERS: dict[type, Callable[[Any], Written]] = {
    parts.Conv: _conv,
    parts.Norm: _norm,
    parts.Linear: _linear,
    parts.Vector: _vector,
    parts.Relu: _relu,
    parts.Sigmoid: _sigmoid,
    parts.MaxPool: _max_pool,
    parts.GlobalPool: _global_pool,
    parts.Subsample: _subsample,
    parts.Gelu: _gelu,
    map_parts.ChannelNorm: _channel_norm,
    map_parts.PatchConv: _patch_conv,
}
"""Of every part of pictures but `Chain`, which becomes a class."""

"""How each kind of part is written: a table by type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nas.architecture import map_parts, parts
from nas.architecture.parts import Part
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
    variable: str = ""
    """The one of a place's variables that it is; no number, for which a formula is looked for."""


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


UP_CONV = '''
class UpConv(nn.ConvTranspose2d):
    """Transposed convolution that doubles the sides, cut to those of the level."""

    def __init__(
        self, inputs: int, channels: int, sides: tuple[int, int], bias: bool = True
    ) -> None:
        super().__init__(inputs, channels, 2, 2, bias=bias)
        self.sides = sides

    def forward(self, x: Tensor) -> Tensor:
        height, width = self.sides
        return super().forward(x)[:, :, :height, :width]
'''
UPSAMPLE = '''
class Upsample(nn.Upsample):
    """Every pixel as factor × factor equal ones, cut to the sides of the level."""

    def __init__(self, factor: int, sides: tuple[int, int]) -> None:
        super().__init__(scale_factor=factor)
        self.sides = sides

    def forward(self, x: Tensor) -> Tensor:
        height, width = self.sides
        return super().forward(x)[:, :, :height, :width]
'''


def _halve(part: map_parts.Halve) -> Written:
    arguments = Argument(2), Argument(True, "ceil_mode")
    return Written("nn.MaxPool2d({})", arguments, "2×2 maximum")


def _up_conv(part: map_parts.UpConv) -> Written:
    arguments = (
        Argument(part.inputs[0], size=True),
        Argument(part.channels, size=True),
        Argument(part.sides, variable="sides"),
        Argument(part.bias, "bias", True),
    )
    return Written("UpConv({})", arguments, "transposed convolution", helper=UP_CONV.strip())


def _upsample(part: map_parts.Upsample) -> Written:
    arguments = Argument(part.factor), Argument(part.sides, variable="sides")
    return Written("Upsample({})", arguments, "equal pixels", helper=UPSAMPLE.strip())


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
    map_parts.Halve: _halve,
    map_parts.UpConv: _up_conv,
    map_parts.Upsample: _upsample,
}
"""Of every part of pictures but `Chain`, which becomes a class."""


def _halve_evenly(part: map_parts.Halve) -> Written:
    return Written("nn.MaxPool2d({})", (Argument(2),), "2×2 maximum")


def _up_conv_evenly(part: map_parts.UpConv) -> Written:
    sizes = Argument(part.inputs[0], size=True), Argument(part.channels, size=True)
    more = Argument(2), Argument(2), Argument(part.bias, "bias", True)
    return Written("nn.ConvTranspose2d({})", (*sizes, *more), "transposed convolution")


def _upsample_evenly(part: map_parts.Upsample) -> Written:
    return Written("nn.Upsample({})", (Argument(part.factor, "scale_factor"),), "equal pixels")


EVEN: dict[type, Callable[[Any], Written]] = {
    map_parts.Halve: _halve_evenly,
    map_parts.UpConv: _up_conv_evenly,
    map_parts.Upsample: _upsample_evenly,
}
"""The same where nothing is rounded up on the way down, nor cut on the way up."""


def even(part: Part) -> bool:
    """Whether nothing is rounded up or cut."""
    match part:
        case map_parts.Halve():
            return not any(side % 2 for side in part.inputs[1:])
        case map_parts.UpConv():
            return part.sides == tuple(2 * side for side in part.inputs[1:])
        case map_parts.Upsample():
            return part.sides == tuple(part.factor * side for side in part.inputs[1:])
    return False

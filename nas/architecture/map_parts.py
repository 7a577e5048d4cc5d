"""Parts of maps (C, H, W) beside those of `parts.py`: what ConvNeXt and U-Nets are made of besides.

Sides that are no multiple of a stride are rounded up on the way down, as everywhere; on the way up a
map is cut to the sides that are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

from nas.architecture.parts import Norm, Part, Shape, strided


@dataclass(frozen=True)
class Identity(Part):
    """The input as it is."""

    shape: Shape
    params = macs = 0


@dataclass(frozen=True)
class ChannelNorm(Norm):
    """Layer normalisation of every pixel over its channels, ε 1e-6 (Ba et al. 2016; Liu et al. 2022)."""


@dataclass(frozen=True)
class PatchConv(Part):
    """Convolution of patches side × side that do not overlap; zeros fill those at the lower right."""

    inputs: Shape
    channels: int
    side: int
    bias: bool = False

    @property
    def shape(self) -> Shape:
        return strided(self.inputs, self.channels, self.side)

    @property
    def params(self) -> int:
        return self.channels * (self.inputs[0] * self.side**2 + self.bias)

    @property
    def macs(self) -> int:
        _, height, width = self.shape
        return self.channels * self.inputs[0] * self.side**2 * height * width


@dataclass(frozen=True)
class Halve(Part):
    """2×2 maximum, stride 2; the last row or column of an odd side is its own maximum."""

    inputs: Shape
    params = macs = 0

    @property
    def shape(self) -> Shape:
        return strided(self.inputs, self.inputs[0], 2)


@dataclass(frozen=True)
class Upsample(Part):
    """Every pixel as factor × factor equal ones, cut to the sides (H, W)."""

    inputs: Shape
    factor: int
    sides: tuple[int, int]
    params = macs = 0

    @property
    def shape(self) -> Shape:
        return (self.inputs[0], *self.sides)


@dataclass(frozen=True)
class UpConv(Part):
    """Transposed convolution 2×2, stride 2 (Ronneberger et al. 2015), cut to the sides (H, W)."""

    inputs: Shape
    channels: int
    sides: tuple[int, int]
    bias: bool = False

    @property
    def shape(self) -> Shape:
        return (self.channels, *self.sides)

    @property
    def params(self) -> int:
        return self.channels * (4 * self.inputs[0] + self.bias)

    @property
    def macs(self) -> int:
        channels, height, width = self.inputs
        return 4 * channels * self.channels * height * width

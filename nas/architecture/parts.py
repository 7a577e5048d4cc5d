"""What networks are made of, as plain data: every part knows its output shape, parameters and MACs.

Blocks, stems, adapters and merges are declared once with these parts. The plan adds them up, the
compiler turns each into a PyTorch module, so the two cannot disagree. Shapes are (C, H, W); one MAC
is one multiply-add of a convolution or linear layer per image (bias, norm and activations are not
counted, as in PyTorch's flop counter). No torch in here.

A model of a user's own is declared by its pieces, which were measured once (`nas/network/measuring.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, TypeAlias

Shape: TypeAlias = tuple[int, ...]
"""Without the batch: (C, H, W) of a map, (T, D) of tokens, (D,) of features."""


class Part:
    """What a network is made of; a dataclass over it is hashable, and equal parts are alike."""

    if TYPE_CHECKING:  # fields of dataclasses or properties, as it suits the part

        @property
        def shape(self) -> Shape:
            """Of its output."""

        @property
        def params(self) -> int: ...
        @property
        def macs(self) -> int: ...


def strided(shape: Shape, channels: int, stride: int) -> Shape:
    """Shape after a stride: sides are ceil(side / stride), so strides in sequence multiply."""
    _, height, width = shape
    return channels, -(-height // stride), -(-width // stride)


@dataclass(frozen=True)
class Conv(Part):
    """Convolution with padding kernel // 2; `bias_start` fixes where a bias begins.

    With as many `groups` as channels it is depthwise.
    """

    inputs: Shape
    channels: int
    kernel: int = 1
    stride: int = 1
    bias: bool = False
    bias_start: float | None = None
    groups: int = 1

    @property
    def shape(self) -> Shape:
        return strided(self.inputs, self.channels, self.stride)

    @property
    def params(self) -> int:
        return self.channels * (self.inputs[0] // self.groups * self.kernel**2 + self.bias)

    @property
    def macs(self) -> int:
        _, height, width = self.shape
        return self.channels * self.inputs[0] // self.groups * self.kernel**2 * height * width


@dataclass(frozen=True)
class Norm(Part):
    """Batch normalisation over channels."""

    shape: Shape
    macs = 0

    @property
    def params(self) -> int:
        return 2 * self.shape[0]


@dataclass(frozen=True)
class Linear(Part):
    inputs: Shape
    features: int

    @property
    def shape(self) -> Shape:
        return (self.features, 1, 1)

    @property
    def params(self) -> int:
        return self.features * (self.inputs[0] + 1)

    @property
    def macs(self) -> int:
        return self.features * self.inputs[0]


@dataclass(frozen=True)
class Vector(Part):
    """A learnt parameter of `size` values that all begin at `start`."""

    size: int
    start: float
    macs = 0

    @property
    def shape(self) -> Shape:
        return (self.size, 1, 1)

    @property
    def params(self) -> int:
        return self.size


@dataclass(frozen=True)
class Relu(Part):
    shape: Shape
    params = macs = 0


@dataclass(frozen=True)
class Gelu(Part):
    shape: Shape
    params = macs = 0


@dataclass(frozen=True)
class Sigmoid(Part):
    shape: Shape
    params = macs = 0


@dataclass(frozen=True)
class MaxPool(Part):
    """3×3 maximum, stride 2, padding 1."""

    inputs: Shape
    params = macs = 0

    @property
    def shape(self) -> Shape:
        return strided(self.inputs, self.inputs[0], 2)


@dataclass(frozen=True)
class GlobalPool(Part):
    """Mean over the map, kept as (C, 1, 1)."""

    inputs: Shape
    params = macs = 0

    @property
    def shape(self) -> Shape:
        return (self.inputs[0], 1, 1)


@dataclass(frozen=True)
class Subsample(Part):
    """Option A: every stride-th pixel, new channels filled with zeros (He et al. 2015)."""

    inputs: Shape
    channels: int
    stride: int
    params = macs = 0

    @property
    def shape(self) -> Shape:
        return strided(self.inputs, self.channels, self.stride)


@dataclass(frozen=True)
class Shrink(Part):
    """Mean over areas, to sides that no stride gives (7 to 3)."""

    inputs: Shape
    sides: tuple[int, int]
    params = macs = 0

    @property
    def shape(self) -> Shape:
        return (self.inputs[0], *self.sides)


@dataclass(frozen=True)
class Project(Part):
    """Linear layer over the last axis: of tokens (T, D), or of features (D,).

    `bias_start` fixes where a bias begins.
    """

    inputs: Shape
    features: int
    bias: bool = True
    bias_start: float | None = None

    @property
    def shape(self) -> Shape:
        return (*self.inputs[:-1], self.features)

    @property
    def params(self) -> int:
        return self.features * (self.inputs[-1] + self.bias)

    @property
    def macs(self) -> int:
        return self.features * prod(self.inputs)


@dataclass(frozen=True)
class Source:
    """What makes a model of a user's own, and where it is cut."""

    model: str
    """A name in `skeletons.wrapped.MODELS`, such as `my_model.py:make`."""
    blocks: tuple[str, ...]
    """Where the lists of its blocks are in it."""
    input_shape: Shape
    classes: int


@dataclass(frozen=True)
class Piece(Part):
    """What a model of a user's own does from one cut to the next: its stem, a block, its head."""

    source: Source
    index: int
    """0 is the stem, i block i, and the last the head."""
    inputs: Shape
    shape: Shape
    params: int
    macs: int
    kept: int
    """Values that one input leaves for the backward pass."""
    in_place: bool
    """Whether it changes its input, and so needs a copy."""


@dataclass(frozen=True)
class Chain(Part):
    """Named parts, each reading the one before."""

    steps: tuple[tuple[str, Part], ...]

    @classmethod
    def of(cls, **steps: Part | None) -> Chain:
        """A chain of the given parts in order; None (a norm that is switched off) is left out."""
        return cls(tuple((name, part) for name, part in steps.items() if part is not None))

    def __iter__(self) -> Iterator[tuple[str, Part]]:
        return iter(self.steps)

    @property
    def shape(self) -> Shape:
        return self.steps[-1][1].shape

    @property
    def params(self) -> int:
        return sum(part.params for _, part in self.steps)

    @property
    def macs(self) -> int:
        return sum(part.macs for _, part in self.steps)

"""Parts of tokens (T, D) beside those of `parts.py`: what Transformers are made of besides.

MACs of attention are those of its two products of matrices, T²·D each, whether it is causal or not, as
PyTorch's flop counter has them on a GPU; its fused kernel on the CPU is not counted there.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

from nas.architecture.parts import Norm, Part, Shape


@dataclass(frozen=True)
class LayerNorm(Norm):
    """Layer normalisation over the last axis (Ba et al. 2016)."""

    epsilon: float = 1e-5
    bias: bool = True

    @property
    def params(self) -> int:
        return self.shape[-1] * (1 + self.bias)


@dataclass(frozen=True)
class RmsNorm(Norm):
    """Division by the root mean square of the last axis (Zhang & Sennrich 2019)."""

    epsilon: float = 1e-5

    @property
    def params(self) -> int:
        return self.shape[-1]


@dataclass(frozen=True)
class TanhGelu(Part):
    """GELU by the tangent that GPT-2 has for it (Hendrycks & Gimpel 2016, section 2)."""

    shape: Shape
    params = macs = 0


@dataclass(frozen=True)
class Attend(Part):
    """Scaled dot-product attention of heads side by side (Vaswani et al. 2017): (T, 3·D), which are
    queries, keys and values, to (T, D).

    `rotary` turns queries and keys by angles that grow with their position (Su et al. 2021).
    """

    inputs: Shape
    heads: int
    causal: bool
    rotary: bool
    params = 0

    @property
    def shape(self) -> Shape:
        return self.inputs[0], self.inputs[1] // 3

    @property
    def macs(self) -> int:
        tokens, width = self.shape
        return 2 * tokens**2 * width


@dataclass(frozen=True)
class Embedding(Part):
    """A learnt vector for each of so many symbols: (T,) to (T, D)."""

    inputs: Shape
    symbols: int
    features: int
    macs = 0

    @property
    def shape(self) -> Shape:
        return *self.inputs, self.features

    @property
    def params(self) -> int:
        return self.symbols * self.features


@dataclass(frozen=True)
class Patches(Part):
    """Squares of a picture (C, H, W), row by row, each by the same linear layer (Dosovitskiy et al. 2021)."""

    inputs: Shape
    side: int
    features: int
    bias: bool = True

    @property
    def shape(self) -> Shape:
        _, height, width = self.inputs
        return (height // self.side) * (width // self.side), self.features

    @property
    def params(self) -> int:
        return self.features * (self.inputs[0] * self.side**2 + self.bias)

    @property
    def macs(self) -> int:
        return prod(self.shape) * self.inputs[0] * self.side**2


@dataclass(frozen=True)
class ClassToken(Part):
    """One learnt token before all others, from which a class can be read (Dosovitskiy et al. 2021)."""

    inputs: Shape
    macs = 0

    @property
    def shape(self) -> Shape:
        return 1 + self.inputs[0], self.inputs[1]

    @property
    def params(self) -> int:
        return self.inputs[1]


@dataclass(frozen=True)
class Positions(Part):
    """A learnt vector added at every position."""

    shape: Shape
    macs = 0

    @property
    def params(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class TokenPool(Part):
    """(T, D) to (D,): the first token, or the mean of all."""

    inputs: Shape
    pooling: Literal["token", "mean"]
    params = macs = 0

    @property
    def shape(self) -> Shape:
        return self.inputs[1:]

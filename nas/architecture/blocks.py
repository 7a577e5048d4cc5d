"""The kinds of residual branch and of stem, each declared as a chain of parts.

A block is a branch F from the previous node to the layer's output shape. MACs per output pixel, for
a 3×3 convolution from c to c channels: 9c². Pre-activation blocks (He et al. 2016) start with
norm-ReLU and leave the sum after the merge as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nas.architecture.parts import Chain, Conv, MaxPool, Norm, Relu, Shape

NormRule = Callable[[Shape], Norm | None]


@dataclass(frozen=True)
class Block:
    """A kind of branch: how much wider its output is than the stage's width, and its parts."""

    expansion: int
    preactivation: bool
    branch: Callable[[Shape, int, int, bool, NormRule], Chain]
    """(input shape, width, stride, bias, norm rule) -> the branch."""


def basic(inputs: Shape, width: int, stride: int, bias: bool, norm: NormRule) -> Chain:
    """3×3 (with the stride), norm, ReLU, 3×3, norm: 18·width² MACs a pixel at stride 1."""
    conv1 = Conv(inputs, width, 3, stride, bias)
    conv2 = Conv(conv1.shape, width, 3, 1, bias)
    return Chain.of(
        conv1=conv1,
        norm1=norm(conv1.shape),
        relu=Relu(conv1.shape),
        conv2=conv2,
        norm2=norm(conv2.shape),
    )


def bottleneck(inputs: Shape, width: int, stride: int, bias: bool, norm: NormRule) -> Chain:
    """1×1 to width, 3×3 (with the stride, as torchvision's), 1×1 to 4·width: 17·width² MACs a pixel."""
    conv1 = Conv(inputs, width, 1, 1, bias)
    conv2 = Conv(conv1.shape, width, 3, stride, bias)
    conv3 = Conv(conv2.shape, 4 * width, 1, 1, bias)
    return Chain.of(
        conv1=conv1,
        norm1=norm(conv1.shape),
        relu1=Relu(conv1.shape),
        conv2=conv2,
        norm2=norm(conv2.shape),
        relu2=Relu(conv2.shape),
        conv3=conv3,
        norm3=norm(conv3.shape),
    )


def preact_basic(inputs: Shape, width: int, stride: int, bias: bool, norm: NormRule) -> Chain:
    """norm, ReLU, 3×3 (with the stride), norm, ReLU, 3×3."""
    conv1 = Conv(inputs, width, 3, stride, bias)
    conv2 = Conv(conv1.shape, width, 3, 1, bias)
    return Chain.of(
        norm1=norm(inputs),
        relu1=Relu(inputs),
        conv1=conv1,
        norm2=norm(conv1.shape),
        relu2=Relu(conv1.shape),
        conv2=conv2,
    )


def preact_bottleneck(inputs: Shape, width: int, stride: int, bias: bool, norm: NormRule) -> Chain:
    """norm, ReLU, 1×1, norm, ReLU, 3×3 (with the stride), norm, ReLU, 1×1 to 4·width."""
    conv1 = Conv(inputs, width, 1, 1, bias)
    conv2 = Conv(conv1.shape, width, 3, stride, bias)
    conv3 = Conv(conv2.shape, 4 * width, 1, 1, bias)
    return Chain.of(
        norm1=norm(inputs),
        relu1=Relu(inputs),
        conv1=conv1,
        norm2=norm(conv1.shape),
        relu2=Relu(conv1.shape),
        conv2=conv2,
        norm3=norm(conv2.shape),
        relu3=Relu(conv2.shape),
        conv3=conv3,
    )


BLOCKS: dict[str, Block] = {
    "basic": Block(1, False, basic),
    "bottleneck": Block(4, False, bottleneck),
    "preact-basic": Block(1, True, preact_basic),
    "preact-bottleneck": Block(4, True, preact_bottleneck),
}


@dataclass(frozen=True)
class Stem:
    """What stands before the first layer: its stride, and its parts."""

    stride: int
    parts: Callable[[Shape, int, bool, NormRule, bool], Chain]
    """(input shape, width, bias, norm rule, activation) -> the stem."""


def stem_3x3(inputs: Shape, width: int, bias: bool, norm: NormRule, activation: bool) -> Chain:
    """3×3 convolution at full resolution (the CIFAR networks)."""
    conv = Conv(inputs, width, 3, 1, bias)
    if not activation:
        return Chain.of(conv=conv)
    return Chain.of(conv=conv, norm=norm(conv.shape), relu=Relu(conv.shape))


def stem_7x7(inputs: Shape, width: int, bias: bool, norm: NormRule, activation: bool) -> Chain:
    """7×7 convolution of stride 2, then 3×3 max pooling of stride 2 (the ImageNet networks)."""
    conv = Conv(inputs, width, 7, 2, bias)
    if not activation:
        return Chain.of(conv=conv, pool=MaxPool(conv.shape))
    return Chain.of(
        conv=conv, norm=norm(conv.shape), relu=Relu(conv.shape), pool=MaxPool(conv.shape)
    )


STEMS: dict[str, Stem] = {"3x3": Stem(1, stem_3x3), "7x7": Stem(4, stem_7x7)}

"""The kinds of residual branch and of stem, each declared as a chain of parts.

A block is a branch F from the previous node to the layer's output shape. MACs per output pixel, for
a 3×3 convolution from c to c channels: 9c². Pre-activation blocks (He et al. 2016) start with
norm-ReLU and leave the sum after the merge as it is, and so do ConvNeXt's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nas.architecture.map_parts import PatchConv
from nas.architecture.parts import Chain, Conv, Gelu, MaxPool, Norm, Relu, Shape

NormRule = Callable[[Shape], Norm | None]


@dataclass(frozen=True)
class Block:
    """A kind of branch: how much wider its output is than the stage's width, and its parts."""

    expansion: int
    preactivation: bool
    """Whether it leaves what the merge gives as it is: no ReLU follows, nor stands in the stem."""
    branch: Callable[[Shape, int, int, bool, NormRule], Chain]
    """(input shape, width, stride, bias, norm rule) -> the branch."""
    pooled_norm: bool = False
    """Whether the head of a classifier has its norm after the pooling, and no ReLU."""


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


def convnext(inputs: Shape, width: int, stride: int, bias: bool, norm: NormRule) -> Chain:
    """Depthwise 7×7, norm, 1×1 to 4·width, GELU, 1×1 back (Liu et al. 2022): 8·width² + 49·width MACs a
    pixel. What makes a map smaller or wider is a layer of its own there: norm, stride×stride."""
    if stride > 1 or inputs[0] != width:
        return Chain.of(norm=norm(inputs), conv=PatchConv(inputs, width, stride, bias))
    conv1 = Conv(inputs, width, 7, 1, bias, groups=width)
    conv2 = Conv(conv1.shape, 4 * width, 1, 1, bias)
    return Chain.of(
        conv1=conv1,
        norm=norm(conv1.shape),
        conv2=conv2,
        gelu=Gelu(conv2.shape),
        conv3=Conv(conv2.shape, width, 1, 1, bias),
    )


BLOCKS: dict[str, Block] = {
    "basic": Block(1, False, basic),
    "bottleneck": Block(4, False, bottleneck),
    "preact-basic": Block(1, True, preact_basic),
    "preact-bottleneck": Block(4, True, preact_bottleneck),
    "convnext": Block(1, True, convnext, pooled_norm=True),
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


def stem_patch(inputs: Shape, width: int, bias: bool, norm: NormRule, activation: bool) -> Chain:
    """4×4 convolution of stride 4 and norm (ConvNeXt's), which stays where blocks begin with one."""
    conv = PatchConv(inputs, width, 4, bias)
    relu = Relu(conv.shape) if activation else None
    return Chain.of(conv=conv, norm=norm(conv.shape), relu=relu)


STEMS: dict[str, Stem] = {
    "3x3": Stem(1, stem_3x3),
    "7x7": Stem(4, stem_7x7),
    "patch": Stem(4, stem_patch),
}

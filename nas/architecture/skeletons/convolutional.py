"""The convolutional skeleton: what is fixed around a genome (the term is NAS-Bench-201's)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import prod
from typing import ClassVar, Literal

from nas.architecture.declared import branch_of, stem_of
from nas.architecture.map_parts import ChannelNorm
from nas.architecture.merges import Site
from nas.architecture.notation import MAX_LAYERS
from nas.architecture.parts import (
    Chain,
    Conv,
    GlobalPool,
    Linear,
    Norm,
    Part,
    Relu,
    Shape,
    Subsample,
    strided,
)
from nas.architecture.skeletons.blocks import BLOCKS, STEMS, Block
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.errors import InputError, brief, unknown

MOST = {"input_shape": 1 << 16, "classes": 1_000_000, "width": 1 << 16, "stride": 1 << 16}
"""What a skeleton's numbers are at most; beyond, nothing could be trained."""
NORMS: dict[str, Callable[[Shape], Norm | None]] = {
    "batch": Norm,
    "layer": ChannelNorm,
    "none": lambda shape: None,
}
"""What gives the norm of a map of a shape."""


@dataclass(frozen=True)
class Stage:
    """A run of layers of one width; its first layer has the stride."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    layers: int
    width: int
    stride: int = 1


@dataclass(frozen=True)
class Skeleton(AnySkeleton):
    """Stages of residual blocks after a stem, then pooling and a linear layer.

    Raises:
        InputError: an unknown name, a number out of range, or pictures too small for the strides.
    """

    input_shape: Shape
    """(C, H, W)."""
    classes: int
    stages: tuple[Stage, ...]
    stem: str = "3x3"
    """A name in STEMS."""
    block: str = "basic"
    """A name in BLOCKS."""
    norm: Literal["batch", "layer", "none"] = "batch"
    """Layer norm is that of every pixel over its channels."""
    bias: bool = False
    """Whether convolutions have a bias."""
    activation: bool | None = None
    """ReLU after the merge; None is the block's own way: yes, but no for pre-activation blocks."""
    adapter: Literal["A", "B"] = "B"
    """How skips change shape: A subsamples and fills with zeros, B is a 1×1 convolution with norm."""
    init: Literal["pytorch", "he"] = "pytorch"
    """PyTorch's default weights, or He's normal ones (fan out, as torchvision's ResNets)."""
    stem_width: int | None = None
    """Channels of node 0; None is the first stage's width."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_shape", tuple(self.input_shape))
        object.__setattr__(self, "stages", tuple(self.stages))
        for name, table in (("stem", STEMS), ("block", BLOCKS)):
            if getattr(self, name) not in table:
                raise unknown(name, getattr(self, name), table, place="skeleton")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise unknown(name, getattr(self, name), allowed, place="skeleton")
        self._check_numbers()
        if self.kind.preactivation and self.activation:
            raise InputError(f"skeleton: block {self.block!r} has no activation after the merge")
        least, side = self.least_side, min(self.input_shape[1:])
        if side < least:
            raise InputError(
                f"images of {self.input_shape[1]}×{self.input_shape[2]} are too small for the "
                f"{self.stem} stem and {len(self.stages)} stages (strides multiply to "
                f"{self.stride}): the least side is {least}"
            )

    def _check_numbers(self) -> None:
        if len(self.input_shape) != 3:
            raise InputError(f"skeleton: input_shape is (C, H, W), not {brief(self.input_shape)}")
        if not self.stages:
            raise InputError("skeleton: at least one stage is needed")
        place = f"input_shape {brief(self.input_shape)}"
        for side in self.input_shape:
            _check_number(place, side, MOST["input_shape"])
        _check_number("classes", self.classes, MOST["classes"], least=2)
        if self.stem_width is not None:
            _check_number("stem_width", self.stem_width, MOST["width"])
        for index, stage in enumerate(self.stages, 1):
            _check_number(f"stage {index} layers", stage.layers, MAX_LAYERS)
            _check_number(f"stage {index} width", stage.width, MOST["width"])
            _check_number(f"stage {index} stride", stage.stride, MOST["stride"])
        if self.layers > MAX_LAYERS:
            raise InputError(f"skeleton: {self.layers} layers; at most {MAX_LAYERS} are allowed")
        if self.stride > MOST["stride"]:
            raise InputError(f"skeleton: all strides multiply to more than {MOST['stride']}")

    @property
    def kind(self) -> Block:
        return BLOCKS[self.block]

    @property
    def layers(self) -> int:
        """Number of layers, which a genome must have."""
        return sum(stage.layers for stage in self.stages)

    @property
    def stride(self) -> int:
        """Product of all strides, the stem's among them."""
        return STEMS[self.stem].stride * prod(stage.stride for stage in self.stages)

    @property
    def least_side(self) -> int:
        """Least side of a picture at which every stride still has two pixels to choose from."""
        strides = {"7x7": [2, 2], "patch": [4]}.get(self.stem, [])
        strides += [stage.stride for stage in self.stages if stage.stride > 1]
        return self.stride // strides[-1] + 1 if strides else 1

    @property
    def relu_after_merge(self) -> bool:
        return not self.kind.preactivation if self.activation is None else self.activation

    def norm_of(self, shape: Shape) -> Norm | None:
        """The norm for a map of this shape, or None where the skeleton has none."""
        return NORMS[self.norm](shape)

    def blocks(self) -> Iterator[tuple[int, int, int]]:
        """(stage from 1, width, stride) of every layer in order."""
        for index, stage in enumerate(self.stages, 1):
            for layer in range(stage.layers):
                yield index, stage.width, stage.stride if layer == 0 else 1

    @cached_property
    def _layers(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(self.blocks())

    @cached_property
    def stem_part(self) -> Chain:
        width = self.stem_width or self.stages[0].width
        return stem_of(
            self.stem, STEMS[self.stem], self.input_shape, width, self.bias, self.norm_of,
            not self.kind.preactivation,
        )  # fmt: skip

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """(C, H, W) of every node."""
        shapes = [self.stem_part.shape]
        for _, width, stride in self._layers:
            shapes.append(strided(shapes[-1], width * self.kind.expansion, stride))
        return tuple(shapes)

    @cached_property
    def _strides(self) -> tuple[int, ...]:
        """Of every node, accumulated from the stem's output."""
        strides = [1]
        for _, _, stride in self._layers:
            strides.append(strides[-1] * stride)
        return tuple(strides)

    @property
    def head_part(self) -> Chain:
        shape = self.shapes[-1]
        pool = GlobalPool(shape)
        fc = Linear(pool.shape, self.classes)
        if self.kind.pooled_norm:
            return Chain.of(pool=pool, norm=self.norm_of(pool.shape), fc=fc)
        if not self.kind.preactivation:
            return Chain.of(pool=pool, fc=fc)
        return Chain.of(norm=self.norm_of(shape), relu=Relu(shape), pool=pool, fc=fc)

    def branch(self, index: int) -> Chain:
        _, width, stride = self._layers[index - 1]
        return branch_of(
            self.block, self.kind, self.shapes[index - 1], width, stride, self.bias, self.norm_of
        )

    def site(self, index: int, skips: int) -> Site:
        stride, inputs, shape = (
            self._layers[index - 1][2],
            self.shapes[index - 1],
            self.shapes[index],
        )
        again = partial(self.branch, index)
        return Site(inputs, shape, stride, skips, self.bias, self.norm_of, again)

    def adapter_part(self, source: int, target: int) -> Part | None:
        """What fits a skip's source to a layer's output; None where the shapes agree.

        Option B is a 1×1 convolution with the product of the strides, and norm. Option A takes every
        stride-th pixel and fills new channels with zeros (He et al. 2015, section 4.2).

        Raises:
            InputError: option A cannot shrink a width.
        """
        start, end = self.shapes[source], self.shapes[target]
        stride = self._strides[target] // self._strides[source]
        if start == end and stride == 1:
            return None
        if self.adapter == "A":
            if start[0] > end[0]:
                raise InputError(
                    f"an option A adapter cannot shrink {start[0]} channels to {end[0]}; use option B"
                )
            return Subsample(start, end[0], stride)
        conv = Conv(start, end[0], 1, stride, self.bias)
        return Chain.of(conv=conv, norm=self.norm_of(conv.shape))

    def stage(self, index: int) -> int:
        return self._layers[index - 1][0]

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(stage.width for stage in self.stages)

    def for_data(self, input_shape: Shape, classes: int) -> Skeleton:
        """This skeleton with another input shape and number of classes."""
        return replace(self, input_shape=input_shape, classes=classes)

    def deepened(self, factor: int) -> Skeleton:
        """This skeleton with every stage so many times as long."""
        stages = tuple(replace(stage, layers=factor * stage.layers) for stage in self.stages)
        return replace(self, stages=stages)

    def widened(self, widths: Sequence[int]) -> Skeleton:
        """This skeleton with these widths of its stages."""
        pairs = zip(self.stages, widths, strict=True)
        return replace(self, stages=tuple(replace(stage, width=width) for stage, width in pairs))

    @property
    def title(self) -> str:
        return " | ".join(
            f"{s.layers}×{s.width}" + f"/{s.stride}" * (s.stride > 1) for s in self.stages
        )

    def describe(self) -> dict[str, str]:
        return {
            "stem": self.stem,
            "stages (layers×width/stride)": self.title,
            "block": self.block,
            "norm, bias, adapter, weights": f"{self.norm}, {self.bias}, {self.adapter}, {self.init}",
        }


def _check_number(name: str, value: int, most: int, least: int = 1) -> None:
    if value < least:
        raise InputError(f"skeleton: {name} must be at least {least}")
    if value > most:
        raise InputError(f"skeleton: {name} is {brief(value)}; it must be at most {most}")


_CHOICES = {"norm": tuple(NORMS), "adapter": ("A", "B"), "init": ("pytorch", "he")}

"""The U-Net: levels that go down and up again, and a map of the input's size (Ronneberger et al. 2015)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import ClassVar, Literal

from nas.architecture.declared import branch_of, input_fits, stem_of
from nas.architecture.map_parts import Halve, Identity, UpConv, Upsample
from nas.architecture.merges import MERGES, Site
from nas.architecture.notation import MAX_LAYERS
from nas.architecture.parts import Chain, Conv, Norm, Part, Relu, Shape, strided
from nas.architecture.skeletons.blocks import BLOCKS, STEMS, Block
from nas.architecture.skeletons.convolutional import MOST, NORMS
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.errors import InputError, brief, unknown

CHOICES: dict[str, Collection[str]] = {
    "block": BLOCKS,
    "norm": NORMS,
    "stem": ("3x3", "none"),
    "down": ("pool", "stride"),
    "up": ("transposed", "nearest"),
    "init": ("pytorch", "he"),
}


@dataclass(frozen=True)
class UNet(AnySkeleton):
    """Levels of blocks, each of half the sides of the level before, and the same levels back up.

    With L levels of k layers, layers 1 to L·k go down, and (L-1)·k go up. The first layer of a level
    that is lower begins with a 2×2 maximum. The first layer of a level on the way up is an
    up-convolution: its merge joins skips to that, and the block reads what is merged. So
    `-*L concat(m)*(L-1)` is the U-Net of 2015 where k = 1, the stem "none", the block "basic" and the
    norm "none", up to one thing: after it is put side by side with the mirrored map, the upper map goes
    through a 1×1 convolution back to the level's width before the block.

    Sides are rounded up on the way down, and cut to the mirrored level's on the way up, so all fit.
    Pictures of other sides than these fit where every level halves them without a rest.

    Raises:
        InputError: an unknown name, a number out of range, or pictures too small for the levels.
    """

    any_size: ClassVar = False
    input_shape: Shape
    """(C, H, W)."""
    classes: int
    """Channels of the map (classes, H, W) that its networks give."""
    levels: tuple[int, ...] = (16, 32, 64)
    """Widths, from the input's sides down."""
    per_level: int = 1
    """Layers of a level on each way."""
    stem: Literal["3x3", "none"] = "3x3"
    """None leaves the input as node 0."""
    block: str = "basic"
    """A name in BLOCKS."""
    norm: Literal["batch", "layer", "none"] = "batch"
    bias: bool = False
    """Whether convolutions have a bias; the head has one always."""
    down: Literal["pool", "stride"] = "pool"
    """What halves the sides: a 2×2 maximum, or the stride of the level's first block."""
    up: Literal["transposed", "nearest"] = "transposed"
    """A transposed 2×2 convolution, or equal pixels and a 3×3 convolution (Odena et al. 2016)."""
    init: Literal["pytorch", "he"] = "pytorch"
    """PyTorch's default weights, or He's normal ones but for transposed convolutions."""
    family: Literal["unet"] = "unet"

    def __post_init__(self) -> None:
        for name in ("input_shape", "levels"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise unknown(name, getattr(self, name), allowed, place="skeleton")
        if len(self.input_shape) != 3:
            raise InputError(f"skeleton: input_shape is (C, H, W), not {brief(self.input_shape)}")
        if len(self.levels) < 2:
            raise InputError("skeleton: at least two levels are needed")
        numbers = [("input_shape", side, MOST["input_shape"]) for side in self.input_shape]
        numbers += [("levels", width, MOST["width"]) for width in self.levels]
        numbers += [("classes", self.classes, MOST["classes"]), ("per_level", self.per_level, MAX_LAYERS)]  # fmt: skip
        for name, value, most in numbers:
            if not 1 <= value <= most:
                raise InputError(f"skeleton: {name} has {brief(value)}; 1 to {most} is allowed")
        if self.layers > MAX_LAYERS:
            raise InputError(f"skeleton: {self.layers} layers; at most {MAX_LAYERS} are allowed")
        least = 2 ** (len(self.levels) - 2) + 1
        if self.side < least:
            _, height, width = self.input_shape
            raise InputError(
                f"images of {height}×{width} are too small for {len(self.levels)} levels: the least "
                f"side is {least}"
            )

    @property
    def outputs(self) -> Literal["map"]:
        return "map"

    @property
    def kind(self) -> Block:
        return BLOCKS[self.block]

    @property
    def layers(self) -> int:
        return (2 * len(self.levels) - 1) * self.per_level

    def stage(self, index: int) -> int:
        """Levels are numbered on, from 1 on the way down to 2L-1 at the end of the way up."""
        return 1 + (index - 1) // self.per_level

    def level(self, node: int) -> int:
        """How often the sides of a node are halved."""
        stage, lowest = self.stage(max(1, node)) - 1, len(self.levels) - 1
        return min(stage, 2 * lowest - stage)

    def mirror(self, index: int) -> int | None:
        """For layers on the way up, the last node of their level on the way down."""
        level, lowest = self.level(index), len(self.levels) - 1
        return (level + 1) * self.per_level if self.stage(index) > lowest + 1 else None

    def _starts(self, index: int) -> Literal["down", "up", ""]:
        """The way by which a layer begins a level; empty for all other layers."""
        steps = self.level(index) - self.level(index - 1)
        return "down" if steps > 0 else "up" if steps < 0 else ""

    def norm_of(self, shape: Shape) -> Norm | None:
        """The norm for a map of this shape, or None where the skeleton has none."""
        return NORMS[self.norm](shape)

    @cached_property
    def stem_part(self) -> Part:
        if self.stem == "none":
            return Identity(self.input_shape)
        return stem_of(
            self.stem, STEMS[self.stem], self.input_shape, self.levels[0], self.bias, self.norm_of,
            not self.kind.preactivation,
        )  # fmt: skip

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        nodes = range(1, self.layers + 1)
        return (self.stem_part.shape, *(self._shape(self.level(node)) for node in nodes))

    def _shape(self, level: int) -> Shape:
        return strided(self.input_shape, self.levels[level] * self.kind.expansion, 2**level)

    @property
    def head_part(self) -> Chain:
        """A 1×1 convolution to the map's channels; after norm and ReLU where blocks begin with these."""
        shape = self.shapes[-1]
        conv = Conv(shape, self.classes, bias=True)
        if not self.kind.preactivation:
            return Chain.of(conv=conv)
        relu = None if self.kind.pooled_norm else Relu(shape)
        return Chain.of(norm=self.norm_of(shape), relu=relu, conv=conv)

    def branch(self, index: int) -> Chain:
        inputs = self.shapes[index - 1]
        match self._starts(index):
            case "up":
                return self._up(inputs, self.shapes[index])
            case "down" if self.down == "pool":
                halve = Halve(inputs)
                return Chain.of(halve=halve, block=self._block(index, halve.shape))
            case "down":
                return self._block(index, inputs, 2)
        return self._block(index, inputs)

    def _block(self, index: int, inputs: Shape, stride: int = 1) -> Chain:
        width = self.levels[self.level(index)]
        return branch_of(self.block, self.kind, inputs, width, stride, self.bias, self.norm_of)

    def _up(self, inputs: Shape, shape: Shape) -> Chain:
        channels, *sides = shape
        if self.up == "transposed":
            return Chain.of(up=UpConv(inputs, channels, (sides[0], sides[1]), self.bias))
        up = Upsample(inputs, 2, (sides[0], sides[1]))
        return Chain.of(up=up, conv=Conv(up.shape, channels, 3, 1, self.bias))

    @property
    def relu_after_merge(self) -> bool:
        return not self.kind.preactivation

    def after(self, index: int) -> Part | None:
        """ReLU, but for blocks that leave the sum as it is; in an up-convolution's layer the block first."""
        relu = super().after(index)
        if self._starts(index) != "up":
            return relu
        return Chain.of(block=self._block(index, self.shapes[index]), relu=relu)

    def site(self, index: int, skips: int) -> Site:
        inputs, shape = self.shapes[index - 1], self.shapes[index]
        stride = 2 if self._starts(index) == "down" else 1
        again = partial(self.branch, index)
        return Site(inputs, shape, stride, skips, self.bias, self.norm_of, again)

    def lacks(self, merge: str, index: int) -> str:
        """In an up-convolution's layer, a merge whose part reads the layer's input must enlarge it."""
        if self._starts(index) != "up" or self._fits(merge, index):
            return ""
        able = ", ".join(name for name in MERGES if self._fits(name, index))
        return f"merge {merge!r} reads the map before it is enlarged; allowed: {able}"

    def _fits(self, merge: str, index: int) -> bool:
        return input_fits(merge, MERGES[merge], self.site(index, 1))

    def adapter_part(self, source: int, target: int) -> Part | None:
        """A 1×1 convolution with norm: with the stride on the way down, before equal pixels on the way up;
        None where the shapes agree."""
        start, end = self.shapes[source], self.shapes[target]
        if start == end:
            return None
        lower = self.level(target) - self.level(source)
        conv = Conv(start, end[0], 1, 2 ** max(0, lower), self.bias)
        up = Upsample(conv.shape, 2**-lower, (end[1], end[2])) if lower < 0 else None
        return Chain.of(conv=conv, norm=self.norm_of(conv.shape), up=up)

    @property
    def widths(self) -> tuple[int, ...]:
        return self.levels

    def for_data(self, input_shape: Shape, classes: int) -> UNet:
        return replace(self, input_shape=input_shape, classes=classes)

    def deepened(self, factor: int) -> UNet:
        return replace(self, per_level=factor * self.per_level)

    def widened(self, widths: Sequence[int]) -> UNet:
        return replace(self, levels=tuple(widths))

    @property
    def title(self) -> str:
        widths = [*self.levels, *self.levels[-2::-1]]
        return "U-Net " + " | ".join(f"{self.per_level}×{width}" for width in widths)

    def describe(self) -> dict[str, str]:
        return {
            "stem": self.stem,
            "levels (layers×width)": self.title,
            "block": self.block,
            "down, up": f"{self.down}, {self.up}",
            "norm, bias, weights": f"{self.norm}, {self.bias}, {self.init}",
        }

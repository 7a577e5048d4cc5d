"""A model of a user's own as a skeleton: its blocks are the layers, and patterns add skips around them.

The plain pattern is the model as it was, whatever its blocks do inside. What plans need, the shapes and
costs of all pieces, was measured once and is recorded, so a record is read without the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, Literal, NoReturn

from nas.architecture.declared import input_fits
from nas.architecture.merges import MERGES, Site
from nas.architecture.parts import (
    Chain,
    Conv,
    Norm,
    Part,
    Piece,
    Project,
    Shape,
    Shrink,
    Source,
    strided,
)
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.errors import InputError

MODELS: dict[str, Callable[..., Any]] = {}
"""What makes models, by `my_model.py:make`; as lasting as the plugins whose functions these are."""


@dataclass(frozen=True)
class Cut:
    """Where a piece ends, and what it costs."""

    shape: Shape
    params: int
    macs: int
    """For one input, as PyTorch's flop counter counts them."""
    kept: int
    """Values that one input leaves for the backward pass."""
    in_place: bool = False
    """Whether it changes its input, which other layers may read, and so needs a copy."""


@dataclass(frozen=True)
class Wrapped(AnySkeleton):
    """The stem, blocks and head of a model, made by `wrapped`."""

    formats: ClassVar = ("fp32",)
    measure: ClassVar[Callable[[Source], tuple[tuple[Cut, ...], str]]]
    """Cuts a model, and gives its `cuts` and `weights`; `nas` sets it, since it needs the network's folder."""
    model: str
    """A name in MODELS, such as `my_model.py:make`."""
    blocks: tuple[str, ...]
    """Where the lists of its blocks are in it; none is its longest list."""
    cuts: tuple[Cut, ...]
    """The stem, every block and the head."""
    weights: str = ""
    """Hash of the weights that it has whatever the seed, such as trained ones."""
    family: Literal["wrapped"] = "wrapped"

    def __post_init__(self) -> None:
        for name in ("input_shape", "blocks", "cuts"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.cuts) < 3:
            raise InputError("skeleton: cuts has the stem, at least one block, and the head")
        if self.cuts[-1].shape != (self.classes,):
            raise InputError(
                f"model {self.model!r} gives {_text(self.cuts[-1].shape)} for an input; the data has "
                f"{self.classes} classes, so logits of shape ({self.classes},) are needed"
            )

    @property
    def layers(self) -> int:
        return len(self.cuts) - 2

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        return tuple(cut.shape for cut in self.cuts[:-1])

    def _piece(self, index: int) -> Piece:
        cut = self.cuts[index]
        inputs = self.cuts[index - 1].shape if index else self.input_shape
        source = Source(self.model, self.blocks, self.input_shape, self.classes)
        return Piece(source, index, inputs, cut.shape, cut.params, cut.macs, cut.kept, cut.in_place)

    @property
    def stem_part(self) -> Piece:
        return self._piece(0)

    @property
    def head_part(self) -> Piece:
        return self._piece(self.layers + 1)

    def branch(self, index: int) -> Piece:
        return self._piece(index)

    def site(self, index: int, skips: int) -> Site:
        inputs, shape = self.shapes[index - 1], self.shapes[index]
        stride = stride_between(inputs, shape) or 1
        bias = norm_of(shape) is None
        return Site(inputs, shape, stride, skips, bias, norm_of, _no_second(index))

    def adapter_part(self, source: int, target: int) -> Part | None:
        """A 1×1 convolution with norm for maps, after a mean over areas where no stride fits; a linear
        layer for tokens and features; None where the shapes agree.

        Raises:
            InputError: none of these.
        """
        start, end = self.shapes[source], self.shapes[target]
        if start == end:
            return None
        if len(start) == len(end) == 3:
            if stride := stride_between(start, end):
                conv = Conv(start, end[0], 1, stride)
                return Chain.of(conv=conv, norm=Norm(conv.shape))
            if start[1] >= end[1] and start[2] >= end[2]:
                shrink = Shrink(start, (end[1], end[2]))
                conv = Conv(shrink.shape, end[0])
                return Chain.of(shrink=shrink, conv=conv, norm=Norm(conv.shape))
        elif len(start) == len(end) < 3 and start[:-1] == end[:-1]:
            return Project(start, end[-1])
        raise InputError(
            f"no adapter fits {_text(start)} to {_text(end)}: maps (C, H, W) may shrink, tokens (T, D) "
            "and features (D,) may change D"
        )

    def lacks(self, merge: str, index: int) -> str:
        if not (why := self._unfit(merge, index)):
            return ""
        able = [name for name in MERGES if not self._unfit(name, index)]
        return f"merge {merge!r} {why}; allowed: {', '.join(able)}"

    def _unfit(self, merge: str, index: int) -> str:
        """Why a merge does not fit a layer; empty where it does."""
        made, site = MERGES[merge], self.site(index, 1)
        inputs, shape = site.inputs, site.shape
        if made.second_branch:
            return "needs a second branch, and a model of your own has each block once"
        ends = f"the layer goes from {_text(inputs)} to {_text(shape)}"
        if not made.any_shape and not stride_between(inputs, shape):
            return f"is for maps that a stride makes smaller; {ends}"
        if not input_fits(merge, made, site):
            return f"has a part from the layer's input to its output; {ends}"
        return ""

    def stage(self, index: int) -> int:
        """Layers in a row whose outputs have one shape are a stage."""
        return 1 + sum(a != b for a, b in pairwise(self.shapes[1 : index + 1]))

    def for_data(self, input_shape: Shape, classes: int) -> Wrapped:
        if (tuple(input_shape), classes) == (self.input_shape, self.classes):
            return self
        return wrapped(self.model, self.blocks, input_shape, classes)

    @property
    def title(self) -> str:
        return f"{self.layers} blocks of {self.model}"

    def describe(self) -> dict[str, str]:
        return {
            "model": self.model,
            "blocks": ", ".join(self.blocks) or "its longest list",
            "weights": f"given ({self.weights})" if self.weights else "drawn from the seed",
        }


def wrapped(model: str, blocks: tuple[str, ...], input_shape: Shape, classes: int) -> Wrapped:
    """The skeleton of a model, whose pieces are measured.

    Raises:
        InputError: it cannot be made, cut or run on this shape, its logits are not of these classes, or
            no skip fits any of its blocks.
    """
    source = Source(model, tuple(blocks), tuple(input_shape), classes)
    cuts, weights = Wrapped.measure(source)
    made = Wrapped(source.input_shape, classes, model, source.blocks, cuts, weights)
    for index in range(1, made.layers + 1):
        for node in range(index):
            try:
                made.adapter_part(node, index)
            except InputError:
                continue
            return made
    listed = ", ".join(map(_text, made.shapes))
    raise InputError(f"model {model!r}: no adapter fits any skip between its blocks: {listed}")


def stride_between(inputs: Shape, shape: Shape) -> int | None:
    """The stride that takes one map's sides to another's; None where there is none."""
    if len(inputs) != 3 or len(shape) != 3:
        return None
    near = -(-inputs[1] // shape[1]), max(1, inputs[1] // shape[1])
    return next((s for s in near if strided(inputs, shape[0], s) == shape), None)


def norm_of(shape: Shape) -> Norm | None:
    """Batch norm for maps; for tokens and features there is none."""
    return Norm(shape) if len(shape) == 3 else None


def _no_second(index: int) -> Callable[[], NoReturn]:
    def refused() -> NoReturn:
        raise InputError(f"layer {index}: a model of your own has each block once")

    return refused


def _text(shape: Shape) -> str:
    return "×".join(map(str, shape))

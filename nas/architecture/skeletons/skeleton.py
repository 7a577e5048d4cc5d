"""What plan, space, compiler and trainer ask of a skeleton, whatever it is made of.

Nodes are numbered: 0 is the stem's output, i the output of layer i. A family of skeletons is a frozen
dataclass over `AnySkeleton` whose fields are JSON values, since its fields are its record. All but the
convolutional one, which was there first, have a field `family` with their name in `families.FAMILIES`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from nas.architecture.layers import MIRROR, Layer, source_without_skeleton, start_said
from nas.architecture.merges import Site
from nas.architecture.parts import Part, Relu, Shape
from nas.errors import InputError
from nas.proxy import Proxy
from nas.tasks.table import TASKS, find_task
from nas.tasks.task import Outputs


@dataclass(frozen=True)
class AnySkeleton(ABC):
    """Everything about a network but its skips."""

    input_shape: Shape
    """Of one input, without the batch: (C, H, W) of a picture."""
    classes: int
    """Logits of one input, of each symbol of a text, or channels of a map."""
    init = "pytorch"
    """How convolutions and linear layers begin: a scheme of `network.compile.initialise`."""
    any_size: ClassVar[bool] = True
    """Whether its networks also read pictures of other sides than `input_shape` has."""
    formats: ClassVar[tuple[Literal["fp32", "bf16"], ...]] = ("fp32", "bf16")
    """Number formats in which its networks can be trained."""

    @property
    def outputs(self) -> Outputs:
        """What its networks give for an input: logits of `classes`, of every symbol's, or a map."""
        return "classes"

    @property
    @abstractmethod
    def layers(self) -> int:
        """Number of layers, which a genome must have."""

    @property
    @abstractmethod
    def shapes(self) -> tuple[Shape, ...]:
        """Of every node, without the batch: the same for all genomes."""

    @property
    @abstractmethod
    def stem_part(self) -> Part:
        """From the input to node 0."""

    @property
    @abstractmethod
    def head_part(self) -> Part:
        """From the last node to the logits."""

    @abstractmethod
    def branch(self, index: int) -> Part:
        """F of layer `index`, from 1: from node index - 1 to the shape of node `index`."""

    @abstractmethod
    def adapter_part(self, source: int, target: int) -> Part | None:
        """What fits node `source` to the output of layer `target`; None where it fits already.

        Raises:
            InputError: nothing does; the message has both shapes.
        """

    @abstractmethod
    def site(self, index: int, skips: int) -> Site:
        """Where the merge of layer `index` is placed, with so many skips."""

    @abstractmethod
    def for_data(self, input_shape: Shape, classes: int) -> Self:
        """This skeleton with another input shape and number of classes."""

    @property
    def side(self) -> int:
        """Of one input: the shorter side of a picture, in pixels, or the symbols of a text."""
        return min(self.input_shape[1:] or self.input_shape)

    def mirror(self, index: int) -> int | None:
        """The node that `m` names in layer `index`, at the same distance from the other end of the
        network; None where there is none."""
        return None

    def source(self, index: int, distance: int) -> int | None:
        """The node at which a skip of this distance into layer `index` starts; None where there is
        none, before the stem or without a mirror."""
        if distance == MIRROR:
            return self.mirror(index)
        return source_without_skeleton(index, distance)

    def reached(self, index: int, distance: int) -> int | None:
        """The same, but None also where the layer cannot read it, or no adapter fits it."""
        node = self.source(index, distance)
        if node is None or node not in self.sources(index):
            return None
        try:
            self.adapter_part(node, index)
        except InputError:
            return None
        return node

    def has(self, distance: int) -> bool:
        """Whether a skip of this distance can be in any layer."""
        return any(self.source(i, distance) is not None for i in range(1, self.layers + 1))

    def read_by(self, index: int, layer: Layer) -> tuple[int, ...]:
        """The node at which each skip of a layer starts.

        Raises:
            InputError: there is none, the layer cannot read it, or two skips start at one.
        """
        nodes: list[int] = []
        for skip in layer.skips:
            where = f"layer {index} '{layer}': {start_said(skip.distance)}"
            node = self.source(index, skip.distance)
            if node is None:
                raise InputError(f"{where}: there is none here; allowed are 0 and 1 to {index}")
            if node not in self.sources(index):
                raise InputError(f"{where}: the layer cannot read node {node}")
            if node in nodes:
                other = start_said(layer.skips[nodes.index(node)].distance)
                raise InputError(f"{where} is node {node}, as {other} is; one of both is allowed")
            nodes.append(node)
        return tuple(nodes)

    @property
    def relu_after_merge(self) -> bool:
        return False

    def after(self, index: int) -> Part | None:
        """What reads the merged branch and skips of layer `index` and gives its node; None is the merge
        itself."""
        return Relu(self.shapes[index]) if self.relu_after_merge else None

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the stages, by which the kernels may be chosen; none where they have no part."""
        return ()

    @property
    def widenable(self) -> tuple[int, ...]:
        """The widths that `widened` replaces; none where the family has no wider ones."""
        return self.widths

    @property
    def title(self) -> str:
        """Stem, stages and blocks in few words."""
        return f"{self.layers} layers"

    def stage(self, index: int) -> int:
        """The stage of layer `index`, from 1: layers of one stage are drawn together."""
        return 1

    def layer_name(self, index: int) -> str:
        """What layer `index` does, where layers differ in that, for pictures and tables."""
        return ""

    def sources(self, index: int) -> Sequence[int]:
        """The nodes that skips into layer `index` may start from."""
        return range(index)

    def lacks(self, merge: str, index: int) -> str:
        """Why this merge cannot be in layer `index`; empty where it can."""
        return ""

    def for_training(self, proxy: Proxy, input_shape: Shape, classes: int) -> Self:
        """This skeleton for data of this shape and classes, as a training prepares them for its task.

        Where networks read pictures of one size, that is the one to which pictures are shrunk.
        """
        if proxy.resolution and not self.any_size and len(input_shape) == 3:
            channels, *sides = input_shape
            scale = proxy.resolution / min(sides)
            input_shape = (channels, *(round(side * scale) for side in sides))
        outputs = find_task(proxy.task).width(input_shape, classes)
        return self.for_data(input_shape, outputs)

    def check_trainings(self, *proxies: Proxy) -> None:
        """Raises InputError where networks cannot be trained so: their outputs are not the task's, or they
        read one size of pictures and the trainings have several."""
        for proxy, table in zip(proxies, ("proxy", "final"), strict=False):
            if (task := find_task(proxy.task)).outputs != self.outputs:
                able = [name for name, one in TASKS.items() if one.outputs == self.outputs]
                raise InputError(
                    f"space: {table}: task {task.name} needs networks that give {task.outputs}, and "
                    f"those of {self.title} give {self.outputs}; tasks allowed: {', '.join(able)}"
                )
        if not self.any_size and len({proxy.resolution for proxy in proxies}) > 1:
            raise InputError(
                f"space: networks of {self.title} read one size of pictures: proxy and final need the "
                "same resolution"
            )

    def deepened(self, factor: int) -> Self:
        """This skeleton with every stage so many times as long.

        Raises:
            InputError: the family has no deeper ones.
        """
        raise InputError(f"a skeleton of {self.title} cannot be stretched to more layers")

    def widened(self, widths: Sequence[int]) -> Self:
        """This skeleton with these widths in place of `widenable`.

        Raises:
            InputError: the family has no wider ones.
        """
        raise InputError(f"a skeleton of {self.title} cannot be made wider")

    def describe(self) -> dict[str, str]:
        """What `nas spaces NAME` tells of it, by name."""
        return {"skeleton": self.title}

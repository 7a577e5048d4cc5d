"""A network as a program for the kernels: its steps forward and backward, made once, run every batch.

A step is a convolution with its norm and ReLU, a merge with its ReLU, or a gate. All maps lie in one
arena, gradients go to where the optimizer reads them, and a batch takes two calls. What the kernels
do not have (a user's merge, pooling stems, channels that do not fill vectors) is left to PyTorch,
for the whole network.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas import merges
from nas.kernels.library import Conv, Form, Kind, Library, Step, library
from nas.merges import MERGES
from nas.network import Layer, Network
from nas.parts import Shape, strided

Mode = Literal["train", "calibrate", "score"]
ALIGNED = 64


class UnsupportedError(Exception):
    """The kernels do not have something of this network."""


@dataclass(eq=False)
class Map:
    """A map, or numbers per image and channel; where it lies is known when all steps are."""

    shape: Shape
    bf: bool
    wanted: bool = True
    """Whether a gradient is asked for."""
    address: int = 0
    gradient: int = 0
    last: int = -1
    """The last step that reads it."""

    def bytes(self, images: int) -> int:
        channels, height, width = self.shape
        size = images * channels * height * width * (2 if self.bf else 4)
        return -(-size // ALIGNED) * ALIGNED


@dataclass(eq=False)
class Record:
    """A step, and the maps whose addresses it still lacks."""

    step: Step
    output: Map
    inputs: Sequence[Map] = ()
    branch: Map | None = None
    factor: Map | None = None
    before: Map | None = None
    spare: Mapping[str, int] = field(default_factory=dict)
    """Further fp32 numbers that it keeps, per image, by the step's field."""

    @property
    def read(self) -> Iterator[Map]:
        yield from self.inputs
        if self.branch:
            yield self.branch
        if self.factor:
            yield self.factor


class Writer:
    """Writes the steps of a network in one mode."""

    def __init__(
        self, network: Network, gradients: Mapping[int, Tensor], mode: Mode, dtype: torch.dtype,
        shape: Shape, lib: Library, momentum: Tensor,
    ) -> None:  # fmt: skip
        self.gradients, self.mode, self.bf = gradients, mode, dtype == torch.bfloat16
        self.lib, self.momentum = lib, momentum
        self.records: list[Record] = []
        self.folds: list[Step] = []
        self.kept: list[Any] = []
        """What steps point to and Python must not free."""
        self.image = Map(shape, bf=False, wanted=False)
        previous = self.chain(network.stem, [self.image])
        nodes = {0: previous}
        for index, layer in enumerate(cast(Iterable[Layer], network.layers.values()), 1):
            previous = self.layer(layer, previous, [nodes[source] for source in layer.sources])
            nodes[index] = previous
        *before, linear = network.head.children()
        self.features = self.chain(nn.Sequential(*before), [previous])
        if not isinstance(linear, nn.Linear) or self.features.shape[1:] != (1, 1):
            raise UnsupportedError("a head of another kind")
        self.linear = linear

    def chain(self, chain: nn.Module, inputs: Sequence[Map], relu: bool = False) -> Map:
        """The output of modules in sequence; `relu`: with a ReLU at the end."""
        steps = list(chain.children()) if isinstance(chain, nn.Sequential) else [chain]
        first = len(self.records)
        out = inputs[0]
        while steps:
            module = steps.pop(0)
            if isinstance(module, nn.Conv2d):
                norm = _next(steps, nn.BatchNorm2d)
                out = self.conv(inputs, module, norm, bool(_next(steps, nn.ReLU)))
            elif isinstance(module, nn.BatchNorm2d):
                out = self.norm(out, module, bool(_next(steps, nn.ReLU)))
            elif isinstance(module, nn.ReLU):
                out = self.merge(Step(kind=Kind.MERGE, form=Form.SUM, relu=1), None, [out], [1.0])
            elif isinstance(module, nn.AdaptiveAvgPool2d):
                self._add(
                    Step(kind=Kind.SQUEEZE), squeezed := Map((out.shape[0], 1, 1), False), [out]
                )
                out = squeezed
            else:
                raise UnsupportedError(f"a module {type(module).__name__}")
            inputs = [out]
        if relu:
            if len(self.records) == first or self.records[-1].step.kind not in (
                Kind.CONV,
                Kind.NORM,
            ):
                raise UnsupportedError("a ReLU that nothing can end in")
            self.records[-1].step.relu = 1
        return out

    def conv(
        self, inputs: Sequence[Map], conv: nn.Conv2d, norm: nn.BatchNorm2d | None, relu: bool
    ) -> Map:
        """Convolution of maps side by side, its norm and ReLU."""
        channels, height, width = inputs[0].shape
        side, stride = conv.kernel_size[0], conv.stride[0]
        plain = conv.groups == 1 and conv.dilation == (1, 1) and conv.padding_mode == "zeros"
        square = conv.kernel_size == (side, side) and conv.stride == (stride, stride)
        image = inputs[0] is self.image
        if not (plain and square and side % 2 and conv.padding == (side // 2, side // 2)):
            raise UnsupportedError("a convolution of another kind")
        if conv.out_channels % self.lanes or (channels % self.lanes and not image):
            raise UnsupportedError("channels that do not fill vectors")
        if side * side * len(inputs) > self.lib.max_taps:
            raise UnsupportedError("too many taps")
        shape = strided((channels, height, width), conv.out_channels, stride)
        step = Step(kind=Kind.CONV, relu=relu, exact=image, weight=conv.weight.data_ptr())
        step.conv = Conv(0, height, width, len(inputs), channels, conv.out_channels, side, stride)
        step.bias, step.bias_bf = _address(conv.bias), self.bf
        step.to_weight, step.to_bias = self._gradient(conv.weight), self._gradient(conv.bias)
        output, before = Map(shape, self.bf), None
        if norm is not None and self.mode == "score":
            weight = torch.empty(conv.weight.numel(), dtype=conv.weight.dtype)
            bias = torch.empty(conv.out_channels)
            fold = self._statistics(norm)
            fold.conv, fold.weight, fold.bias = step.conv, step.weight, step.bias
            fold.bias_bf, fold.bf = step.bias_bf, self.bf
            fold.output, fold.to_bias = self._keep(weight), self._keep(bias)
            step.weight, step.bias, step.bias_bf = fold.output, fold.to_bias, 0
        elif norm is not None:
            self._normalise(step, norm)
            before = Map(shape, self.bf)
        self._add(step, output, inputs, before=before)
        return output

    def norm(self, x: Map, norm: nn.BatchNorm2d, relu: bool) -> Map:
        if x.shape[0] % self.lanes:
            raise UnsupportedError("channels that do not fill vectors")
        step = Step(kind=Kind.NORM, relu=relu)
        self._normalise(step, norm)
        if self.mode == "score":
            fold = self._statistics(norm)
            step.trained, step.mean, step.rstd = 0, fold.mean, fold.rstd
        self._add(step, output := Map(x.shape, self.bf), [x])
        return output

    def _normalise(self, step: Step, norm: nn.BatchNorm2d) -> None:
        """Fills in a norm in training mode."""
        if norm.running_mean is None or norm.momentum is None or not norm.affine:
            raise UnsupportedError("a norm without statistics or factors")
        step.trained, step.eps, step.momentum = 1, norm.eps, self.momentum.data_ptr()
        step.gamma, step.beta = norm.weight.data_ptr(), norm.bias.data_ptr()
        step.to_gamma, step.to_beta = self._gradient(norm.weight), self._gradient(norm.bias)
        step.running_mean, step.running_var = (
            _address(norm.running_mean),
            _address(norm.running_var),
        )
        step.mean, step.rstd = (self._keep(torch.empty(norm.num_features)) for _ in range(2))

    def _statistics(self, norm: nn.BatchNorm2d) -> Step:
        """The step that takes a norm's running statistics before images are scored."""
        fold = Step(kind=Kind.FOLD, channels=norm.num_features)
        self._normalise(fold, norm)
        self.folds.append(fold)
        return fold

    def layer(self, layer: Layer, previous: Map, sources: Sequence[Map]) -> Map:
        """Node i from node i-1 and the skips' sources."""
        relu = isinstance(layer.relu, nn.ReLU)
        if layer.merge is None:
            return self.chain(layer.branch, [previous], relu)
        out = self.chain(layer.branch, [previous])
        skips = [
            source if isinstance(adapter, nn.Identity) else self.chain(adapter, [source])
            for adapter, source in zip(layer.adapters.values(), sources, strict=True)
        ]
        strengths, learnt = list(map(float, layer.strengths)), cast(Any, layer.merge)
        step = Step(kind=Kind.MERGE, form=Form.ADD, relu=relu)
        match MERGES[layer.merge.name]:
            case merges.Concat():
                sides = [
                    x
                    if s == 1
                    else self.merge(Step(kind=Kind.MERGE, form=Form.SUM), None, [x], [s])
                    for x, s in zip(skips, strengths, strict=True)
                ]
                return self.chain(learnt.project, [out, *sides], relu)
            case merges.Dense():
                more = self.chain(learnt.branch, [previous])
                return self.merge(step, out, [more, *skips], [1.0, *strengths])
            case merges.Add():
                return self.merge(step, out, skips, strengths)
            case merges.Scale():
                step.form, step.factor = Form.SCALE, learnt.alpha.data_ptr()
                step.to_factor = self._gradient(learnt.alpha)
                return self.merge(step, out, skips, strengths)
            case merges.Channel():
                step.form, step.factor = Form.CHANNEL, learnt.weight.data_ptr()
                step.to_factor = self._gradient(learnt.weight)
                return self.merge(step, out, skips, strengths)
            case merges.Gate():
                step.form = Form.HIGHWAY
                conv, sigmoid = learnt.transform.children()
                if not isinstance(sigmoid, nn.Sigmoid):
                    raise UnsupportedError("a gate of another kind")
                factor = self.chain(nn.Sequential(conv), [previous])
                return self.merge(step, out, skips, strengths, factor)
            case merges.SqueezeExcitation():
                step.form = Form.GATED
                return self.merge(step, out, skips, strengths, self.excite(learnt.excitation, out))
            case merges.Attention():
                step.form = Form.GATED
                z = self.merge(Step(kind=Kind.MERGE, form=Form.SUM), None, skips, strengths)
                return self.merge(step, out, [z], [1.0], self.excite(learnt.excitation, z))
        raise UnsupportedError(f"merge {layer.merge.name}")

    def merge(
        self, step: Step, branch: Map | None, skips: Sequence[Map], strengths: Sequence[float],
        factor: Map | None = None,
    ) -> Map:  # fmt: skip
        output = Map(skips[0].shape, self.bf)
        if output.shape[0] % self.lanes:
            raise UnsupportedError("channels that do not fill vectors")
        step.count = len(skips)
        step.strengths = self._array(ctypes.c_float, strengths)
        self._add(step, output, skips, branch, factor)
        return output

    def excite(self, gate: nn.Module, read: Map) -> Map:
        """The gate of squeeze-and-excitation: (images, channels) in fp32."""
        _, reduce, _, expand, _ = cast(Iterable[nn.Conv2d], gate.children())
        if reduce.bias is None or expand.bias is None or reduce.in_channels % self.lanes:
            raise UnsupportedError("a gate of another kind")
        step = Step(kind=Kind.EXCITE)
        step.conv.out = reduce.out_channels
        step.weight, step.bias = reduce.weight.data_ptr(), reduce.bias.data_ptr()
        step.expand, step.expand_bias = expand.weight.data_ptr(), expand.bias.data_ptr()
        step.to_weight, step.to_bias = self._gradient(reduce.weight), self._gradient(reduce.bias)
        step.to_expand = self._gradient(expand.weight)
        step.to_expand_bias = self._gradient(expand.bias)
        output = Map((read.shape[0], 1, 1), False)
        spare = {"squeezed": reduce.in_channels, "reduced": reduce.out_channels}
        self._add(step, output, [read], spare=spare)
        return output

    @property
    def lanes(self) -> int:
        return self.lib.lanes

    def _add(
        self, step: Step, output: Map, inputs: Sequence[Map], branch: Map | None = None,
        factor: Map | None = None, before: Map | None = None, spare: Mapping[str, int] | None = None,
    ) -> None:  # fmt: skip
        shape = inputs[0].shape if step.kind in (Kind.SQUEEZE, Kind.EXCITE) else output.shape
        step.bf, step.channels, step.pixels = self.bf, shape[0], shape[1] * shape[2]
        record = Record(step, output, list(inputs), branch, factor, before, spare or {})
        for read in record.read:
            read.last = len(self.records)
        self.records.append(record)

    def _gradient(self, parameter: Tensor | None) -> int | None:
        if parameter is None or self.mode != "train":
            return None
        return self.gradients[id(parameter)].data_ptr()

    def _keep(self, tensor: Tensor) -> int:
        self.kept.append(tensor)
        return tensor.data_ptr()

    def _array(self, kind: Any, values: Sequence[Any]) -> int:
        array = (kind * len(values))(*values)
        self.kept.append(array)
        return ctypes.addressof(array)

    def lay_out(self, images: int) -> Tensor:
        """Gives every map its place for so many images; returns the memory.

        For training, maps are kept until the way back; gradients, and maps of scores, give their
        place to others when they have been read.
        """
        space = _Space()
        for map_ in (self.image, *(r.output for r in self.records)):
            map_.gradient = -1
        self.image.address = space.take(self.image.bytes(images))
        self.features.last = len(self.records)
        for index, record in enumerate(self.records):
            record.output.address = space.take(record.output.bytes(images))
            if record.before:
                record.before.address = space.take(record.before.bytes(images))
            if self.mode == "train":
                continue
            if record.before:
                space.give(record.before.address, record.before.bytes(images))
            for read in {id(m): m for m in record.read}.values():
                if read.last == index and read is not self.image:
                    space.give(read.address, read.bytes(images))
        spares = [{k: space.take(4 * n * images) for k, n in r.spare.items()} for r in self.records]
        scratch = space.take(max(r.output.bytes(images) for r in self.records))
        if self.mode == "train":
            self._lay_out_gradients(space, images)
        memory = torch.empty(space.size + ALIGNED, dtype=torch.uint8)
        self.base = -(-memory.data_ptr() // ALIGNED) * ALIGNED
        for record, spare in zip(self.records, spares, strict=True):
            self._fill(record, {k: self.base + v for k, v in spare.items()}, self.base + scratch)
        return memory

    def _lay_out_gradients(self, space: _Space, images: int) -> None:
        """Places gradients in the order in which they are computed; notes who adds to another's."""
        self.features.gradient = space.take(self.features.bytes(images))
        self._ways: dict[int, list[tuple[Map, bool]]] = {}
        for record in reversed(self.records):
            ways = []
            for read in record.read:
                adds = read.gradient >= 0
                if read.wanted and not adds:
                    read.gradient = space.take(read.bytes(images))
                ways.append((read, adds))
            self._ways[id(record)] = ways
            if record.output is not self.features:
                space.give(record.output.gradient, record.output.bytes(images))

    def _fill(self, record: Record, spare: Mapping[str, int], scratch: int) -> None:
        """Writes the addresses into a step."""
        step, base = record.step, self.base
        step.output = base + record.output.address
        step.inputs = self._array(ctypes.c_void_p, [base + m.address for m in record.inputs])
        step.to_before = scratch
        if record.before:
            step.before = base + record.before.address
        if record.branch:
            step.branch = base + record.branch.address
        if record.factor:
            step.factor = base + record.factor.address
        for name, address in spare.items():
            setattr(step, name, address)
        if self.mode != "train":
            return
        step.gradient = base + record.output.gradient
        ways = self._ways[id(record)]
        given = ways[: len(record.inputs)]
        to = [base + m.gradient if m.wanted else None for m, _ in given]
        step.to_inputs = self._array(ctypes.c_void_p, to)
        step.adds = self._array(ctypes.c_long, [adds for _, adds in given])
        rest = ways[len(given) :]
        if record.branch:
            branch, step.add_branch = rest.pop(0)
            step.to_branch = base + branch.gradient
        if record.factor:
            step.to_factor = base + rest[0][0].gradient


class _Space:
    """Places in a stretch of memory; what is given back is taken again by maps of its size."""

    def __init__(self) -> None:
        self.size = 0
        self._free: dict[int, list[int]] = {}

    def take(self, size: int) -> int:
        free = self._free.get(size)
        if free:
            return free.pop()
        place, self.size = self.size, self.size + -(-size // ALIGNED) * ALIGNED
        return place

    def give(self, place: int, size: int) -> None:
        self._free.setdefault(size, []).append(place)


def _next(steps: list[nn.Module], kind: type) -> Any:
    return steps.pop(0) if steps and isinstance(steps[0], kind) else None


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


class Run:
    """The steps of one mode, for up to so many images."""

    def __init__(self, writer: Writer, images: int, lib: Library) -> None:
        self._lib, self._kept = lib, writer.kept
        self._memory = writer.lay_out(images)
        self._start = writer.base - self._memory.data_ptr()
        self._image, self._features = writer.image, writer.features
        self._steps = (Step * len(writer.records))(*(r.step for r in writer.records))
        self._folds = (Step * len(writer.folds))(*writer.folds)

    def _view(self, place: int, *shape: int) -> Tensor:
        first = self._start + place
        size = 4
        for side in shape:
            size *= side
        return self._memory[first : first + size].view(torch.float32).view(*shape)

    def fold(self) -> None:
        """Takes up the norms' running statistics."""
        self._lib.forward(ctypes.addressof(self._folds), len(self._folds), 0)

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, channels) in fp32 of images (N, C, H, W); valid until the next call."""
        count = len(images)
        channels, height, width = self._image.shape
        self._view(self._image.address, height, width, count, channels).copy_(
            images.permute(2, 3, 0, 1)
        )
        self._lib.forward(ctypes.addressof(self._steps), len(self._steps), count)
        return self._view(self._features.address, count, self._features.shape[0])

    def backward(self, gradient: Tensor) -> None:
        """Parameters' gradients from that of the features, (N, channels)."""
        count = len(gradient)
        self._view(self._features.gradient, count, gradient.shape[1]).copy_(gradient)
        self._lib.backward(ctypes.addressof(self._steps), len(self._steps), count)


class Program:
    """A network that the kernels compute, when it is trained and when it is scored.

    Args:
        gradients: where the parameters' gradients go, by the parameter's id: fp32, (K, C, H, W)
            ones in channels_last. Parameters and gradients stay where they are.
        dtype: of the maps and the parameters, those of norms excepted.
        shape: of the pictures, (C, H, W).
        images: how many at most, by mode.

    Raises:
        UnsupportedError: the kernels do not have something of this network.
    """

    def __init__(
        self, network: Network, gradients: Mapping[int, Tensor], dtype: torch.dtype, shape: Shape,
        images: Mapping[Mode, int],
    ) -> None:  # fmt: skip
        lib = library()
        if lib is None:
            raise UnsupportedError("this machine")
        self._norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        self._counts = [cast(Tensor, norm.num_batches_tracked) for norm in self._norms]
        self._momentum = torch.tensor([0.1])
        self._gradients, self._dtype = gradients, dtype
        self._runs = {}
        for mode, count in images.items():
            writer = Writer(network, gradients, mode, dtype, shape, lib, self._momentum)
            self._runs[mode] = Run(writer, count, lib)
        self._linear = writer.linear

    def gradients(self, images: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
        """The loss of a batch, (); gradients go to their places."""
        features = self._forward("train", images).requires_grad_()
        weight, bias = self._linear.weight, self._linear.bias
        logits = F.linear(features, weight, bias).float()
        loss = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
        gradient, *rest = torch.autograd.grad(loss, (features, weight, bias))
        for parameter, found in zip((weight, bias), rest, strict=True):
            self._gradients[id(parameter)].copy_(found)
        self._runs["train"].backward(gradient)
        return loss.detach()

    def calibrate(self, images: Tensor) -> None:
        """Takes up the images in the norms' running statistics, with the norms' momentum."""
        self._forward("calibrate", images)

    def start_scoring(self) -> None:
        """Takes up weights and running statistics as they are now."""
        self._runs["score"].fold()

    def score(self, images: Tensor) -> Tensor:
        """Logits in evaluation mode, (N, classes), as of the last `start_scoring`."""
        return F.linear(self._forward("score", images), self._linear.weight, self._linear.bias)

    def _forward(self, mode: Mode, images: Tensor) -> Tensor:
        if self._norms and mode != "score":
            self._momentum.fill_(cast(float, self._norms[0].momentum))
            torch._foreach_add_(self._counts, 1)
        return self._runs[mode].forward(images).to(self._dtype)

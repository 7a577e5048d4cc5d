"""A network's modules as steps for the kernels, with maps whose places are not known yet."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from nas.architecture import merges
from nas.architecture.merges import MERGES
from nas.architecture.parts import Shape, strided
from nas.kernels.library import ConvSizes, Form, Kind, Library, Step
from nas.network.network import CompiledLayer, Network

ALIGNED = 64
"""Bytes: places are multiples of it."""


class UnsupportedError(Exception):
    """The kernels do not have something of this network."""


@dataclass(eq=False)
class Map:
    """A map, or numbers per image and channel; where it lies is known when all steps are."""

    shape: Shape
    bf: bool
    wanted: bool = True
    """Whether a gradient is asked for."""
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
        """The maps that it reads: inputs, branch, factor."""
        yield from self.inputs
        if self.branch:
            yield self.branch
        if self.factor:
            yield self.factor


class Steps:
    """The steps of a network, forward and backward.

    Raises:
        UnsupportedError: the kernels do not have something of it.
    """

    def __init__(
        self, network: Network, gradients: Mapping[int, Tensor], dtype: torch.dtype, shape: Shape,
        lib: Library, momentum: Tensor,
    ) -> None:  # fmt: skip
        self.gradients, self.bf = gradients, dtype == torch.bfloat16
        self.lib, self.momentum = lib, momentum
        if self.bf and not lib.bf16:
            raise UnsupportedError("products of bf16 numbers")
        self.records: list[Record] = []
        self.kept: list[Any] = []
        """What steps point to and Python must not free."""
        self.image = Map(shape, bf=False, wanted=False)
        previous = self.chain(network.stem, [self.image])
        nodes = {0: previous}
        for index, layer in enumerate(cast(Iterable[CompiledLayer], network.layers.values()), 1):
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
        step.conv = ConvSizes(
            0, height, width, len(inputs), channels, conv.out_channels, side, stride
        )
        step.bias, step.bias_bf = _address(conv.bias), self.bf
        step.to_weight, step.to_bias = self._gradient(conv.weight), self._gradient(conv.bias)
        output, before = Map(shape, self.bf), None
        if norm is not None:
            self._normalise(step, norm)
            before = Map(shape, self.bf)
        self._add(step, output, inputs, before=before)
        return output

    def norm(self, x: Map, norm: nn.BatchNorm2d, relu: bool) -> Map:
        if x.shape[0] % self.lanes:
            raise UnsupportedError("channels that do not fill vectors")
        step = Step(kind=Kind.NORM, relu=relu)
        self._normalise(step, norm)
        output = Map(x.shape, self.bf)
        self._add(step, output, [x])
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
        moments = torch.empty(2, norm.num_features)
        self.kept.append(moments)
        step.mean, step.rstd = moments[0].data_ptr(), moments[1].data_ptr()

    def layer(self, layer: CompiledLayer, previous: Map, sources: Sequence[Map]) -> Map:
        """Node i from node i-1 and the skips' sources."""
        relu = isinstance(layer.after, nn.ReLU)
        if not relu and not isinstance(layer.after, nn.Identity):
            raise UnsupportedError(f"a {type(layer.after).__name__} after the merge")
        if layer.merge is None:
            return self.chain(layer.branch, [previous], relu)
        out = self.chain(layer.branch, [previous])
        skips = [
            source if isinstance(adapter, nn.Identity) else self.chain(adapter, [source])
            for adapter, source in zip(layer.adapters.values(), sources, strict=True)
        ]
        strengths, learnt = list(map(float, layer.strengths)), cast(Any, layer.merge)
        step = Step(kind=Kind.MERGE, form=Form.ADD, relu=relu)
        made = MERGES[layer.merge.name]
        if type(made).__module__ != merges.__name__:  # a user's, derived from one of ours or not
            raise UnsupportedError(f"merge {layer.merge.name}")
        match made:
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
        return None if parameter is None else self.gradients[id(parameter)].data_ptr()

    def _array(self, kind: Any, values: Sequence[Any]) -> int:
        array = (kind * len(values))(*values)
        self.kept.append(array)
        return ctypes.addressof(array)


def _next(steps: list[nn.Module], kind: type) -> Any:
    return steps.pop(0) if steps and isinstance(steps[0], kind) else None


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()

"""A network as a program for the kernels: its steps forward and backward, made once, run every batch.

A step is a convolution with its norm and ReLU, a merge with its ReLU, or a gate. All maps lie in one
arena, gradients go to where the optimizer reads them, and a batch takes two calls. What the kernels
do not have (a user's merge, pooling stems, channels that do not fill vectors) is left to PyTorch,
for the whole network.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.architecture.parts import Shape
from nas.kernels.library import Kind, Library, Step, library, narrow
from nas.kernels.steps import ALIGNED, Map, Record, Steps, UnsupportedError
from nas.network.network import Network
from nas.network.parameters import DTYPES, Flat
from nas.proxy import Proxy

Mode = Literal["train", "calibrate", "score"]
PROGRAM_IMAGES = 64
"""Images that the kernels score at once."""


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


class Layout:
    """The steps of one mode with every map in its place, for up to so many images.

    For training, maps are kept until the way back. Gradients, and the maps of the other modes, give
    their place to others when they have been read.
    """

    def __init__(self, steps: Steps, mode: Mode, images: int, lib: Library) -> None:
        self._lib, self._mode, self._images = lib, mode, images
        self._kept: list[Any] = [steps]
        """What steps point to and Python must not free."""
        self._image, self._features, records = steps.image, steps.features, steps.records
        self._steps = (Step * len(records))(*(record.step for record in records))
        self._folds: list[Step] = []
        self._space = space = _Space()
        self._places: dict[Map, int] = {}
        self._gradients: dict[Map, int] = {}
        spares = [{k: space.take(4 * n * images) for k, n in r.spare.items()} for r in records]
        scratch = space.take(max(r.output.bytes(images) for r in records))
        self._place(records)
        ways = self._place_gradients(records) if mode == "train" else {}
        self._memory = torch.empty(space.size + ALIGNED, dtype=torch.uint8)
        self._base = -(-self._memory.data_ptr() // ALIGNED) * ALIGNED
        for step, record, spare in zip(self._steps, records, spares, strict=True):
            self._fill(step, record, scratch, spare)
            if mode == "train":
                self._fill_gradients(step, record, ways[record])
            elif mode == "score" and step.gamma:
                self._fold(step)
        self._first = (Step * len(self._folds))(*self._folds)

    def _place(self, records: Sequence[Record]) -> None:
        space, places, images = self._space, self._places, self._images
        places[self._image] = space.take(self._image.bytes(images))
        for index, record in enumerate(records):
            made = [record.output, *([record.before] if record.before else [])]
            for one in made:
                places[one] = space.take(one.bytes(images))
            if self._mode == "train":
                continue
            ended = {read for read in record.read if read.last == index and read is not self._image}
            for one in (*made[1:], *ended):
                space.give(places[one], one.bytes(images))

    def _place_gradients(self, records: Sequence[Record]) -> dict[Record, list[bool]]:
        """In the order in which they are computed; says which step adds to what is there."""
        space, gradients, images = self._space, self._gradients, self._images
        gradients[self._features] = space.take(self._features.bytes(images))
        adds: dict[Record, list[bool]] = {}
        for record in reversed(records):
            adds[record] = []
            for read in record.read:
                adds[record].append(read in gradients)
                if read.wanted and read not in gradients:
                    gradients[read] = space.take(read.bytes(images))
            if record.output is not self._features:
                space.give(gradients[record.output], record.output.bytes(images))
        return adds

    def _fill(self, step: Step, record: Record, scratch: int, spare: Mapping[str, int]) -> None:
        """Writes addresses into a step."""
        base, places = self._base, self._places
        step.output, step.to_before = base + places[record.output], base + scratch
        step.inputs = self._array(ctypes.c_void_p, [base + places[m] for m in record.inputs])
        for name in ("before", "branch", "factor"):
            one = getattr(record, name)
            if one:
                setattr(step, name, base + places[one])
        for name, place in spare.items():
            setattr(step, name, base + place)

    def _fill_gradients(self, step: Step, record: Record, adds: Sequence[bool]) -> None:
        base, gradients, count = self._base, self._gradients, len(record.inputs)
        step.gradient = base + gradients[record.output]
        to = [base + gradients[m] if m.wanted else None for m in record.inputs]
        step.to_inputs = self._array(ctypes.c_void_p, to)
        step.adds = self._array(ctypes.c_long, adds[:count])
        if record.branch:
            step.to_branch, step.add_branch = base + gradients[record.branch], adds[count]
        if record.factor:
            step.to_factor = base + gradients[record.factor]

    def _fold(self, step: Step) -> None:
        """Lets a norm use its running statistics, a convolution's as part of its weights."""
        fold = Step.from_buffer_copy(step)
        fold.kind, fold.output = Kind.FOLD, None
        if step.kind == Kind.CONV:
            sizes = step.conv
            row = sizes.side**2 * sizes.parts * sizes.channels
            weight = torch.empty(
                sizes.out * row, dtype=torch.bfloat16 if step.bf else torch.float32
            )
            bias = torch.empty(sizes.out)
            self._kept += [weight, bias]
            fold.output, fold.to_bias = weight.data_ptr(), bias.data_ptr()
            step.weight, step.bias, step.bias_bf, step.gamma = fold.output, fold.to_bias, 0, None
        step.trained = 0
        self._folds.append(fold)

    def _array(self, kind: Any, values: Sequence[Any]) -> int:
        array = (kind * len(values))(*values)
        self._kept.append(array)
        return ctypes.addressof(array)

    def _view(self, place: int, *shape: int) -> Tensor:
        first, size = self._base - self._memory.data_ptr() + place, 4
        for side in shape:
            size *= side
        return self._memory[first : first + size].view(torch.float32).view(*shape)

    def fold(self) -> None:
        """Takes up weights and running statistics as they are now."""
        self._lib.forward(ctypes.addressof(self._first), len(self._first), 0)

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, channels) in fp32 of images (N, C, H, W); valid until the next call."""
        count = len(images)
        channels, height, width = self._image.shape
        place = self._view(self._places[self._image], height, width, count, channels)
        place.copy_(images.permute(2, 3, 0, 1))
        self._lib.forward(ctypes.addressof(self._steps), len(self._steps), count)
        return self._view(self._places[self._features], count, self._features.shape[0])

    def backward(self, gradient: Tensor) -> None:
        """Parameters' gradients from that of the features, (N, channels)."""
        self._view(self._gradients[self._features], *gradient.shape).copy_(gradient)
        self._lib.backward(ctypes.addressof(self._steps), len(self._steps), len(gradient))


class Program:
    """A network that the kernels compute, when it is trained and when it is scored.

    Args:
        gradients: where the parameters' gradients go, by the parameter's id: fp32, (K, C, H, W)
            ones in channels_last. Parameters and gradients stay where they are.
        dtype: of the maps and the parameters, those of norms excepted.
        shape: of the pictures, (C, H, W).
        images: how many at most, by mode.
        lib: the kernels.

    Raises:
        UnsupportedError: the kernels do not have something of this network.
    """

    def __init__(
        self, network: Network, gradients: Mapping[int, Tensor], dtype: torch.dtype, shape: Shape,
        images: Mapping[Mode, int], lib: Library,
    ) -> None:  # fmt: skip
        self._norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        self._counts = [cast(Tensor, norm.num_batches_tracked) for norm in self._norms]
        self._momentum = torch.tensor([0.1])
        self._gradients, self._dtype = gradients, dtype
        steps = Steps(network, gradients, dtype, shape, lib, self._momentum)
        self._linear = steps.linear
        self._layouts = {mode: Layout(steps, mode, n, lib) for mode, n in images.items()}

    def gradients(self, images: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
        """The loss of a batch, (); gradients go to their places."""
        features = self._forward("train", images).requires_grad_()
        weight, bias = self._linear.weight, self._linear.bias
        logits = F.linear(features, weight, bias).float()
        loss = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
        gradient, *rest = torch.autograd.grad(loss, (features, weight, bias))
        for parameter, found in zip((weight, bias), rest, strict=True):
            self._gradients[id(parameter)].copy_(found)
        self._layouts["train"].backward(gradient)
        return loss.detach()

    def calibrate(self, images: Tensor) -> None:
        """Takes up the images in the norms' running statistics, with the norms' momentum."""
        self._forward("calibrate", images)

    def start_scoring(self) -> None:
        """Takes up weights and running statistics as they are now."""
        self._layouts["score"].fold()

    def score(self, images: Tensor) -> Tensor:
        """Logits in evaluation mode, (N, classes), as of the last `start_scoring`."""
        return F.linear(self._forward("score", images), self._linear.weight, self._linear.bias)

    def _forward(self, mode: Mode, images: Tensor) -> Tensor:
        if self._norms and mode != "score":
            self._momentum.fill_(cast(float, self._norms[0].momentum))
            torch._foreach_add_(self._counts, 1)
        return self._layouts[mode].forward(images).to(self._dtype)


def compiled(
    network: Network, flats: Sequence[Flat], proxy: Proxy, batch: torch.Size, images: int,
    device: torch.device,
) -> Program | None:  # fmt: skip
    """The network for the kernels, where they can compute it: on one core.

    Args:
        batch: shape of a step's images, (N, C, H, W).
        images: that there are for training, and so for calibration.
    """
    if len(batch) != 4:
        return None
    count, *sides = batch
    channels = network.skeleton.shapes[0][0]
    small = count * channels * sides[1] * sides[2] <= KERNEL_VALUES[proxy.precision]
    single = count == 1 or proxy.calibration_images == 1  # of which norms may have no variance
    if device.type != "cpu" or torch.get_num_threads() > 1 or single or not small:
        return None
    gradients = {
        id(p): view
        for flat in flats
        for p, view in zip(flat.parameters, flat.views(flat.gradient), strict=True)
    }
    calibrated = min(4 * proxy.batch, proxy.calibration_images, images)
    most: dict[Mode, int] = {
        "train": count, "calibrate": max(1, calibrated), "score": PROGRAM_IMAGES,
    }  # fmt: skip
    for lib in filter(None, (library(), narrow())):
        with suppress(UnsupportedError):
            return Program(
                network,
                gradients,
                DTYPES[proxy.precision],
                (sides[0], sides[1], sides[2]),
                most,
                lib,
            )
    return None


KERNEL_VALUES = {"fp32": 64 * 32 * 32 * 32, "bf16": 64 * 64 * 32 * 32}
"""Values of a batch after the stem up to which the kernels are faster, by the tables."""

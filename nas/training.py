"""Training of one network: the data on the device, the schedule, one loop.

Whatever changes what a training computes raises `TRAINER_VERSION`, which studies record.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.data import Data, subset
from nas.errors import InputError
from nas.network import Layer, Network
from nas.proxy import Proxy

TRAINER_VERSION = 1
CHECK_STEPS = 16
"""A loss that is not finite is noticed after this many steps at most."""


@dataclass(frozen=True, eq=False)
class Part:
    """Images of one part of the data on the device: uint8 (n, C, H, W), labels int64 (n,)."""

    images: Tensor
    labels: Tensor
    mean: Tensor
    """Per channel, of the training images, (1, C, 1, 1), in units of 0 to 255."""
    std: Tensor

    def batch(self, indices: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """Normalised images (n, C, H, W) in channels_last, and labels."""
        images = self.images[indices].to(device, torch.float32)
        images = images.sub_(self.mean).div_(self.std)
        return images.contiguous(memory_format=torch.channels_last), self.labels[indices].to(device)


@dataclass
class Curves:
    """What one training measured, a value an epoch."""

    losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    gradients: list[tuple[float, float]] = field(default_factory=list)
    """L2 norms of the gradient in the first and last layer's branch weights, at an epoch's last step."""
    diverged: str = ""
    """Why the training could not go on; empty where it could."""
    stopped: bool = False
    """Whether `on_epoch` ended it early."""


@dataclass(frozen=True)
class Progress:
    """Where a training stands after its last epoch, beside the network's own tensors."""

    curves: Curves
    momentum: Mapping[str, Tensor]
    """The optimizer's, by the parameter's name."""


def train(
    network: Network,
    data: Data,
    proxy: Proxy,
    seed: int,
    device: torch.device,
    part: str = "validation",
    every_epoch: bool = True,
    on_epoch: Callable[[int, float], bool | None] | None = None,
    on_step: Callable[[int, Tensor], None] | None = None,
    start: Progress | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Curves:
    """Trains the network in place and scores it on a part of the data.

    Args:
        proxy: with its precision resolved.
        seed: fixes the order of batches and the augmentation, the same for every network.
        part: "validation" or "test".
        every_epoch: score after each epoch; False scores once, after the last.
        on_epoch: called with (epoch from 1, accuracy) whenever a score is there; True ends the
            training.
        on_step: called with (step from 0, loss) when its gradients are there, before the update.
        start: where an earlier call stood; the network has the tensors that it had then.
        on_progress: called with what `start` takes whenever a score is there, before `on_epoch`.
    """
    training, scoring = prepare(data, proxy, "train", device), prepare(data, proxy, part, device)
    batch = min(proxy.batch, len(training.labels))
    steps = len(training.labels) // batch
    optimizer = _optimizer(network, proxy)
    watched = _watched(network)
    curves = Curves()
    if start:
        curves = deepcopy(start.curves)
        _set_momentum(optimizer, network, start.momentum)
    for epoch in range(len(curves.losses), proxy.epochs):
        network.train()
        total = torch.zeros((), device=device)
        for step, (images, labels) in enumerate(_batches(training, proxy, seed, epoch, device)):
            rate = learning_rate(proxy, epoch * steps + step, proxy.epochs * steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            with autocast(proxy, device):
                logits = network(images)
                loss = F.cross_entropy(logits, labels, label_smoothing=proxy.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            total += loss.detach()
            if on_step:
                on_step(epoch * steps + step, loss.detach())
            if (step + 1) % CHECK_STEPS == 0 and not math.isfinite(total.item()):
                break
            if step == steps - 1:
                first, last = map(gradient_norm, watched)
                curves.gradients.append((first, last))
            optimizer.step()
        curves.losses.append(total.item() / steps)
        if not math.isfinite(curves.losses[-1]):
            curves.diverged = f"the loss is not finite in epoch {epoch + 1}"
            return curves
        if every_epoch or epoch == proxy.epochs - 1:
            recalibrate(network, training, proxy, device)
            curves.accuracies.append(accuracy(network, scoring, proxy, device))
            if on_progress:
                on_progress(Progress(deepcopy(curves), _momentum(optimizer, network)))
            if on_epoch and on_epoch(epoch + 1, curves.accuracies[-1]):
                curves.stopped = True
                return curves
    return curves


@torch.no_grad()
def recalibrate(network: nn.Module, training: Part, proxy: Proxy, device: torch.device) -> None:
    """Sets batch norm's statistics to those of some training images (Wu & Johnson 2021, PreciseBN).

    After few steps the running averages lag behind the weights, and a score would measure the lag.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    count = min(proxy.calibration_images, len(training.labels))
    if not norms or count == 0:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches to come
    network.train()
    every = torch.linspace(0, len(training.labels) - 1, count).round().long()
    for indices in every.to(training.images.device).split(4 * proxy.batch):
        if len(indices) == 1 and count > 1:
            continue  # batch norm needs more than one value a channel
        with autocast(proxy, device):
            network(training.batch(indices, device)[0])
    for norm in norms:
        norm.momentum = 0.1


@torch.no_grad()
def accuracy(network: nn.Module, part: Part, proxy: Proxy, device: torch.device) -> float:
    """Share of images whose largest logit is the label's, in evaluation mode."""
    network.eval()
    right = torch.zeros((), dtype=torch.int64, device=device)
    every = torch.arange(len(part.labels), device=part.images.device)
    for indices in every.split(4 * proxy.batch):
        images, labels = part.batch(indices, device)
        with autocast(proxy, device):
            right += (network(images).argmax(1) == labels).sum()
    return right.item() / len(part.labels)


def learning_rate(proxy: Proxy, step: int, steps: int) -> float:
    """Linear warm-up over the share `warmup` of all steps, then linear decay to 0."""
    rising = proxy.warmup * steps
    if step < rising:
        return proxy.learning_rate * (step + 1) / (rising + 1)
    return proxy.learning_rate * (steps - step) / max(1.0, steps - rising)


def autocast(proxy: Proxy, device: torch.device) -> AbstractContextManager:
    if proxy.precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


@lru_cache(maxsize=4)
def prepare(data: Data, proxy: Proxy, part: str, device: torch.device) -> Part:
    """A part of the data at the proxy's resolution, on the device where it fits there.

    Raises:
        InputError: the proxy asks for a larger resolution than the pictures have.
    """
    train = subset(data.train, data.labels, proxy.images, data.split_seed)
    indices = {
        "train": train,
        "validation": subset(
            data.validation, data.labels, proxy.validation_images, data.split_seed
        ),
        "test": data.test,
    }[part]
    mean, std = _statistics(data.images[train])
    images = torch.from_numpy(data.images[indices])
    if proxy.resolution is not None and proxy.resolution != min(images.shape[2:]):
        images = _shrink(images, proxy.resolution)
    if device.type == "cpu" or images.numel() < torch.cuda.mem_get_info(device)[0] // 2:
        images = images.to(device)
    labels = torch.from_numpy(data.labels[indices]).to(images.device)
    return Part(images, labels, mean.to(device), std.to(device))


def _statistics(images: np.ndarray) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per channel, (1, C, 1, 1), exact from histograms of the bytes."""
    values = np.arange(256)
    counts = [np.bincount(images[:, c].ravel(), minlength=256) for c in range(images.shape[1])]
    means = [np.average(values, weights=count) for count in counts]
    pairs = zip(counts, means, strict=True)
    stds = [max(1.0, np.sqrt(np.average((values - m) ** 2, weights=count))) for count, m in pairs]
    as_tensor = [torch.tensor(np.array(x), dtype=torch.float32) for x in (means, stds)]
    return as_tensor[0].view(1, -1, 1, 1), as_tensor[1].view(1, -1, 1, 1)


def _shrink(images: Tensor, resolution: int) -> Tensor:
    """Area averaging so that the shorter side becomes `resolution`."""
    height, width = images.shape[2:]
    if resolution > min(height, width):
        raise InputError(
            f"proxy: resolution {resolution} is larger than the pictures' {height}×{width}"
        )
    scale = resolution / min(height, width)
    size = (round(height * scale), round(width * scale))
    pieces = [F.interpolate(x.float(), size, mode="area") for x in images.split(4096)]
    return torch.cat([x.round().to(torch.uint8) for x in pieces])


def _batches(
    part: Part, proxy: Proxy, seed: int, epoch: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """An epoch of shuffled full batches; what remains of the last is left out."""
    rng = np.random.default_rng([seed, epoch])
    count = len(part.labels)
    batch = min(proxy.batch, count)
    order = torch.from_numpy(rng.permutation(count)).to(part.images.device)
    for indices in order[: count // batch * batch].split(batch):
        images, labels = part.batch(indices, device)
        if proxy.augment != "none":
            images = _augment(images, rng, flip=proxy.augment == "crop-flip")
        yield images, labels


def _augment(images: Tensor, rng: np.random.Generator, flip: bool) -> Tensor:
    """Crops at random from a zero border of an eighth of the side; flips half of them."""
    count, _, height, width = images.shape
    border = max(1, height // 8)
    padded = F.pad(images, (border,) * 4)
    shifts = torch.from_numpy(rng.integers(0, 2 * border + 1, (2, count))).to(images.device)
    rows = shifts[0, :, None] + torch.arange(height, device=images.device)
    columns = shifts[1, :, None] + torch.arange(width, device=images.device)
    if flip:
        mirrored = torch.from_numpy(rng.random(count) < 0.5).to(images.device)
        columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    picked = torch.arange(count, device=images.device)[:, None, None]
    cropped = padded.permute(0, 2, 3, 1)[picked, rows[:, :, None], columns[:, None, :]]
    return cropped.permute(0, 3, 1, 2)


def _optimizer(network: nn.Module, proxy: Proxy) -> torch.optim.Optimizer:
    weights = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    return torch.optim.SGD(
        [
            {"params": weights, "weight_decay": proxy.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=proxy.learning_rate,
        momentum=proxy.momentum,
        nesterov=proxy.momentum > 0,
        fused=True,
    )


def _momentum(optimizer: torch.optim.Optimizer, network: nn.Module) -> dict[str, Tensor]:
    """The optimizer's own tensors by parameter name; the next step changes them in place."""
    states = ((name, optimizer.state[p]) for name, p in network.named_parameters())
    buffers = ((name, state.get("momentum_buffer")) for name, state in states)
    return {name: buffer for name, buffer in buffers if buffer is not None}


def _set_momentum(
    optimizer: torch.optim.Optimizer, network: nn.Module, momentum: Mapping[str, Tensor]
) -> None:
    for name, parameter in network.named_parameters():
        if name in momentum:
            # strides as the parameter's: the fused step walks both by address
            buffer = torch.empty_like(parameter, requires_grad=False).copy_(momentum[name])
            optimizer.state[parameter]["momentum_buffer"] = buffer


def _watched(network: Network) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    layers = [cast(Layer, network.layers[name]) for name in ("1", str(len(network.layers)))]
    first, last = ([p for p in x.branch.parameters() if p.ndim > 1] for x in layers)
    return first, last


def gradient_norm(parameters: list[nn.Parameter]) -> float:
    """L2 norm of all gradients together, summed in float64 so that small ones do not underflow."""
    squares = [p.grad.double().square().sum() for p in parameters if p.grad is not None]
    return math.sqrt(sum(square.item() for square in squares))

"""The images of one part of the data on a device, and the batches of a training."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nas.data.dataset import Data, subset
from nas.errors import InputError
from nas.proxy import Proxy
from nas.tasks.classification import CLASSIFICATION
from nas.tasks.table import find_task
from nas.tasks.task import FIELDS, SCORED, Task


@dataclass(frozen=True, eq=False)
class Subset:
    """Images of one part of the data on the device: uint8 (n, C, H, W), or (n, T) symbols of a text."""

    images: Tensor
    labels: Tensor
    """int64 (n,) of classes, (n, H, W) of masks, (n, T) of the next symbols."""
    mean: Tensor
    """Per channel, of the training images, (1, C, 1, 1), in units of 0 to 255; one value, 0, where a task
    has them from 0 to 1."""
    std: Tensor
    task: Task = CLASSIFICATION

    def inputs(self, indices: Tensor) -> Tensor:
        """Normalised images (n, C, H, W) in channels_last, or symbols (n, T), int64."""
        device = self.mean.device
        if self.images.ndim == 2:
            return self.images[indices].to(device, torch.int64)
        images = self.images[indices].to(device, torch.float32)
        images = images.sub_(self.mean).div_(self.std)
        return images.contiguous(memory_format=torch.channels_last)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """What a network reads and the task's targets, where it is scored; those of training are spoilt
        anew in every epoch."""
        labels = self.labels[indices].to(self.mean.device)
        fields = (indices % SCORED).to(labels.device)
        return self.task.example(self.inputs(indices), labels, fields)


@lru_cache(maxsize=4)
def prepare(data: Data, proxy: Proxy, part: str, device: torch.device) -> Subset:
    """A part of the data for the proxy's task and at its resolution, on the device where it fits there.

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
    task, images = find_task(proxy.task), torch.from_numpy(data.images[indices])
    if images.ndim == 4 and task.standardised:
        mean, std = _statistics(data.images[train])
    else:
        mean, std = torch.zeros(1), torch.full((1,), 255.0)
    if images.ndim == 4 and proxy.resolution not in (None, min(images.shape[2:])):
        images = shrink(images, proxy.resolution)
    if device.type != "cuda" or images.numel() < torch.cuda.mem_get_info(device)[0] // 2:
        images = images.to(device)
    labels = torch.from_numpy(data.labels[indices].astype(np.int64)).to(images.device)
    return Subset(images, labels, mean.to(device), std.to(device), task)


class Feed:
    """The batches of a training, in the same order for every network; all tensors stay in place.

    An epoch's order, augmentation and random fields are drawn at its start. Each `load` then puts the
    next batch into `images` and `targets`, by tensor operations alone, so that it can be part of a CUDA
    graph.
    """

    def __init__(self, part: Subset, proxy: Proxy, seed: int, device: torch.device) -> None:
        self.part, self.augment, self.seed = part, proxy.augment, seed
        self.batch = min(proxy.batch, len(part.labels))
        self.steps = len(part.labels) // self.batch
        place = part.images.device
        self.border = max(1, part.images.shape[2] // 8) if part.images.ndim == 4 else 0
        first = torch.zeros(self.batch, dtype=torch.int64, device=place)
        self.images, self.targets = map(torch.zeros_like, part.batch(first))
        self._fields = torch.zeros(self.steps, self.batch, dtype=torch.int64, device=device)
        self._order = torch.zeros(self.steps, self.batch, dtype=torch.int64, device=place)
        self._shifts = torch.zeros(self.steps, 2, self.batch, dtype=torch.int64, device=device)
        self._mirrored = torch.zeros(self.steps, self.batch, dtype=torch.bool, device=device)
        self._next = torch.zeros(1, dtype=torch.int64, device=place)

    @property
    def on_device(self) -> bool:
        """Whether the part lies where the batches go; otherwise `load` copies between devices."""
        return self.part.images.device == self.images.device

    def start(self, epoch: int) -> None:
        """Draws the order of an epoch; what remains of the last batch is left out."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self.part.labels))[: self.steps * self.batch]
        self._order.copy_(torch.from_numpy(order.reshape(self.steps, self.batch)))
        self._next.zero_()
        if self.augment != "none":
            self._draw_crops(rng)
        if self.part.task.draws:
            fields = rng.integers(SCORED, FIELDS, (self.steps, self.batch))
            self._fields.copy_(torch.from_numpy(fields))

    def _draw_crops(self, rng: np.random.Generator) -> None:
        shifts, mirrored = [], []
        for _ in range(self.steps):
            shifts.append(rng.integers(0, 2 * self.border + 1, (2, self.batch)))
            flips = self.augment == "crop-flip"
            mirrored.append(rng.random(self.batch) < 0.5 if flips else np.zeros(self.batch, bool))
        self._shifts.copy_(torch.from_numpy(np.stack(shifts)))
        self._mirrored.copy_(torch.from_numpy(np.stack(mirrored)))

    def load(self) -> None:
        """Puts the epoch's next batch into `images` and `targets`."""
        indices = self._order.index_select(0, self._next)[0]
        images, step = self.part.inputs(indices), self._next.to(self.images.device)
        if self.augment != "none":
            shifts = self._shifts.index_select(0, step)[0]
            images = crop(images, shifts, self._mirrored.index_select(0, step)[0], self.border)
        labels, fields = self.part.labels[indices], self._fields.index_select(0, step)[0]
        read, targets = self.part.task.example(images, labels.to(images.device), fields)
        self.images.copy_(read)
        self.targets.copy_(targets)
        self._next.add_(1)


def crop(images: Tensor, shifts: Tensor, mirrored: Tensor, border: int) -> Tensor:
    """Crops each image from a zero border at its shift (2, n) of 0 to 2·border; flips some."""
    count, _, height, width = images.shape
    padded = F.pad(images, (border,) * 4)
    rows = shifts[0, :, None] + torch.arange(height, device=images.device)
    columns = shifts[1, :, None] + torch.arange(width, device=images.device)
    columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    picked = torch.arange(count, device=images.device)[:, None, None]
    cropped = padded.permute(0, 2, 3, 1)[picked, rows[:, :, None], columns[:, None, :]]
    return cropped.permute(0, 3, 1, 2)


def _statistics(images: np.ndarray) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per channel, (1, C, 1, 1), exact from histograms of the bytes."""
    values = np.arange(256)
    counts = [np.bincount(images[:, c].ravel(), minlength=256) for c in range(images.shape[1])]
    means = [np.average(values, weights=count) for count in counts]
    pairs = zip(counts, means, strict=True)
    stds = [max(1.0, np.sqrt(np.average((values - m) ** 2, weights=count))) for count, m in pairs]
    as_tensor = [torch.tensor(np.array(x), dtype=torch.float32) for x in (means, stds)]
    return as_tensor[0].view(1, -1, 1, 1), as_tensor[1].view(1, -1, 1, 1)


def shrink(images: Tensor, resolution: int) -> Tensor:
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

"""Restoration of spoilt pictures: noise that is taken away, holes that are filled in."""

from __future__ import annotations

from abc import abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING

from nas.tasks.task import FIELDS, Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SIGMA = 50 / 255
"""Standard deviation of the noise, as in the hardest setting of Zhang et al. (2017, DnCNN)."""
WORST = -100.0
"""PSNR of a training that diverged, in dB."""
LEAST_ERROR = 1e-10
"""Mean squared error of a picture below which its PSNR does not rise: 100 dB."""


class Restoration(Task):
    """Mean squared error to the clean picture, over the pixels that were spoilt; scored by the mean PSNR.

    Pictures are from 0 to 1. Targets (N, C + 1, H, W) are the clean picture, and 1 where a pixel counts.
    """

    @abstractmethod
    def spoilt(self, pictures: Tensor, fields: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (N, C, H, W) as they are read, and (N, 1, H, W), 1 where a pixel counts."""

    def width(self, shape, classes):
        return shape[0]

    def example(self, inputs, labels, fields):
        import torch

        read, counted = self.spoilt(inputs, fields)
        return read, torch.cat([inputs, counted], 1)

    def loss(self, outputs, targets, smoothing=0.0):
        clean, counted = targets[:, :-1], targets[:, -1:]
        wrong = (outputs.float() - clean).square() * counted
        return wrong.sum() / (counted.sum() * clean.shape[1])

    def measure(self, outputs, targets):
        clean, counted = targets[:, :-1], targets[:, -1:]
        wrong = (outputs.double() - clean.double()).square() * counted
        errors = wrong.flatten(1).sum(1) / (counted.flatten(1).sum(1) * clean.shape[1])
        decibels = -10 * errors.clamp(min=LEAST_ERROR).log10()
        return decibels.sum()[None], errors.sum()

    def result(self, sums, examples):
        return sums[0] / examples


class Denoising(Restoration):
    """Gaussian noise is added, of a deviation of 50 of 255."""

    def spoilt(self, pictures, fields):
        noise = _noise(tuple(pictures.shape[1:]), pictures.device)
        return pictures + SIGMA * noise[fields], pictures.new_ones(pictures[:, :1].shape)


class Inpainting(Restoration):
    """A square of half the sides, at a random place, is black (after Pathak et al. 2016)."""

    def spoilt(self, pictures, fields):
        import torch

        places = _places(pictures.device)[fields]
        inside = None
        for axis, side in enumerate(pictures.shape[2:]):
            hole = max(1, side // 2)
            first = (places[:, axis, None] * (side - hole + 1)).long()
            pixel = torch.arange(side, device=pictures.device)
            within = (pixel >= first) & (pixel < first + hole)
            inside = within[:, :, None] if inside is None else inside & within[:, None, :]
        assert inside is not None
        counted = inside[:, None].to(pictures.dtype)
        return pictures * (1 - counted), counted


@lru_cache(maxsize=1)
def _noise(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Standard normal fields (FIELDS, C, H, W), the same everywhere."""
    import torch

    return torch.randn(FIELDS, *shape, generator=torch.Generator().manual_seed(0)).to(device)


@lru_cache(maxsize=4)
def _places(device: torch.device) -> Tensor:
    """Where holes begin, (FIELDS, 2), from 0 to 1 of where they can."""
    import torch

    return torch.rand(FIELDS, 2, generator=torch.Generator().manual_seed(1)).to(device)


DENOISING = Denoising("denoising", "psnr", "PSNR", "max", "dB", "map", "", False, True, WORST)
INPAINTING = Inpainting("inpainting", "psnr", "PSNR", "max", "dB", "map", "", False, True, WORST)

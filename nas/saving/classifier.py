"""A trained network with what is needed to use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

from nas.architecture.genome import Genome
from nas.architecture.skeletons.convolutional import Skeleton
from nas.errors import InputError
from nas.network.network import Network

FORMAT = 1


@dataclass(frozen=True)
class Card:
    """What is known of a network beside genome, skeleton and weights.

    Raises:
        InputError: numbers that do not fit each other.
    """

    mean: tuple[float, ...]
    """Per channel, of pictures from 0 to 255."""
    std: tuple[float, ...]
    classes: tuple[str, ...]
    """Names, in the order of the logits."""
    plugins: Mapping[str, str] = field(default_factory=dict)
    """Hash by file name of the plugins that were loaded."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """How the weights came about, and what they scored; empty for initial weights."""
    versions: Mapping[str, str] = field(default_factory=dict)

    def check(self, skeleton: Skeleton) -> None:
        """Raises InputError if it is not of a network with this skeleton."""
        channels = skeleton.input_shape[0]
        for name in ("mean", "std"):
            if len(getattr(self, name)) != channels:
                raise InputError(f"{name} has {len(getattr(self, name))} values, not {channels}")
        if not all(0 < value < float("inf") for value in self.std):
            raise InputError(f"std is {list(self.std)}; numbers above 0 are needed")
        if len(self.classes) != skeleton.classes:
            raise InputError(f"{len(self.classes)} names for {skeleton.classes} classes")


class Classifier(nn.Module):
    """A network that takes pictures as they are: it normalises them itself.

    Pictures (N, C, H, W) from 0 to 255, bytes or floating point -> logits (N, classes). (C, H, W)
    is the skeleton's input shape: pictures that the training shrank have to be shrunk before.

    Raises:
        InputError: the card is of another network.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: Network, card: Card | None = None) -> None:
        super().__init__()
        skeleton = network.skeleton
        if card is None:  # pictures are normalised already
            channels, names = skeleton.input_shape[0], map(str, range(skeleton.classes))
            card = Card((0.0,) * channels, (1.0,) * channels, tuple(names))
        card.check(skeleton)
        self.network, self.card = network, card
        for name in ("mean", "std"):
            values = torch.tensor(getattr(card, name), dtype=torch.float32)
            self.register_buffer(name, values.view(1, -1, 1, 1))

    @property
    def genome(self) -> Genome:
        return self.network.genome

    @property
    def skeleton(self) -> Skeleton:
        return self.network.skeleton

    def forward(self, pictures: Tensor) -> Tensor:
        channels, height, width = self.skeleton.input_shape
        if pictures.ndim != 4 or pictures.shape[1] != channels:
            raise InputError(
                f"pictures must be (N, {channels}, {height}, {width}) from 0 to 255, "
                f"not {tuple(pictures.shape)}"
            )
        return self.network((pictures.to(self.mean.dtype) - self.mean) / self.std)

    def document(self) -> dict[str, Any]:
        """All but the weights, as JSON values."""
        own = {name: version(name) for name in ("skipnas", "torch")}
        return {
            "format": FORMAT,
            "genome": str(self.genome),
            "layers": json.loads(self.genome.to_json())["layers"],
            "skeleton": asdict(self.skeleton),
            **asdict(self.card),
            "versions": dict(self.card.versions) or own,
        }

"""A trained network with what is needed to use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nas.architecture.genome import Genome
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.data.preprocessing import Picture, Preprocessing
from nas.errors import InputError
from nas.network.network import Network
from nas.training.batches import shrink

FORMAT = 1


@dataclass(frozen=True)
class Card:
    """What is known of a network beside genome, skeleton and weights.

    Raises:
        InputError: numbers that do not fit each other.
    """

    mean: tuple[float, ...]
    """Per channel, of pictures from 0 to 255; none for texts."""
    std: tuple[float, ...]
    classes: tuple[str, ...]
    """Names, in the order of the logits."""
    plugins: Mapping[str, str] = field(default_factory=dict)
    """Hash by file name of the plugins that were loaded."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """How the weights came about, and what they scored; empty for initial weights."""
    versions: Mapping[str, str] = field(default_factory=dict)
    preprocessing: Preprocessing | None = None
    """How pictures became the arrays of the training; None where it is not known."""

    def check(self, skeleton: AnySkeleton) -> None:
        """Raises InputError if it is not of a network with this skeleton."""
        channels = _channels(skeleton)
        for name in ("mean", "std"):
            if len(getattr(self, name)) != channels:
                raise InputError(f"{name} has {len(getattr(self, name))} values, not {channels}")
        if not all(0 < value < float("inf") for value in self.std):
            raise InputError(f"std is {list(self.std)}; numbers above 0 are needed")
        if len(self.classes) != skeleton.classes:
            raise InputError(f"{len(self.classes)} names for {skeleton.classes} classes")


@dataclass(frozen=True)
class Prediction:
    """What a network says of one picture."""

    name: str
    """The most probable class."""
    probability: float
    probabilities: Mapping[str, float]
    """By class, the most probable first."""


class Classifier(nn.Module):
    """A network that takes pictures from 0 to 255: it normalises them itself.

    Pictures (N, C, H, W), bytes or floating point -> logits (N, classes). (C, H, W) is the
    skeleton's input shape; `predict` takes pictures of other sizes, as the training did. Where that is
    (T,), it takes symbols (N, T), whole numbers below `classes` -> logits (N, T, classes).

    Raises:
        InputError: the card is of another network.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: Network, card: Card | None = None) -> None:
        super().__init__()
        skeleton = network.skeleton
        if card is None:  # pictures are normalised already
            channels, names = _channels(skeleton), map(str, range(skeleton.classes))
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
    def skeleton(self) -> AnySkeleton:
        return self.network.skeleton

    @property
    def preprocessing(self) -> Preprocessing:
        """How pictures become arrays; where that is not known, they have the input's shape."""
        channels, height, width = self.skeleton.input_shape
        return self.card.preprocessing or Preprocessing(channels, height, width)

    @property
    def preprocessing_words(self) -> str:
        """What is done to pictures before the network gets them, in sentences."""
        if not _channels(self.skeleton):
            return (
                f"A text is {self.skeleton.side} symbols, each the number of a character in the list of "
                "classes, from 0."
            )
        words, (_, height, width) = self.preprocessing.words, self.skeleton.input_shape
        if self.preprocessing.shape[1:] != (height, width):
            words += f" They are then shrunk to {width}×{height} by averaging over areas."
        return words

    def forward(self, pictures: Tensor) -> Tensor:
        if not _channels(self.skeleton):
            symbols = self.skeleton.side
            if pictures.ndim != 2 or pictures.shape[1] != symbols:
                raise InputError(f"symbols must be (N, {symbols}), not {tuple(pictures.shape)}")
            return self.network(pictures)
        channels, height, width = self.skeleton.input_shape
        if pictures.ndim != 4 or pictures.shape[1:] != (channels, height, width):
            raise InputError(
                f"pictures must be (N, {channels}, {height}, {width}) from 0 to 255, "
                f"not {tuple(pictures.shape)}; predict takes files and pictures of other sizes"
            )
        return self.network((pictures.to(self.mean.dtype) - self.mean) / self.std)

    @torch.inference_mode()
    def predict(self, picture: Picture) -> Prediction:
        """The class of one picture, prepared as the training's were, in evaluation mode.

        Args:
            picture: a file, a picture of Pillow's, or an array of bytes (H, W), (H, W, C) or
                (C, H, W).

        Raises:
            InputError: it cannot be read, or has another size where the training's were not resized, or
                the network is one of texts.
        """
        if not _channels(self.skeleton):
            raise InputError(
                "predict takes a picture; this network reads texts: call it on symbols"
            )
        batch = torch.from_numpy(np.array(self.preprocessing(picture), order="C"))[None]
        shape = self.skeleton.input_shape
        if batch.shape[1:] != shape:
            batch = shrink(batch, min(shape[1:]))
        training = self.training
        self.eval()
        try:
            shares = self(batch.to(self.mean.device)).softmax(1)[0].tolist()
        finally:
            self.train(training)
        by_class = sorted(zip(self.card.classes, shares, strict=True), key=lambda pair: -pair[1])
        return Prediction(*by_class[0], dict(by_class))

    def document(self) -> dict[str, Any]:
        """All but the weights, as JSON values."""
        own = {name: version(name) for name in ("skipnas", "torch")}
        card = asdict(self.card)
        if self.card.preprocessing is None:
            del card["preprocessing"]  # as in files from before it was there
        return {
            "format": FORMAT,
            "genome": str(self.genome),
            "layers": json.loads(self.genome.to_json())["layers"],
            "skeleton": asdict(self.skeleton),
            **card,
            "versions": dict(self.card.versions) or own,
        }


def _channels(skeleton: AnySkeleton) -> int:
    """Channels of the pictures that it reads; none where it reads texts."""
    return skeleton.input_shape[0] if len(skeleton.input_shape) == 3 else 0

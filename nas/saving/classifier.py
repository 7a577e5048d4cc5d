"""A trained network with what is needed to use it; of those for other tasks than classes see `uses.py`."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from nas.architecture.genome import Genome
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.data.preprocessing import Picture, Preprocessing
from nas.errors import InputError
from nas.network.network import Network
from nas.proxy import Proxy
from nas.tasks.table import find_task
from nas.training.batches import shrink

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
    """Names, in the order of the logits: of a text the symbols; none where pictures are restored."""
    plugins: Mapping[str, str] = field(default_factory=dict)
    """Hash by file name of the plugins that were loaded."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """How the weights came about, and what they scored; empty for initial weights."""
    versions: Mapping[str, str] = field(default_factory=dict)
    preprocessing: Preprocessing | None = None
    """How pictures became the arrays of the training; None where it is not known."""
    task: str = Proxy.task
    """A name in TASKS."""

    def check(self, skeleton: AnySkeleton) -> None:
        """Raises InputError if it is not of a network with this skeleton."""
        task = find_task(self.task, "card")
        if task.outputs != skeleton.outputs:
            raise InputError(
                f"task {task.name} needs a network that gives {task.outputs}, not {skeleton.outputs}"
            )
        channels = _channels(skeleton)
        for name in ("mean", "std"):
            if len(getattr(self, name)) != channels:
                raise InputError(f"{name} has {len(getattr(self, name))} values, not {channels}")
        if not all(0 < value < float("inf") for value in self.std):
            raise InputError(f"std is {list(self.std)}; numbers above 0 are needed")
        if task.labels and len(self.classes) != skeleton.classes:
            raise InputError(f"{len(self.classes)} names for {skeleton.classes} classes")


def _channels(skeleton: AnySkeleton) -> int:
    """Of pictures; a text has none."""
    return skeleton.input_shape[0] if len(skeleton.input_shape) == 3 else 0


@dataclass(frozen=True)
class Prediction:
    """What a network says of one picture, or of what follows a text."""

    name: str
    """The most probable class, or symbol."""
    probability: float
    probabilities: Mapping[str, float]
    """By class, the most probable first."""


class Trained(nn.Module):
    """A network and its card: it takes what the data had, and prepares it itself.

    Raises:
        InputError: the card is of another network.
    """

    takes: ClassVar[str] = "pictures"
    """The name of its input in programs of other formats."""
    gives: ClassVar[str] = "logits"
    """The name of its output there."""
    kind: ClassVar[str]
    """What it is, in words."""

    def __init__(self, network: Network, card: Card) -> None:
        super().__init__()
        card.check(network.skeleton)
        self.network, self.card = network, card

    @property
    def genome(self) -> Genome:
        return self.network.genome

    @property
    def skeleton(self) -> AnySkeleton:
        return self.network.skeleton

    @property
    @abstractmethod
    def preprocessing_words(self) -> str:
        """What is done to an input before the network gets it, in sentences."""

    @abstractmethod
    def example(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """So many random inputs, in one array."""

    @torch.inference_mode()
    def answer(self, batch: Tensor) -> Tensor:
        """What it gives for a batch, in evaluation mode."""
        training = self.training
        self.eval()
        try:
            return self(batch.to(next(self.network.parameters()).device))
        finally:
            self.train(training)

    def document(self) -> dict[str, Any]:
        """All but the weights, as JSON values."""
        own = {name: version(name) for name in ("skipnas", "torch")}
        card = asdict(self.card)
        for name in ("preprocessing", "task"):
            if getattr(self.card, name) == Card.__dataclass_fields__[name].default:
                del card[name]  # as in files from before it was there
        return {
            "format": FORMAT,
            "genome": str(self.genome),
            "layers": json.loads(self.genome.to_json())["layers"],
            "skeleton": asdict(self.skeleton),
            **card,
            "versions": dict(self.card.versions) or own,
        }


class OfPictures(Trained):
    """A network that takes pictures (N, C, H, W) from 0 to 255, bytes or floating point.

    (C, H, W) is the skeleton's input shape; `predict` takes pictures of other sizes, as the training did.

    Args:
        card: None of a network that gets pictures normalised already.
    """

    task: ClassVar[str]
    mean: Tensor
    std: Tensor

    def __init__(self, network: Network, card: Card | None = None) -> None:
        skeleton = network.skeleton
        if card is None:
            channels, names = _channels(skeleton), tuple(map(str, range(skeleton.classes)))
            card = Card((0.0,) * channels, (1.0,) * channels, names, task=self.task)
        super().__init__(network, card)
        for name in ("mean", "std"):
            values = torch.tensor(getattr(card, name), dtype=torch.float32)
            self.register_buffer(name, values.view(1, -1, 1, 1))

    @property
    def preprocessing(self) -> Preprocessing:
        """How pictures become arrays; where that is not known, they have the input's shape."""
        channels, height, width = self.skeleton.input_shape
        return self.card.preprocessing or Preprocessing(channels, height, width)

    @property
    def preprocessing_words(self) -> str:
        words, (_, height, width) = self.preprocessing.words, self.skeleton.input_shape
        if self.preprocessing.shape[1:] != (height, width):
            words += f" They are then shrunk to {width}×{height} by averaging over areas."
        return words

    def forward(self, pictures: Tensor) -> Tensor:
        channels, height, width = self.skeleton.input_shape
        if pictures.ndim != 4 or pictures.shape[1:] != (channels, height, width):
            raise InputError(
                f"pictures must be (N, {channels}, {height}, {width}) from 0 to 255, "
                f"not {tuple(pictures.shape)}; predict takes files and pictures of other sizes"
            )
        return self.network((pictures.to(self.mean.dtype) - self.mean) / self.std)

    def example(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Random pictures, float32 (N, C, H, W), whole from 0 to 255."""
        return rng.integers(0, 256, (count, *self.skeleton.input_shape)).astype(np.float32)

    def prepared(self, picture: Picture) -> Tensor:
        """Bytes (1, C, H, W) of one picture, as the training's were prepared.

        Args:
            picture: a file, a picture of Pillow's, or an array of bytes (H, W), (H, W, C) or
                (C, H, W).

        Raises:
            InputError: it cannot be read, or has another size where the training's were not resized.
        """
        batch = torch.from_numpy(np.array(self.preprocessing(picture), order="C"))[None]
        shape = self.skeleton.input_shape
        if batch.shape[1:] != shape:
            batch = shrink(batch, min(shape[1:]))
        return batch


class Classifier(OfPictures):
    """A network that names the class of pictures: (N, C, H, W) -> logits (N, classes)."""

    task = "classification"
    kind = "classifier of pictures"

    def predict(self, picture: Picture) -> Prediction:
        """The class of one picture, which `prepared` prepares, in evaluation mode.

        Raises:
            InputError: it cannot be read, or has another size where the training's were not resized.
        """
        return predicted(self.card.classes, self.answer(self.prepared(picture))[0])


def predicted(names: Sequence[str], logits: Tensor) -> Prediction:
    """Logits (classes,) as probabilities by name."""
    shares = logits.softmax(0).tolist()
    by_name = sorted(zip(names, shares, strict=True), key=lambda pair: -pair[1])
    return Prediction(*by_name[0], dict(by_name))

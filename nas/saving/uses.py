"""What trained networks are used with, by task: a text that goes on, a picture that is restored, a mask."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from nas.data.preprocessing import Picture
from nas.data.text import encoded
from nas.errors import InputError
from nas.network.network import Network
from nas.saving.classifier import (
    Card,
    Classifier,
    OfPictures,
    Prediction,
    Trained,
    predicted,
)


class LanguageModel(Trained):
    """A network that says what follows a text: symbols (N, T), whole numbers -> logits (N, T, classes) of
    the symbol after each. T is the skeleton's."""

    takes = "symbols"
    kind = "model of texts"

    def __init__(self, network: Network, card: Card | None = None) -> None:
        if card is None:
            card = Card((), (), tuple(map(chr, range(network.skeleton.classes))), task="language")
        super().__init__(network, card)

    @property
    def preprocessing_words(self) -> str:
        return "Symbols are the places of a text's characters among the classes, from 0."

    def example(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Random symbols, int64 (N, T)."""
        return rng.integers(0, self.skeleton.classes, (count, *self.skeleton.input_shape))

    def forward(self, symbols: Tensor) -> Tensor:
        length = self.skeleton.input_shape[0]
        if symbols.ndim != 2 or symbols.shape[1] != length or symbols.is_floating_point():
            raise InputError(
                f"symbols must be whole numbers (N, {length}), not {symbols.dtype} of "
                f"{tuple(symbols.shape)}; predict takes texts of any length"
            )
        return self.network(symbols.long())

    def predict(self, text: str) -> Prediction:
        """What follows a text, of which the last T characters are read.

        Raises:
            InputError: it is empty, or has a character that is none of the training's symbols.
        """
        return predicted(self.card.classes, self._after(text))

    def generate(self, text: str, count: int, seed: int = 0) -> str:
        """So many symbols that follow a text, each drawn by its probability.

        Raises:
            InputError: as of `predict`.
        """
        rng, found = torch.Generator().manual_seed(seed), text
        for _ in range(count):
            shares = self._after(found).softmax(0)
            found += self.card.classes[int(torch.multinomial(shares, 1, generator=rng))]
        return found[len(text) :]

    def _after(self, text: str) -> Tensor:
        """Logits (classes,) of the symbol after a text, on the CPU."""
        length = self.skeleton.input_shape[0]
        read = encoded(text[-length:], self.card.classes)
        if not len(read):
            raise InputError("the text is empty; it must have at least 1 character")
        symbols = torch.zeros(1, length, dtype=torch.int64)
        symbols[0, : len(read)] = torch.from_numpy(read)  # what comes after is not attended to
        return self.answer(symbols)[0, len(read) - 1].float().cpu()


class Restorer(OfPictures):
    """A network that restores pictures: (N, C, H, W) from 0 to 255 -> the same."""

    task, gives = "denoising", "restored"
    kind = "denoiser of pictures"

    def forward(self, pictures: Tensor) -> Tensor:
        return super().forward(pictures) * self.std + self.mean

    def predict(self, picture: Picture) -> np.ndarray:
        """The restored picture, bytes (C, H, W), of one that `prepared` prepares.

        Raises:
            InputError: it cannot be read, or has another size where the training's were not resized.
        """
        found = self.answer(self.prepared(picture))[0]
        return found.round().clamp(0, 255).to(torch.uint8).cpu().numpy()


class Inpainter(Restorer):
    """A network that fills in what is black."""

    task = "inpainting"
    kind = "inpainter of pictures"

    def predict(self, picture: Picture) -> np.ndarray:
        """The picture with its black pixels filled in, bytes (C, H, W); all others stay.

        Raises:
            InputError: it cannot be read, or has another size where the training's were not resized.
        """
        given = self.prepared(picture)[0].numpy()
        return np.where(given.any(0), given, super().predict(picture))


class Segmenter(OfPictures):
    """A network that names the class of every pixel: (N, C, H, W) -> logits (N, classes, H, W)."""

    task = "segmentation"
    kind = "segmenter of pictures"

    def predict(self, picture: Picture) -> np.ndarray:
        """The mask of one picture that `prepared` prepares, (H, W), of places among the classes.

        Raises:
            InputError: it cannot be read, or has another size where the training's were not resized.
        """
        return self.answer(self.prepared(picture))[0].argmax(0).cpu().numpy()


Usable: TypeAlias = Classifier | LanguageModel | Restorer | Segmenter
USES: dict[str, type[Usable]] = {
    "classification": Classifier,
    "language": LanguageModel,
    "denoising": Restorer,
    "inpainting": Inpainter,
    "segmentation": Segmenter,
}
"""By the name of the task."""
PLAIN = {"classes": "classification", "symbols": "language", "map": "segmentation"}
"""The task of a network without a card, by its outputs."""


def usable(network: Network, card: Card | None = None) -> Usable:
    """A network with what it takes to use it, by its card's task.

    Raises:
        InputError: the card is of another network, or has an unknown task.
    """
    task = card.task if card else PLAIN[network.skeleton.outputs]
    if card:
        card.check(network.skeleton)
    return USES[task](network, card)

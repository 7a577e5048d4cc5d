"""Which of our skeletons are written as source, and by what."""

from __future__ import annotations

from collections.abc import Callable

from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.architecture.skeletons.transformer import Transformer
from nas.architecture.skeletons.unet import UNet
from nas.saving.classifier import Trained
from nas.saving.source import module, transformer, unet

SOURCES: dict[type[AnySkeleton], Callable[[Trained, str], str]] = {
    Transformer: transformer.source_of,
    UNet: unet.source_of,
}
"""Others are written as the convolutional one, or refused."""


def source_of(classifier: Trained, weights: str) -> str:
    """The source of a module with the same network.

    Args:
        weights: name of the safetensors file beside it.

    Raises:
        InputError: it cannot be written; the reason is named.
    """
    return SOURCES.get(type(classifier.skeleton), module.source_of)(classifier, weights)

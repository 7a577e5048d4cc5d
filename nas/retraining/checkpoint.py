"""A training's state in one file, from which it goes on as if it had never stopped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from nas.errors import InputError, brief
from nas.files.settings import from_mapping
from nas.files.tensors import check_weights, read_tensors, write_tensors
from nas.training.curves import Curves, TrainingProgress

CHECKPOINT = "checkpoint.safetensors"
HEADER = "skipnas-training"
"""Key of the JSON in its header."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a long training stands after an epoch."""

    settings: Mapping[str, Any]
    """The training's record, as JSON values."""
    network: Mapping[str, Tensor]
    """Weights and statistics after the last epoch."""
    best: Mapping[str, Tensor]
    """Those of the epoch with the best validation accuracy."""
    progress: TrainingProgress
    seconds: float
    """Spent so far, all starts together."""

    def write(self, folder: Path) -> None:
        """Replaces the folder's checkpoint.

        Raises:
            InputError: it cannot be written.
        """
        parts = {
            "network": self.network,
            "best": self.best,
            "momentum": self.progress.momentum,
            "variance": self.progress.variance,
        }
        tensors = {
            f"{part}.{name}": tensor
            for part, named in parts.items()
            for name, tensor in named.items()
        }
        document = {
            "settings": self.settings,
            "curves": asdict(self.progress.curves),
            "seconds": self.seconds,
        }
        write_tensors(folder / CHECKPOINT, tensors, HEADER, document)


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """The folder's checkpoint, or None where it has none.

    Raises:
        InputError: it is not one that can be read.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    given, tensors = read_tensors(path, HEADER)
    parts: dict[str, dict[str, Tensor]] = {
        name: {} for name in ("network", "best", "momentum", "variance")
    }
    try:
        for name, tensor in tensors.items():
            part, _, own = name.partition(".")
            parts[part][own] = tensor
        curves = read_curves(given["curves"])
        progress = TrainingProgress(curves, parts["momentum"], parts["variance"])
        settings, seconds = dict(given["settings"]), float(given["seconds"])
        return Checkpoint(settings, parts["network"], parts["best"], progress, seconds)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        raise InputError(
            f"{path}: not a checkpoint that nas train wrote; --out names another folder"
        ) from None


def read_curves(values: Mapping[str, Any]) -> Curves:
    """Curves from the JSON values of `dataclasses.asdict`; null is a number that is not finite.

    Raises:
        ValueError, TypeError, KeyError: they are not.
    """
    losses = [math.nan if loss is None else loss for loss in values["losses"]]
    nan = [[math.nan if norm is None else norm for norm in pair] for pair in values["gradients"]]
    curves = from_mapping(Curves, {**values, "losses": losses, "gradients": nan}, "curves")
    curves.gradients = [(first, last) for first, last in curves.gradients]
    return curves


def check_fits(checkpoint: Checkpoint, network: nn.Module, folder: Path) -> None:
    """Raises InputError unless its tensors are those of the network."""
    curves, own = checkpoint.progress.curves, dict(network.named_parameters())
    try:
        check_weights(network, checkpoint.network)
        if curves.accuracies:
            check_weights(network, checkpoint.best)
        if len(curves.accuracies) != len(curves.losses):
            raise InputError(f"{len(curves.losses)} losses, {len(curves.accuracies)} accuracies")
        progress = checkpoint.progress
        trained = {name for name, parameter in own.items() if parameter.requires_grad}
        if any(kept and trained - kept.keys() for kept in (progress.momentum, progress.variance)):
            raise InputError("the optimizer's tensors of some parameters are missing")
        for name, tensor in (*progress.momentum.items(), *progress.variance.items()):
            if name not in own or own[name].shape != tensor.shape:
                raise InputError(f"momentum {brief(name)} is not of this network")
    except InputError as error:
        raise InputError(
            f"{folder / CHECKPOINT}: cannot be gone on with: {error}; --out names another folder"
        ) from None

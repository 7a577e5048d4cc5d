"""The proxy: the short training that stands for a long one."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from nas.errors import InputError, brief, unknown
from nas.tasks.table import find_task

MOST = 1_000_000_000
"""Of epochs, images, pixels and the batch."""


@dataclass(frozen=True)
class Proxy:
    """Settings of one training: what is learned, on how many images, by which optimizer.

    The learning rate rises linearly and then falls to 0. An image is a sequence where a text is learned.

    Raises:
        InputError: a number out of range or an unknown name.
    """

    epochs: int = 4
    images: int | None = None
    """Training images, a stratified subset; None is all of them."""
    validation_images: int | None = None
    """Validation images, a stratified subset; None is all of them."""
    resolution: int | None = None
    """Side in pixels to which pictures are shrunk; None leaves them."""
    batch: int = 64
    learning_rate: float = 0.1
    """Peak learning rate."""
    warmup: float = 0.2
    """Share of all steps in which the learning rate rises."""
    momentum: float = 0.9
    """Nesterov's of SGD, or the first beta of AdamW."""
    weight_decay: float = 5e-4
    """On weights of convolutions and linear layers, not on norms, biases, merges, embeddings
    and positions."""
    label_smoothing: float = 0.0
    augment: Literal["none", "crop", "crop-flip"] = "none"
    """Random crop from a border of an eighth of the side, and horizontal flip."""
    calibration_images: int = 128
    """Training images over which batch norm's statistics are taken before a score; 0 keeps the
    running averages, which lag behind after few steps."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16 computes with rounded weights and activations, and updates fp32 weights; auto is
    what is faster on the device, and is recorded as resolved."""
    task: str = "classification"
    """A name in TASKS."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD with Nesterov momentum, or AdamW (Loshchilov & Hutter 2019) with a second beta of 0.95."""
    schedule: Literal["linear", "cosine"] = "linear"
    """How the learning rate falls after the warm-up."""
    clip: float = 0.0
    """L2 norm to which all gradients together are scaled down where it is larger; 0 leaves them."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "images", "validation_images", "resolution"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"proxy: {name} is {brief(value)}; it must be at least 1")
            if value is not None and value > MOST:
                raise InputError(f"proxy: {name} is {brief(value)}; it must be at most {MOST}")
        if not 0 <= self.calibration_images <= MOST:
            shown = brief(self.calibration_images)
            raise InputError(f"proxy: calibration_images is {shown}; it must be from 0 to {MOST}")
        self._check_task()
        for name in ("learning_rate", "momentum", "weight_decay", "clip"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise InputError(
                    f"proxy: {name} is {brief(value)}; it must be a finite number from 0"
                )
        for name in ("warmup", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"proxy: {name} is {getattr(self, name)}; it must be in [0, 1)")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise unknown(name, getattr(self, name), allowed, place="proxy")

    def _check_task(self) -> None:
        labels = find_task(self.task).labels
        if self.augment != "none" and labels not in ("classes", ""):
            raise InputError(f"proxy: augment is not for task {self.task}, whose labels would stay")
        if self.resolution is not None and labels == "masks":
            raise InputError(
                f"proxy: resolution is not for task {self.task}, whose masks would stay"
            )
        if self.label_smoothing and not labels:
            raise InputError(
                f"proxy: label_smoothing is not for task {self.task}, which has no labels"
            )
        if self.optimizer == "adamw" and self.momentum >= 1:
            raise InputError(f"proxy: momentum is {self.momentum}; AdamW's first beta is below 1")

    def at(self, rate: float | None) -> Proxy:
        """The same at a genome's own learning rate, where it has one."""
        return replace(self, learning_rate=rate) if rate else self

    def record(self) -> dict[str, Any]:
        """As JSON values; what earlier versions did not have is left out where it has its default."""
        kept = {
            f.name
            for f in fields(self)
            if f.name not in LATER or getattr(self, f.name) != f.default
        }
        return {name: value for name, value in asdict(self).items() if name in kept}


LATER = ("task", "optimizer", "schedule", "clip")
"""Settings that records of versions before 0.5 do not have."""
CHOICES = {
    "augment": ("none", "crop", "crop-flip"),
    "precision": ("auto", "fp32", "bf16"),
    "optimizer": ("sgd", "adamw"),
    "schedule": ("linear", "cosine"),
}

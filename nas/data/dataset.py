"""A data set: images and labels in three parts, and how they are split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from nas.architecture.parts import Shape
from nas.errors import InputError


@dataclass(frozen=True, eq=False)
class Data:
    """Images with labels and their split.

    `images` is uint8 (N, C, H, W), `labels` int64 (N,) from 0; `train`, `validation` and `test` are
    sorted indices into both.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    split_seed: int
    fingerprint: str
    """Hash of images, labels and split."""

    @property
    def shape(self) -> Shape:
        """(C, H, W)."""
        return tuple(self.images.shape[1:])  # type: ignore[return-value]


@dataclass(frozen=True)
class Raw:
    """What a source delivers; without a test part of its own, one is split off."""

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    test_images: np.ndarray | None = None
    test_labels: np.ndarray | None = None


def make_data(name: str, raw: Raw, split_seed: int = 0) -> Data:
    """Checks and splits raw arrays.

    With a test part: 1/6 of the rest is for validation. Without: half of all images train, a
    quarter validates, a quarter tests (small sets need large parts to tell patterns apart).

    Raises:
        InputError: wrong shapes or types, fewer than two classes, too few images of a class.
    """
    images, labels = _checked(name, raw.images, raw.labels)
    count = len(images)
    if raw.test_images is not None and raw.test_labels is not None:
        extra, extra_labels = _checked(name, raw.test_images, raw.test_labels)
        if extra.shape[1:] != images.shape[1:]:
            raise InputError(
                f"{name}: test images are {extra.shape[1:]}, the others {images.shape[1:]}"
            )
        images, labels = np.concatenate([images, extra]), np.concatenate([labels, extra_labels])
    present = np.unique(labels[:count])
    if len(present) < 2:
        raise InputError(f"{name}: data with {len(present)} class; at least 2 are needed")
    if labels.min() < 0 or labels.max() >= len(raw.classes):
        raise InputError(
            f"{name}: labels from {labels.min()} to {labels.max()}, but {len(raw.classes)} classes"
        )
    every = np.arange(count)
    if raw.test_images is not None:
        test = np.arange(count, len(images))
        train, validation = _split(name, every, labels, count // 6, split_seed)
    else:
        rest, test = _split(name, every, labels, count // 4, split_seed)
        train, validation = _split(name, rest, labels, count // 4, split_seed)
    digest = hashlib.blake2b(digest_size=8)
    for array in (images, labels, train, validation, test):
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return Data(
        name, images, labels, raw.classes, train, validation, test, split_seed, digest.hexdigest()
    )


def subset(indices: np.ndarray, labels: np.ndarray, count: int | None, seed: int) -> np.ndarray:
    """A stratified choice of `count` indices, sorted; all of them where count is None or more."""
    if count is None or count >= len(indices):
        return indices
    from sklearn.model_selection import train_test_split

    try:
        kept, _ = train_test_split(
            indices, train_size=count, stratify=labels[indices], random_state=seed
        )
    except ValueError as error:
        raise InputError(f"proxy: {count} of {len(indices)} images: {error}") from None
    return np.sort(kept)


def _split(
    name: str, indices: np.ndarray, labels: np.ndarray, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.model_selection import train_test_split

    try:
        first, second = train_test_split(
            indices, test_size=count, stratify=labels[indices], random_state=seed
        )
    except ValueError as error:
        raise InputError(
            f"{name}: {len(indices)} images cannot be split by class: {error}"
        ) from None
    return np.sort(first), np.sort(second)


def _checked(name: str, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if images.dtype != np.uint8:
        raise InputError(f"{name}: images are {images.dtype}; uint8 (0 to 255) is needed")
    if images.ndim != 4 or 0 in images.shape:
        raise InputError(f"{name}: images have shape {images.shape}; (N, C, H, W) is needed")
    if labels.shape != (len(images),):
        raise InputError(f"{name}: {len(images)} images, but labels of shape {labels.shape}")
    return np.ascontiguousarray(images), labels.astype(np.int64)

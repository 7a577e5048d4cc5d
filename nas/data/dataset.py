"""A data set: images, or sequences of a text, with labels in three parts, and how they are split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nas.architecture.parts import Shape
from nas.data.preprocessing import Preprocessing
from nas.errors import InputError, brief
from nas.tasks.segmentation import NOT_JUDGED

LEAST = (4, 2, 1)
"""Images of a class, by how many parts came with the data: so that each other part can have one."""
FEW = 4
"""Images a label, on average, below which labels are hardly classes."""


@dataclass(frozen=True, eq=False)
class Data:
    """Examples with labels and their split; `train`, `validation` and `test` are sorted indices.

    | kind | `images` | `labels` | `classes` |
    |---|---|---|---|
    | pictures with classes | uint8 (N, C, H, W) | int64 (N,) from 0 | their names |
    | pictures without | uint8 (N, C, H, W) | int64 (N,) of zeros | none |
    | pictures with masks | uint8 (N, C, H, W) | uint8 (N, H, W) from 0; 255: not judged | their names |
    | a text | uint8 (N, T), symbols from 0 | uint8 (N, T), the next symbols | the symbols |
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
    preprocessing: Preprocessing | None
    """How the images were made of pictures, and how others are made that a network is to see; None of
    a text, of which `classes` are the symbols."""
    given: tuple[str, ...] = ()
    """The parts beside the training part that came with the data; others were split off it."""
    found: str = ""
    """The sizes of the pictures as they were found, in words, where they were files."""
    source: str = ""
    """What names the data everywhere on this machine: a set's name, or an absolute path."""

    @property
    def shape(self) -> Shape:
        """(C, H, W) of pictures, (T,) of a text."""
        return tuple(self.images.shape[1:])

    @property
    def kind(self) -> Literal["pictures", "text"]:
        return "text" if self.images.ndim == 2 else "pictures"

    @property
    def labelled(self) -> Literal["classes", "masks", "symbols", ""]:
        """What an example is labelled with, in the words of `Task.labels`; nothing where it is not."""
        if self.kind == "text":
            return "symbols"
        if not self.classes:
            return ""
        return "masks" if self.labels.ndim == 3 else "classes"

    def part(self, name: str) -> np.ndarray:
        """Indices of `train`, `validation` or `test`."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def guessing(self, part: str) -> float:
        """Accuracy on a part of always saying the class that is most frequent in training; of data
        with classes (`nas.data.fitting.guessing` is for all)."""
        most = np.bincount(self.labels[self.train]).argmax()
        return float(np.mean(self.labels[self.part(part)] == most))


@dataclass(frozen=True)
class Raw:
    """What a source delivers, in arrays as those of `Data`; parts that it does not have are split off
    the first. Without `classes`, labels are zeros and mean nothing."""

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    test_images: np.ndarray | None = None
    test_labels: np.ndarray | None = None
    validation_images: np.ndarray | None = None
    validation_labels: np.ndarray | None = None
    preprocessing: Preprocessing | None = None
    """None where the images are as they were found."""
    found: str = ""
    """The sizes of pictures that were found, in words."""


def make_data(name: str, raw: Raw, split_seed: int = 0, source: str = "") -> Data:
    """Checks and splits raw arrays.

    Parts that come with the data are used as they are. Without a test part, a quarter of the images
    tests; without a validation part, a quarter validates, or 1/6 where the test part was given (small
    sets need large parts to tell patterns apart).

    Raises:
        InputError: wrong shapes or types, masks of another size, labels that are no classes, fewer
            than two classes, too few images, or too few of a class.
    """
    images, labels = _checked(name, raw.images, raw.labels)
    count = len(images)
    parts: dict[str, np.ndarray] = {}
    for part, own, own_labels in (
        ("validation", raw.validation_images, raw.validation_labels),
        ("test", raw.test_images, raw.test_labels),
    ):
        if own is None or own_labels is None:
            continue
        more, more_labels = _checked(name, own, own_labels)
        if more.shape[1:] != images.shape[1:]:
            raise InputError(
                f"{name}: {part} images are {more.shape[1:]}, the others {images.shape[1:]}"
            )
        parts[part] = np.arange(len(images), len(images) + len(more))
        images, labels = np.concatenate([images, more]), np.concatenate([labels, more_labels])
    judged = labels[labels != NOT_JUDGED] if labels.ndim == 3 else labels
    if judged.size and (judged.min() < 0 or judged.max() >= max(1, len(raw.classes))):
        raise InputError(
            f"{name}: labels from {judged.min()} to {judged.max()}, but {len(raw.classes)} classes"
        )
    if labels.ndim == 1 and raw.classes:
        check_classes(name, labels[:count], raw.classes, LEAST[len(parts)])
    else:
        _check_values(name, images[:count], labels[:count], raw.classes, LEAST[len(parts)])
    rest, came = np.arange(count), tuple(parts)
    if "test" not in parts:
        rest, parts["test"] = _split(name, rest, labels, count // 4, split_seed)
    if "validation" not in parts:
        fewer = 6 if came else 4
        held = max(1, count // fewer)
        rest, parts["validation"] = _split(name, rest, labels, held, split_seed)
    digest = hashlib.blake2b(digest_size=8)
    for array in (images, labels, rest, parts["validation"], parts["test"]):
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return Data(
        name, images, labels, raw.classes, rest, parts["validation"], parts["test"], split_seed,
        digest.hexdigest(), raw.preprocessing or _as_found(images), came, raw.found, source,
    )  # fmt: skip


def subset(indices: np.ndarray, labels: np.ndarray, count: int | None, seed: int) -> np.ndarray:
    """A choice of `count` indices, sorted; all of them where count is None or more. It is stratified
    where each example has one label."""
    if count is None or count >= len(indices):
        return indices
    from sklearn.model_selection import train_test_split

    try:
        kept, _ = train_test_split(
            indices, train_size=count, stratify=_strata(labels, indices), random_state=seed
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
            indices, test_size=count, stratify=_strata(labels, indices), random_state=seed
        )
    except ValueError as error:
        raise InputError(
            f"{name}: {len(indices)} images cannot be split by class: {error}"
        ) from None
    return np.sort(first), np.sort(second)


def _strata(labels: np.ndarray, indices: np.ndarray) -> np.ndarray | None:
    return labels[indices] if labels.ndim == 1 else None


def _as_found(images: np.ndarray) -> Preprocessing | None:
    return Preprocessing(*images.shape[1:]) if images.ndim == 4 else None


def label_counts(labels: np.ndarray) -> np.ndarray:
    """How often each value occurs in labels of bytes (N, …), (256,), without a larger copy of them."""
    return sum((np.bincount(one.ravel(), minlength=256) for one in labels), np.zeros(256, int))


def _checked(name: str, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if images.dtype != np.uint8:
        raise InputError(f"{name}: images are {images.dtype}; uint8 (0 to 255) is needed")
    text = images.ndim == 2 and labels.shape == images.shape
    if not (text or images.ndim == 4) or 0 in images.shape:
        raise InputError(f"{name}: images have shape {images.shape}; (N, C, H, W) is needed")
    if labels.shape == (len(images),):
        return np.ascontiguousarray(images), labels.astype(np.int64)
    if labels.ndim == 3 and labels.shape[1:] != images.shape[2:]:
        raise InputError(
            f"{name}: masks of shape {labels.shape[1:]} for images of {images.shape[2:]}; "
            "every pixel needs its class"
        )
    if len(labels) != len(images) or not (text or labels.ndim == 3):
        raise InputError(f"{name}: {len(images)} images, but labels of shape {labels.shape}")
    if labels.dtype.kind not in "bui" or labels.min() < 0 or labels.max() > NOT_JUDGED:
        raise InputError(
            f"{name}: labels of {labels.dtype} from {labels.min()} to {labels.max()}; whole numbers "
            f"from 0 to {NOT_JUDGED} are needed"
        )
    return np.ascontiguousarray(images), labels.astype(np.uint8)


def check_classes(name: str, labels: np.ndarray, classes: Sequence[str], least: int) -> None:
    """Raises InputError unless these are labels of two classes or more, with `least` images for each."""
    values, counts = np.unique(labels, return_counts=True)
    if len(values) < 2:
        raise InputError(f"{name}: data with {len(values)} class; at least 2 are needed")
    if len(values) > len(labels) / FEW:
        shown = ", ".join(classes[value] for value in values[:3])
        raise InputError(
            f"{name}: {len(values)} different labels ({brief(shown)}, …) for {len(labels)} images: "
            "these look like quantities, not classes, and classes are what this program learns"
        )
    for value, number in zip(values, counts, strict=True):
        if number < least:
            raise InputError(
                f"{name}: class {brief(classes[value])} has {number} of {len(labels)} images; at "
                f"least {least} of each class are needed, for training, validation and test"
            )


def _check_values(
    name: str, images: np.ndarray, labels: np.ndarray, classes: Sequence[str], least: int
) -> None:
    """Raises InputError unless these are enough sequences of a text's symbols, pictures with masks
    of two classes or more, or pictures without classes."""
    if images.ndim == 2 and images.max() >= len(classes):
        raise InputError(f"{name}: symbols up to {images.max()}, but {len(classes)} of them")
    if len(images) < least:
        raise InputError(
            f"{name}: {len(images)} examples; at least {least} are needed, for training, validation "
            "and test"
        )
    if not classes:
        return
    there = label_counts(labels)[: len(classes)]
    if np.count_nonzero(there) < 2:
        raise InputError(
            f"{name}: data with {np.count_nonzero(there)} class; at least 2 are needed"
        )

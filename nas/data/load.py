"""Image sets as arrays of bytes, with a stratified split that is fixed by a seed."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.architecture.parts import Shape
from nas.data.folder import read_folder
from nas.data.npz import names, read_npz
from nas.errors import InputError, brief, unknown

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
IDX_BYTES = 64 << 20
"""Of the longest IDX file that is read; Fashion-MNIST's longest has 47 million."""
NPZ = (
    ("images", "labels", "test_images", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),
)
"""Names of arrays in an `.npz` file."""


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


def load_data(
    name: str, data_dir: str | Path | None = None, split_seed: int = 0, side: int | None = None
) -> Data:
    """A named set, a folder with one folder of images per class, or an `.npz` file.

    Args:
        name: a name in SOURCES, or a path.
        data_dir: where sets lie or are downloaded to; `~/.cache/skipnas` by default.
        split_seed: fixes the stratified split.
        side: side in pixels of a folder's pictures where these differ in size.

    Raises:
        InputError: unknown, unreadable or unusable data; the message says what to do.
    """
    where = _expanded(data_dir or Path.home() / ".cache" / "skipnas")
    path = _expanded(name)
    if name in SOURCES:
        raw = SOURCES[name](where)
    elif path.suffix == ".npz":
        raw = _npz(path)
    elif os.path.isdir(path):
        raw = Raw(*read_folder(path, side))
    else:
        raise unknown("data", name, SOURCES, place="--data (or a folder, or an .npz file)")
    return make_data(name if name in SOURCES else path.resolve().name, raw, split_seed)


def _expanded(path: str | Path) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # there is no such user
        raise InputError(f"{path}: {error}") from None


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


def _digits(where: Path) -> Raw:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return Raw(images[:, None], digits.target, tuple("0123456789"))


def _fashion_mnist(where: Path) -> Raw:
    folders = (where, where / "FashionMNIST" / "raw", DEBIAN_FASHION_MNIST)
    found = next((f for f in folders if list(f.glob("train-images-idx3-ubyte*"))), None)
    if found is None:
        from torchvision.datasets import FashionMNIST

        _download(FashionMNIST, where, "fashion-mnist", "apt install dataset-fashion-mnist")
        found = where / "FashionMNIST" / "raw"
    parts = [
        _idx(found, f"{part}-{kind}-ubyte")
        for part in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    ]
    names = "T-shirt,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"
    return Raw(parts[0][:, None], parts[1], tuple(names.split(",")), parts[2][:, None], parts[3])


def _idx(folder: Path, stem: str) -> np.ndarray:
    """An array in IDX format, compressed or not."""
    path = folder / f"{stem}.gz"
    path = path if path.exists() else folder / stem
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(IDX_BYTES + 1)
        if len(content) > IDX_BYTES:
            raise ValueError(f"it is longer than {IDX_BYTES:,} bytes")
        dims = content[3]
        shape = np.frombuffer(content, ">i4", dims, 4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * dims).reshape(shape).copy()
    except (OSError, EOFError, IndexError, ValueError, zlib.error) as error:
        raise InputError(f"{path}: not a readable IDX file ({error})") from None


def _cifar(where: Path, classes: int) -> Raw:
    from torchvision.datasets import CIFAR10, CIFAR100

    kind = CIFAR10 if classes == 10 else CIFAR100
    try:
        train = kind(where, train=True)
    except RuntimeError:
        _download(kind, where, f"cifar{classes}", "")
        train = kind(where, train=True)
    test = kind(where, train=False)
    arrays = [np.transpose(part.data, (0, 3, 1, 2)) for part in (train, test)]
    labels = [np.array(part.targets) for part in (train, test)]
    return Raw(arrays[0], labels[0], tuple(train.classes), arrays[1], labels[1])


def _download(kind: Callable, where: Path, name: str, package: str) -> None:
    try:
        kind(where, download=True)
    except (OSError, RuntimeError) as error:
        debian = f", or `{package}`" if package else ""
        raise InputError(
            f"{name}: not found in {where}, and it could not be downloaded ({error}); put "
            f"torchvision's files there (or name their folder with --data-dir){debian}, "
            "or use --data digits, which needs no network"
        ) from None


def _npz(path: Path) -> Raw:
    """`images` and `labels`, or `x_train`, `y_train`, `x_test`, `y_test`; N first, channels 1 or 3."""
    arrays = read_npz(path, NPZ, 2)
    if arrays is None:
        raise InputError(f"{path}: has {brief(names(path))}; images and labels are needed")
    images, labels, test_images, test_labels = (
        next((arrays[name] for name in same if name in arrays), None)
        for same in zip(*NPZ, strict=True)
    )
    assert images is not None
    assert labels is not None
    if (test_images is None) != (test_labels is None):
        raise InputError(f"{path}: test images and test labels come together or not at all")
    values, labels = np.unique(labels.reshape(-1), return_inverse=True)
    if test_images is not None and test_labels is not None:
        strange = np.setdiff1d(test_labels, values)
        if len(strange):
            raise InputError(f"{path}: test labels {strange[:5]} are not among the training labels")
        test_labels = np.searchsorted(values, test_labels.reshape(-1))
        test_images = _channels_first(test_images)
    return Raw(_channels_first(images), labels, tuple(map(str, values)), test_images, test_labels)


def _channels_first(images: np.ndarray) -> np.ndarray:
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[3] in (1, 3) and images.shape[1] not in (1, 3):
        return np.transpose(images, (0, 3, 1, 2))
    return images


SOURCES: dict[str, Callable[[Path], Raw]] = {
    "digits": _digits,
    "fashion-mnist": _fashion_mnist,
    "cifar10": lambda where: _cifar(where, 10),
    "cifar100": lambda where: _cifar(where, 100),
}

"""The named sets of images: digits, Fashion-MNIST, CIFAR."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nas.data.dataset import Raw
from nas.errors import InputError

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
IDX_BYTES = 64 << 20
"""Of the longest IDX file that is read; Fashion-MNIST's longest has 47 million."""


def load_digits(where: Path) -> Raw:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return Raw(images[:, None], digits.target, tuple("0123456789"))


def load_fashion_mnist(where: Path) -> Raw:
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


def load_cifar(where: Path, classes: int) -> Raw:
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

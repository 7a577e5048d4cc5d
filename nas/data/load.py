"""Image sets as arrays of bytes, with a stratified split that is fixed by a seed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nas.data.dataset import Data, Raw, make_data
from nas.data.folder import read_folder
from nas.data.images import load_cifar, load_digits, load_fashion_mnist
from nas.data.npz import load_npz
from nas.errors import InputError, called, refuse, unknown


def load_data(
    name: str, data_dir: str | Path | None = None, split_seed: int = 0, side: int | None = None
) -> Data:
    """A named set, a folder of pictures by class (split into train, val and test or not), an `.npz` file.

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
        raw = _from_source(name, where)
    elif path.suffix == ".npz":
        raw = load_npz(path)
    elif os.path.isdir(path):
        raw = read_folder(path, side)
    elif os.sep in name:
        raise InputError(f"--data {name}: there is no such folder or .npz file")
    else:
        raise unknown("data", name, SOURCES, place="--data (or a folder, or an .npz file)")
    whole = path.resolve()
    named = (name, name) if name in SOURCES else (whole.name, str(whole))
    return make_data(named[0], raw, split_seed, named[1])


def _from_source(name: str, where: Path) -> Raw:
    """What a source delivers, which may be a user's own.

    Raises:
        InputError: it delivers something else than arrays.
    """
    what, source = f"data {name!r}", SOURCES[name]
    raw = called(what, source, where)
    if not isinstance(raw, Raw):
        refuse(what, source, raw, "a Raw of images, labels and classes")
    for part in (
        "images",
        "labels",
        *(f"{p}_{a}" for p in ("test", "validation") for a in ("images", "labels")),
    ):
        array = getattr(raw, part)
        if not isinstance(array, np.ndarray) and not ("_" in part and array is None):
            refuse(what, source, {part: array}, "a numpy array")
    return raw


def _expanded(path: str | Path) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # there is no such user
        raise InputError(f"{path}: {error}") from None


SOURCES: dict[str, Callable[[Path], Raw]] = {
    "digits": load_digits,
    "fashion-mnist": load_fashion_mnist,
    "cifar10": lambda where: load_cifar(where, 10),
    "cifar100": lambda where: load_cifar(where, 100),
}

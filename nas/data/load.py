"""Data by name or path, as arrays of bytes in three parts that a seed fixes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nas.data.canvases import load_digits_canvas, load_fashion_canvas
from nas.data.dataset import Data, Raw, make_data
from nas.data.folder import has_pictures, read_folder
from nas.data.images import load_cifar, load_digits, load_fashion_mnist
from nas.data.masks import has_masks, read_masks
from nas.data.npz import load_npz
from nas.data.text import cut, load_shakespeare, read_texts, texts_of
from nas.errors import InputError, called, refuse, unknown
from nas.tasks.task import Task


def load_data(
    name: str, data_dir: str | Path | None = None, split_seed: int = 0, side: int | None = None,
    task: Task | None = None,
) -> Data:  # fmt: skip
    """A named set, a folder of pictures by class, with masks or without either (split into train, val
    and test or not), an `.npz` file, a text in a `.txt` file or in a folder of them.

    Args:
        name: a name in SOURCES, or a path.
        data_dir: where sets lie or are downloaded to; `~/.cache/skipnas` by default.
        split_seed: fixes the split, stratified where examples have classes; it does not change a text's.
        side: side in pixels of a folder's pictures where these differ in size, or symbols of a text's
            sequences.
        task: what is learned. Where that needs no labels, the pictures of a folder whose folders cannot
            be classes are without classes; else that is an error, unless there are not two folders.

    Raises:
        InputError: unknown, unreadable or unusable data; the message says what to do.
    """
    where = _expanded(data_dir or Path.home() / ".cache" / "skipnas")
    path = _expanded(name)
    if name in SOURCES:
        raw = _from_source(name, where, side)
    elif path.suffix == ".npz":
        raw = load_npz(path)
    elif path.suffix == ".txt":
        raw = cut(name, read_texts(path, [path]), side)
    elif (texts := texts_of(path)) and not has_pictures(path):
        raw = cut(name, read_texts(path, texts), side)
    elif os.path.isdir(path):
        needed = task is None or bool(task.labels)
        raw = read_masks(path, side) if has_masks(path) else read_folder(path, side, needed)
    elif os.sep in name:
        raise InputError(f"--data {name}: there is no such folder, .npz or .txt file")
    else:
        raise unknown("data", name, SOURCES, place="--data (or a folder, an .npz or a .txt file)")
    whole = path.resolve()
    named = (name, name) if name in SOURCES else (whole.name, str(whole))
    return make_data(named[0], raw, split_seed, named[1])


def _from_source(name: str, where: Path, side: int | None) -> Raw:
    """What a source delivers, which may be a user's own.

    Raises:
        InputError: it delivers something else than arrays or a text.
    """
    what, source = f"data {name!r}", SOURCES[name]
    raw = called(what, source, where)
    if isinstance(raw, str):
        return cut(name, raw, side)
    if not isinstance(raw, Raw):
        refuse(what, source, raw, "a Raw of images, labels and classes, or a text (str)")
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


SOURCES: dict[str, Callable[[Path], Raw | str]] = {
    "digits": load_digits,
    "fashion-mnist": load_fashion_mnist,
    "cifar10": lambda where: load_cifar(where, 10),
    "cifar100": lambda where: load_cifar(where, 100),
    "digits-canvas": load_digits_canvas,
    "fashion-canvas": load_fashion_canvas,
    "shakespeare": load_shakespeare,
}

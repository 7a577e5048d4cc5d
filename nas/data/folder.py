"""Folders of pictures, one for each class: found, measured by their headers, then decoded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from nas.data.dataset import Raw
from nas.data.preprocessing import MODES, Preprocessing, check_pixels, opened
from nas.errors import InputError, brief
from nas.files.limits import check_bytes

ENDINGS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
MAX_PICTURES = 10_000_000
SIDE = 32
"""Of the squares that pictures of different sizes become, where none is asked for."""
PARTS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""Names of the folders of a set that is split already, in small letters."""
MASKS = ("annotations", "labels", "mask", "masks", "segmentation", "segmentations")
"""Names of folders that hold answers and not a class, where files of another have their names."""


def read_folder(path: Path, side: int | None) -> Raw:
    """The pictures of `PATH/<class>`, or of `PATH/train/<class>` with `PATH/val` and `PATH/test`.

    Pictures of different sizes are cut to a square and scaled.

    Args:
        side: of that square in pixels; 32 by default.

    Raises:
        InputError: no pictures, one that cannot be read or is too large, too many of them, or
            folders that are neither classes nor parts.
    """
    try:
        parts = find_parts(path)
        classes = folders(parts["train"])
        if not classes:
            raise InputError(f"{parts['train']}: there is no folder for a class in it")
        found = {part: _by_class(folder, classes) for part, folder in parts.items()}
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    _check_masks(path, found["train"])
    files = [file for by in found.values() for some in by.values() for file in some]
    prepare, sizes = measured(path, files, side)
    made = {part: _decoded(by, classes, prepare) for part, by in found.items()}
    images, labels = made["train"]
    test_images, test_labels = made.get("test", (None, None))
    validation_images, validation_labels = made.get("validation", (None, None))
    return Raw(
        images, labels, tuple(classes), test_images, test_labels, validation_images,
        validation_labels, prepare, sizes,
    )  # fmt: skip


def folders(path: Path) -> list[str]:
    """Names of the folders in one, without hidden ones and what archives of macOS leave."""
    names = [entry.name for entry in os.scandir(path) if entry.is_dir()]
    return sorted(name for name in names if not name.startswith((".", "__MACOSX")))


def find_parts(path: Path) -> dict[str, Path]:
    """The folders of the parts by name; the folder itself is `train` where it is not split.

    Raises:
        InputError: it is split in a way that cannot be told.
    """
    by_name = {name: part for part, names in PARTS.items() for name in names}
    names = folders(path)
    found = {name: by_name.get(name.lower()) for name in names}
    split = {name: part for name, part in found.items() if part and folders(path / name)}
    whole = bool(names) and all(found.values())
    if "train" not in split.values():
        if not whole:
            return {"train": path}
        missing = "train" not in found.values()
        what = "there is no train among them" if missing else "train has no folder for a class"
        raise InputError(f"{path}: its folders are {', '.join(names)}, and {what}")
    others = [name for name in names if name not in split]
    if others:
        raise InputError(
            f"{path}: train has folders for classes, but {', '.join(others)} beside it "
            "is none of train, val and test with such folders"
        )
    if len(set(split.values())) < len(split):
        raise InputError(f"{path}: {', '.join(names)}: two of them are the same part")
    order = sorted(split, key=lambda name: list(PARTS).index(split[name]))
    return {split[name]: path / name for name in order}


def _by_class(folder: Path, classes: Sequence[str]) -> dict[str, list[str]]:
    """The pictures of a part by class.

    Raises:
        InputError: a class without pictures, or one that the training part does not have.
    """
    there = folders(folder)
    strange = [name for name in there if name not in classes]
    if strange:
        raise InputError(
            f"{folder}: class {brief(strange[0])} is not among those of the training part: "
            f"{brief(', '.join(classes))}"
        )
    found = {name: _pictures(folder / name) for name in there}
    for name, files in found.items():
        if not files:
            raise InputError(
                f"{folder}: no pictures in its folder {name}; they end in {', '.join(ENDINGS)}"
            )
    return found


def _check_masks(path: Path, found: dict[str, list[str]]) -> None:
    """Raises InputError for pictures with masks, of which each would be taken for a class."""
    stems = {name: {Path(file).stem for file in files} for name, files in found.items()}
    for name in found:
        if name.lower() not in MASKS:
            continue
        for other in found:
            if other != name and len(stems[name] & stems[other]) > len(stems[name]) / 2:
                raise InputError(
                    f"{path}: the files of {name} are named as those of {other}: pictures with their "
                    "masks have the folders images and masks, and nothing beside them; pictures with "
                    "classes have a folder for each"
                )


def _decoded(
    by: dict[str, list[str]], classes: Sequence[str], prepare: Preprocessing
) -> tuple[np.ndarray, np.ndarray]:
    images = decoded([file for some in by.values() for file in some], prepare)
    labels = np.repeat([classes.index(name) for name in by], [len(some) for some in by.values()])
    return images, labels


def decoded(files: Sequence[str], prepare: Preprocessing) -> np.ndarray:
    """The pictures, uint8 (N, C, H, W)."""
    images = np.empty((len(files), *prepare.shape), np.uint8)
    for index, file in enumerate(files):
        with opened(file) as image:
            array = np.asarray(prepare.applied(image.convert(MODES[prepare.channels])))
        images[index] = array[None] if prepare.channels == 1 else np.transpose(array, (2, 0, 1))
    return images


def measured(path: Path, files: Sequence[str], side: int | None) -> tuple[Preprocessing, str]:
    """What is done to these pictures of a folder, by their headers, and their sizes in words.

    Raises:
        InputError: one that cannot be read or is too large, or too many of them.
    """
    sizes, modes = _headers(files)
    channels = 1 if modes <= {"L", "1"} else 3
    square = len(sizes) > 1
    width, height = (side or SIDE,) * 2 if square else next(iter(sizes))
    check_bytes(f"{path}", len(files) * channels * height * width)
    return Preprocessing(channels, height, width, square), _told(sizes)


def _told(sizes: set[tuple[int, int]]) -> str:
    """The sizes of pictures in words."""
    least, most = (f"{w}×{h}" for w, h in (f(sizes, key=lambda s: s[0] * s[1]) for f in (min, max)))
    return least if len(sizes) == 1 else f"{len(sizes):,} sizes, from {least} to {most}"


def _pictures(folder: Path) -> list[str]:
    """All pictures below a folder, in the order in which torchvision's ImageFolder has them."""
    files: list[str] = []
    for root, names in sorted(_walk(folder)):
        files += (os.path.join(root, name) for name in sorted(names))
        if len(files) > MAX_PICTURES:
            raise InputError(f"{folder}: more than {MAX_PICTURES:,} pictures")
    return files


def _walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Every folder once, also where links lead in circles."""
    seen: set[str] = set()
    for root, inner, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:
            inner.clear()
            continue
        seen.add(real)
        yield root, [name for name in names if name.lower().endswith(ENDINGS)]


def _headers(files: Sequence[str]) -> tuple[set[tuple[int, int]], set[str]]:
    """Sizes (width, height) and Pillow's modes."""
    sizes, modes = set(), set()
    for file in files:
        with opened(file) as image:
            check_pixels(file, image.size)
            sizes.add(image.size)
            modes.add(image.mode)
    return sizes, modes

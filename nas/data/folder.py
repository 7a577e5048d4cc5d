"""Folders of pictures, by class or not: found, measured by their headers, then decoded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from nas.data.dataset import LEAST, Raw, check_classes
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
HIDDEN = (".", "__MACOSX")
"""How the names begin of what is hidden, and of what archives of macOS leave."""
NO_CLASS = ""
"""Of the pictures that have none."""


def read_folder(path: Path, side: int | None, needed: bool = True) -> Raw:
    """The pictures of `PATH/<class>`, or of `PATH/train/<class>` with `PATH/val` and `PATH/test`. Where
    fewer than two folders hold pictures, all pictures below `PATH`, or `PATH/train`, are without classes.

    Pictures of different sizes are cut to a square and scaled.

    Args:
        side: of that square in pixels; 32 by default.
        needed: whether several folders have to be classes. Else the pictures are without, where folders
            cannot be classes, or pictures lie beside them.

    Raises:
        InputError: no pictures, one that cannot be read or is too large, too many of them, or
            folders that are neither classes nor parts.
    """
    try:
        found = _found(path, needed)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    classes = [*found["train"]]
    files = [file for by in found.values() for some in by.values() for file in some]
    prepare, sizes = measured(path, files, side)
    made = {part: _decoded(by, classes, prepare) for part, by in found.items()}
    images, labels = made["train"]
    test_images, test_labels = made.get("test", (None, None))
    validation_images, validation_labels = made.get("validation", (None, None))
    return Raw(
        images, labels, tuple(filter(None, classes)), test_images, test_labels, validation_images,
        validation_labels, prepare, sizes,
    )  # fmt: skip


def _found(path: Path, needed: bool) -> dict[str, dict[str, list[str]]]:
    """The pictures by part and class; those without have NO_CLASS.

    Raises:
        InputError: there are none, or their classes or parts cannot be told.
    """
    parts = find_parts(path)
    train = parts["train"]
    classes = folders(train)
    holding = [name for name in classes if has_pictures(train / name)]
    beside = any(
        name.lower().endswith(ENDINGS) and not name.startswith(HIDDEN) for name in os.listdir(train)
    )
    if len(holding) > 1 and (needed or not beside):
        try:
            found = {part: _by_class(folder, classes) for part, folder in parts.items()}
            _check_masks(path, found["train"])
            if not needed:
                labels = np.repeat(
                    range(len(classes)), [len(some) for some in found["train"].values()]
                )
                check_classes(f"{path}", labels, classes, LEAST[len(parts) - 1])
            return found
        except InputError:
            if needed:
                raise
    _check_masks(path, {name: _pictures(train / name) for name in holding})
    return {part: {NO_CLASS: _without_class(folder)} for part, folder in parts.items()}


def _without_class(folder: Path) -> list[str]:
    """All pictures of a part, but for HIDDEN ones."""
    found = [
        file
        for file in _pictures(folder)
        if not any(p.startswith(HIDDEN) for p in Path(file).relative_to(folder).parts)
    ]
    if not found:
        raise InputError(f"{folder}: no pictures in it; they end in {', '.join(ENDINGS)}")
    return found


def folders(path: Path) -> list[str]:
    """Names of the folders in one, but for HIDDEN ones."""
    names = [entry.name for entry in os.scandir(path) if entry.is_dir()]
    return sorted(name for name in names if not name.startswith(HIDDEN))


def find_parts(path: Path) -> dict[str, Path]:
    """The folders of the parts by name; the folder itself is `train` where it is not split.

    Raises:
        InputError: it is split in a way that cannot be told.
    """
    by_name = {name: part for part, names in PARTS.items() for name in names}
    names = folders(path)
    found = {name: by_name.get(name.lower()) for name in names}
    whole = bool(names) and all(found.values())
    split = {name: part for name, part in found.items() if part and (whole or folders(path / name))}
    if "train" not in split.values():
        if not whole:
            return {"train": path}
        raise InputError(
            f"{path}: its folders are {', '.join(names)}, and there is no train among them"
        )
    others = [name for name in names if name not in split]
    if others:
        raise InputError(
            f"{path}: train has folders in it, but {', '.join(others)} beside it "
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
    if not there:
        raise InputError(f"{folder}: there is no folder for a class in it")
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


def has_pictures(folder: Path) -> bool:
    """Whether any lies below a folder."""
    return any(names for _, names in _walk(folder))


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

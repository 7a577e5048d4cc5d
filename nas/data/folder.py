"""Folders of pictures, one for each class: found, measured by their headers, then decoded."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from nas.errors import InputError
from nas.files.limits import check_bytes

FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""By content. Pillow reads others too, one of them (EPS) by running a program."""
ENDINGS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
MAX_PIXELS = 1 << 26
"""Of one picture: 8,192×8,192."""
MAX_PICTURES = 10_000_000


def read_folder(path: Path, side: int | None) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Images (N, C, H, W), labels (N,) and the names of the classes.

    Pictures of different sizes are resized and cut to a square.

    Args:
        side: of that square in pixels; 32 by default.

    Raises:
        InputError: no pictures, one that cannot be read or is too large, or too many of them.
    """
    try:
        classes = sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
        if not classes:
            raise InputError(f"{path}: there is no folder for a class in it")
        found = [_pictures(path / name) for name in classes]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    for name, files in zip(classes, found, strict=True):
        if not files:
            raise InputError(
                f"{path}: no pictures in its folder {name}; they end in {', '.join(ENDINGS)}"
            )
    files = [file for some in found for file in some]
    sizes, modes = _headers(files)
    square = None if len(sizes) == 1 else (side or 32)
    mode = "L" if modes <= {"L", "1"} else "RGB"
    height, width = (square, square) if square else next(iter(sizes))[::-1]
    channels = 1 if mode == "L" else 3
    check_bytes(f"{path}", len(files) * channels * height * width)
    images = np.empty((len(files), channels, height, width), np.uint8)
    for index, file in enumerate(files):
        images[index] = _picture(file, mode, square)
    labels = np.repeat(np.arange(len(classes)), [len(some) for some in found])
    return images, labels, tuple(classes)


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


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Pillow's warnings: of large pictures, whose limit here is stricter, and of damage."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _headers(files: Sequence[str]) -> tuple[set[tuple[int, int]], set[str]]:
    from PIL import Image

    sizes, modes = set(), set()
    for file in files:
        if not os.path.isfile(file):  # a pipe would be waited for
            raise InputError(f"{file}: not a readable image (not a file)")
        try:
            with _quiet(), Image.open(file, formats=FORMATS) as image:
                size, mode = image.size, image.mode
        except Exception as error:  # decoders raise classes of many kinds
            raise InputError(f"{file}: not a readable image ({error})") from None
        if size[0] * size[1] > MAX_PIXELS:
            raise InputError(
                f"{file}: a picture of {size[0]}×{size[1]} pixels; at most {MAX_PIXELS:,} are read"
            )
        sizes.add(size)
        modes.add(mode)
    return sizes, modes


def _picture(file: str, mode: str, side: int | None) -> np.ndarray:
    """(C, H, W)."""
    from PIL import Image, ImageOps

    try:
        with _quiet(), Image.open(file, formats=FORMATS) as opened:
            image = opened.convert(mode)
    except Exception as error:
        raise InputError(f"{file}: not a readable image ({error})") from None
    if side:
        image = ImageOps.fit(image, (side, side))
    array = np.asarray(image)
    return array[None] if mode == "L" else np.transpose(array, (2, 0, 1))

"""What is done to a picture before a network gets it, the same in a search and when it is used."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from nas.architecture.parts import Shape
from nas.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

Picture: TypeAlias = "str | os.PathLike[str] | Image | np.ndarray"
"""A file, a picture of Pillow's, or an array of bytes (H, W), (H, W, C) or (C, H, W)."""
FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""By content. Pillow reads others too, one of them (EPS) by running a program."""
MAX_PIXELS = 1 << 26
"""Of one picture: 8,192×8,192."""
MODES = {1: "L", 3: "RGB"}
"""Pillow's name of what a picture is converted to, by its number of channels."""


@dataclass(frozen=True)
class Preprocessing:
    """How pictures become arrays of bytes (C, H, W)."""

    channels: int
    height: int
    width: int
    square: bool = False
    """Whether pictures of any size are cut to a square about their centre, and that is scaled."""

    @property
    def shape(self) -> Shape:
        """(C, H, W)."""
        return self.channels, self.height, self.width

    @property
    def words(self) -> str:
        """Two sentences: the colours, and the size."""
        colours = {1: "grey", 3: "RGB"}.get(self.channels, f"{self.channels} channels")
        size = f"{self.width}×{self.height}"
        if self.square:
            return (
                f"Every picture is converted to {colours}, cut to a square about its centre, and "
                f"scaled to {size} pixels."
            )
        return f"Pictures are {colours} and have {size} pixels, which are used as they are."

    def __call__(self, picture: Picture) -> np.ndarray:
        """Bytes (C, H, W) of one picture.

        Args:
            picture: a file, a picture of Pillow's, or an array of bytes (H, W), (H, W, C) or
                (C, H, W).

        Raises:
            InputError: it cannot be read, or has another size where none is scaled.
        """
        if isinstance(picture, np.ndarray):
            image, name = self._image(picture), "the array"
        elif isinstance(picture, str | os.PathLike):
            image, name = self._opened(Path(picture)), str(picture)
        elif hasattr(picture, "convert") and hasattr(picture, "size"):
            image, name = picture, "the picture"
        else:
            raise InputError(
                f"a picture is a file, a PIL image or an array of bytes, not {type(picture).__name__}"
            )
        if self.channels not in MODES:
            raise InputError(f"pictures of {self.channels} channels cannot be made from {name}")
        array = np.asarray(self.applied(image.convert(MODES[self.channels])))
        if array.shape[:2] != (self.height, self.width):
            raise InputError(
                f"{name} has {array.shape[1]}×{array.shape[0]} pixels; the network was trained on "
                f"pictures of {self.width}×{self.height}, which were not resized: resize it as those were"
            )
        return array[None] if self.channels == 1 else np.transpose(array, (2, 0, 1))

    def applied(self, image: Image, nearest: bool = False) -> Image:
        """A picture in the right colours, in its size; a mask, by the `nearest` pixel."""
        if not self.square:
            return image
        from PIL import Image, ImageOps

        way = Image.Resampling.NEAREST if nearest else Image.Resampling.BICUBIC
        return ImageOps.fit(image, (self.width, self.height), way)

    @staticmethod
    def _image(array: np.ndarray) -> Image:
        from PIL import Image

        if array.dtype != np.uint8:
            raise InputError(
                f"the array holds {array.dtype}; bytes from 0 to 255 (uint8) are needed"
            )
        if array.ndim == 3 and array.shape[0] in MODES and array.shape[2] not in (*MODES, 4):
            array = np.transpose(array, (1, 2, 0))
        if array.ndim == 3 and array.shape[2] == 1:
            array = array[:, :, 0]
        if (
            not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4)))
            or not array.size
        ):
            raise InputError(
                f"the array has shape {array.shape}; (H, W), (H, W, C) or (C, H, W) with 1 or 3 "
                "channels is needed"
            )
        return Image.fromarray(np.ascontiguousarray(array))

    @staticmethod
    def _opened(path: Path) -> Image:
        with opened(str(path)) as image:
            check_pixels(str(path), image.size)
            image.load()
            return image


@contextmanager
def opened(file: str) -> Iterator[Image]:
    """A picture's file, of which only the header has been read.

    Raises:
        InputError: it is no file, or no picture; also for what Pillow raises within.
    """
    from PIL import Image

    if not os.path.isfile(file):  # a pipe would be waited for
        raise InputError(f"{file}: not a readable image (not a file)")
    try:
        with _quiet(), Image.open(file, formats=FORMATS) as image:
            yield image
    except InputError:
        raise
    except Exception as error:  # decoders raise classes of many kinds
        raise InputError(f"{file}: not a readable image ({error})") from None


def check_pixels(file: str, size: tuple[int, int]) -> None:
    """Raises InputError for a picture that is too large."""
    if size[0] * size[1] > MAX_PIXELS:
        raise InputError(
            f"{file}: a picture of {size[0]}×{size[1]} pixels; at most {MAX_PIXELS:,} are read"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Pillow's warnings: of large pictures, whose limit here is stricter, and of damage."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

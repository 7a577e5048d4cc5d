"""Arrays of an `.npz` file, of which the headers are checked before anything is decompressed.

Nothing is unpickled: arrays of Python objects are refused by their header.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import numpy as np

from nas.data.dataset import Raw
from nas.errors import InputError, brief
from nas.files.limits import check_bytes

KINDS = "buifSU"
"""Of the types that are read: truth values, numbers, text."""
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npz(
    path: Path, choices: Sequence[Sequence[str]], needed: int
) -> dict[str, np.ndarray] | None:
    """The arrays of the first choice of which the first `needed` names are there.

    Args:
        choices: names that belong together.

    Returns:
        By name; None where no choice is there.

    Raises:
        InputError: it cannot be read, is not what it says, or does not fit into memory.
    """
    if not path.is_file():
        raise InputError(f"{path}: not a readable .npz file (there is no such file)")
    try:
        with ZipFile(path) as archive:
            files = {file.filename.removesuffix(".npy"): file for file in archive.infolist()}
            chosen = next((c for c in choices if files.keys() >= set(c[:needed])), None)
            if chosen is None:
                return None
            there = [name for name in chosen if name in files]
            check_bytes("its arrays", sum(_bytes(archive, name, files[name]) for name in there))
            return {name: _array(archive, files[name]) for name in there}
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:  # zipfile, zlib and NumPy raise classes of many kinds
        raise InputError(f"{path}: not a readable .npz file ({error})") from None


def names(path: Path) -> list[str]:
    """Names of all arrays of a file that `read_npz` could read."""
    with ZipFile(path) as archive:
        return sorted(name.removesuffix(".npy") for name in archive.namelist())


def _bytes(archive: ZipFile, name: str, file: ZipInfo) -> int:
    """Bytes of an array, from its header.

    Raises:
        InputError: it is of a type that is not read, or the file has another number of bytes.
    """
    with archive.open(file) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in HEADERS:
            raise InputError(f"{brief(name)} has a header of version {version}, which is not read")
        shape, _, dtype = HEADERS[version](stream)
        held = file.file_size - stream.tell()
    if dtype.kind not in KINDS:
        what = "pickled Python objects" if dtype.hasobject else f"values of type {dtype}"
        raise InputError(f"{brief(name)} holds {what}, which are not read; numbers are needed")
    wanted = prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or wanted != held:
        raise InputError(
            f"{brief(name)} says {brief(shape)} of {dtype}, which are {wanted} bytes, but has {held}"
        )
    return wanted


def _array(archive: ZipFile, file: ZipInfo) -> np.ndarray:
    with archive.open(file) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


NPZ = (
    ("images", "labels", "test_images", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),
)
"""Names of arrays in an `.npz` file."""


def load_npz(path: Path) -> Raw:
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

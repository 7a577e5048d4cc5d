"""Arrays of an `.npz` file, of which the headers are checked before anything is decompressed.

Nothing is unpickled: arrays of Python objects are refused by their header.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import numpy as np

from nas.devices.machine import check_bytes
from nas.errors import InputError, brief

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

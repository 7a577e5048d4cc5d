"""Arrays of an `.npz` file, of which the headers are checked before anything is decompressed.

Nothing is unpickled: arrays of Python objects are refused by their header.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import numpy as np

from nas.data.dataset import Raw
from nas.data.masks import numbered
from nas.errors import InputError, brief
from nas.files.limits import check_bytes
from nas.tasks.segmentation import NOT_JUDGED

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
    ("images", "labels", "test_images", "test_labels", "validation_images", "validation_labels"),
    ("x_train", "y_train", "x_test", "y_test", "x_val", "y_val"),
)
"""Names of arrays in an `.npz` file; the first two have to be there."""


def load_npz(path: Path) -> Raw:
    """`images` and `labels`, or `x_train` and `y_train`; N first, channels 1 or 3.

    Labels are one for each image, or masks (N, H, W), of which 255 is a pixel that is not judged.
    `test_images`, `validation_images` (`x_test`, `x_val`) and their labels may be there too.

    Raises:
        InputError: the file cannot be read, or its labels are neither classes nor masks.
    """
    arrays = read_npz(path, NPZ, 2)
    if arrays is None:
        raise InputError(f"{path}: has {brief(names(path))}; images and labels are needed")
    given = dict(zip(NPZ[0], _first(arrays), strict=True))
    labels: dict[str, np.ndarray] = {}
    for part, prefix in (("train", ""), ("test", "test_"), ("validation", "validation_")):
        images, own = given[f"{prefix}images"], given[f"{prefix}labels"]
        if (images is None) != (own is None):
            raise InputError(f"{path}: {part} images and {part} labels come together or not at all")
        if images is not None and own is not None:
            labels[part] = _checked(path, own, images)
            given[f"{prefix}images"] = _channels_first(images)
    masks = labels["train"].ndim == 3
    if any((some.ndim == 3) != masks for some in labels.values()):
        raise InputError(f"{path}: labels are masks in one part and classes in another")
    found, classes = (numbered if masks else _numbered)(f"{path}", labels)
    given |= {f"{part}_labels": found.get(part) for part in ("test", "validation")}
    return Raw(classes=classes, **(given | {"labels": found["train"]}))  # type: ignore[arg-type]


def _numbered(
    place: str, labels: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Labels by part, from 0 in the order of the training part's, and these as names."""
    values = np.unique(labels["train"])
    for part, found in labels.items():
        strange = np.setdiff1d(found, values)
        if len(strange):
            raise InputError(
                f"{place}: {part} labels {strange[:5]} are not among the training labels"
            )
    numbers = {part: np.searchsorted(values, found) for part, found in labels.items()}
    return numbers, tuple(map(str, values))


def _first(arrays: dict[str, np.ndarray]) -> Iterator[np.ndarray | None]:
    """The arrays by the order of names, under whichever names they have."""
    for same in zip(*NPZ, strict=True):
        yield next((arrays[name] for name in same if name in arrays), None)


def _checked(path: Path, labels: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Labels of classes, (N,), or masks, uint8 (N, H, W).

    Raises:
        InputError: they are images, quantities, or columns of one class each.
    """
    classes = (
        "classes are learnt: one whole number or name for each image is needed, or masks (N, H, W)"
    )
    if labels.ndim > 3 and labels.shape[0] == len(images):
        raise InputError(f"{path}: labels of shape {labels.shape} are images; {classes}")
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise InputError(
            f"{path}: labels of shape {labels.shape} have {labels.shape[1]} numbers an image; "
            f"{classes} (of one column for each class, labels.argmax(1))"
        )
    flat = labels if labels.ndim == 3 else labels.reshape(-1)
    if flat.dtype.kind == "f":
        broken = flat[flat != np.rint(flat)]  # nan is among them
        if len(broken):
            raise InputError(f"{path}: labels such as {broken[0]:.4g} are quantities; {classes}")
        flat = flat.astype(np.int64)
    if labels.ndim < 3:
        return flat
    if flat.dtype.kind not in "bui" or (flat.size and (flat.min() < 0 or flat.max() > NOT_JUDGED)):
        raise InputError(
            f"{path}: masks of {flat.dtype}; whole numbers from 0 to {NOT_JUDGED} are needed"
        )
    return flat.astype(np.uint8)


def _channels_first(images: np.ndarray) -> np.ndarray:
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[3] in (1, 3) and images.shape[1] not in (1, 3):
        return np.transpose(images, (0, 3, 1, 2))
    return images

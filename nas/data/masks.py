"""Masks, which label every pixel of a picture: folders `images` and `masks`, and values as classes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nas.data.dataset import Raw, label_counts
from nas.data.folder import ENDINGS, decoded, find_parts, folders, measured
from nas.data.preprocessing import Preprocessing, opened
from nas.errors import InputError, brief
from nas.files.limits import check_bytes
from nas.tasks.segmentation import NOT_JUDGED

FOLDERS = ["images", "masks"]
GREY = ("1", "L", "P")
"""Pillow's modes of masks: bits, bytes, and bytes that are numbers of a palette's colours."""


def has_masks(path: Path) -> bool:
    """Whether a folder has pictures with masks, as `read_masks` reads them."""
    try:
        inner = folders(path)
        return inner == FOLDERS or any(folders(path / name) == FOLDERS for name in inner)
    except OSError:  # read_folder says what is wrong
        return False


def read_masks(path: Path, side: int | None) -> Raw:
    """The pictures of `PATH/images` with the masks of `PATH/masks`, or those of `PATH/train/images` and
    so on, with `PATH/val` and `PATH/test`.

    A mask has the name of its picture, and is a PNG whose grey values, or numbers of a palette's
    colours, are classes; 255 is a pixel that is not judged. Pictures of different sizes are cut to a
    square and scaled, and the masks alike, by the nearest pixel.

    Args:
        side: of that square in pixels; 32 by default.

    Raises:
        InputError: pictures without masks or masks without pictures, a mask of another size, of
            another format or with a value that the training part has not, and what `read_folder`
            raises.
    """
    try:
        parts = find_parts(path)
        pairs = {part: _pairs(folder) for part, folder in parts.items()}
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    files = [picture for some in pairs.values() for picture in some]
    prepare, sizes = measured(path, files, side)
    check_bytes(f"{path}", len(files) * (prepare.channels + 1) * prepare.height * prepare.width)
    images = {part: decoded([*some], prepare) for part, some in pairs.items()}
    masks = {part: _masks(some, prepare) for part, some in pairs.items()}
    labels, classes = numbered(f"{path}", masks)
    return Raw(
        images["train"], labels["train"], classes, images.get("test"), labels.get("test"),
        images.get("validation"), labels.get("validation"), prepare, sizes,
    )  # fmt: skip


def numbered(
    place: str, masks: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Masks of bytes by part, with classes from 0 in the order of their values, and these as names.

    Raises:
        InputError: the training part has fewer than two values, or another part has one more.
    """
    values = np.flatnonzero(label_counts(masks["train"])[:NOT_JUDGED])
    if len(values) < 2:
        raise InputError(
            f"{place}: masks with {len(values)} class; at least 2 are needed, and 255 is none but a "
            "pixel that is not judged: of masks of 0 and 255, write 1 for 255"
        )
    table = np.full(256, NOT_JUDGED, np.uint8)
    table[values] = np.arange(len(values))
    for part, some in masks.items():
        strange = np.setdiff1d(np.flatnonzero(label_counts(some)[:NOT_JUDGED]), values)
        if len(strange):
            raise InputError(
                f"{place}: {part} masks have the value {strange[0]}, which is no class of the training "
                f"masks: {brief(values.tolist())}"
            )
    return {part: table[some] for part, some in masks.items()}, tuple(map(str, values))


def _pairs(folder: Path) -> dict[str, str]:
    """The masks of a part by their pictures.

    Raises:
        InputError: there are none, or some have no partner.
    """
    if folders(folder) != FOLDERS:
        there = ", ".join(folders(folder)) or "none"
        raise InputError(f"{folder}: its folders are {brief(there)}; images and masks are needed")
    pictures, masks = (_by_stem(folder / name) for name in FOLDERS)
    if not pictures:
        raise InputError(f"{folder / 'images'}: no pictures; they end in {', '.join(ENDINGS)}")
    for ours, theirs, what in ((pictures, masks, "mask"), (masks, pictures, "picture")):
        alone = sorted(ours.keys() - theirs.keys())
        if alone:
            raise InputError(
                f"{ours[alone[0]]}: no {what} of this name; {len(alone)} of {len(ours)} files have none "
                "(images/NAME.jpg has masks/NAME.png)"
            )
    return {pictures[stem]: masks[stem] for stem in sorted(pictures)}


def _by_stem(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in sorted(os.listdir(folder)):
        stem, ending = os.path.splitext(name)
        if ending.lower() in ENDINGS and not name.startswith("."):
            if stem in found:
                raise InputError(f"{folder}: two files are named {brief(stem)}")
            found[stem] = os.path.join(folder, name)
    return found


def _masks(pairs: Mapping[str, str], prepare: Preprocessing) -> np.ndarray:
    """Masks as they are, scaled, uint8 (N, H, W)."""
    made = np.empty((len(pairs), prepare.height, prepare.width), np.uint8)
    for index, (picture, file) in enumerate(pairs.items()):
        with opened(picture) as image:
            size = image.size
        with opened(file) as mask:
            if mask.format != "PNG" or mask.mode not in GREY:
                raise InputError(
                    f"{file}: a mask of format {mask.format} and mode {mask.mode}; a PNG whose grey "
                    "values or palette's numbers are classes is needed"
                )
            if mask.size != size:
                raise InputError(
                    f"{file}: a mask of {mask.size[0]}×{mask.size[1]} pixels for a picture of "
                    f"{size[0]}×{size[1]}; both have to be of one size"
                )
            made[index] = np.asarray(prepare.applied(mask, nearest=True))
    return made

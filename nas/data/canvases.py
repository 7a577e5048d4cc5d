"""Composed canvases for segmentation: a few digits, or pieces of clothing, on noise, with their masks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nas.data.dataset import Raw, make_data
from nas.data.images import load_digits, load_fashion_mnist

CANVASES = {"train": 3000, "validation": 500, "test": 1000}
MOST_OBJECTS = 4
TRIES = 10
"""Places that are tried for an object, after which it is left out."""
NOISE = 96
"""Grey values of the background are below it, out of 255."""
INK = 64
"""Grey value from which a pixel of an object is drawn, and belongs to it."""


def load_digits_canvas(where: Path) -> Raw:
    """Canvases of 32×32 pixels with digits of 8×8 and of 16×16."""
    raw = load_digits(where)
    return _composed(raw, 32, [raw.images[:, 0], raw.images[:, 0].repeat(2, 1).repeat(2, 2)])


def load_fashion_canvas(where: Path) -> Raw:
    """Canvases of 64×64 pixels with pieces of clothing of 14×14 and of 28×28."""
    raw = load_fashion_mnist(where)
    assert raw.test_images is not None
    whole = np.concatenate([raw.images, raw.test_images])[:, 0]
    halves = whole.reshape(-1, 14, 2, 14, 2).mean((2, 4)).astype(np.uint8)
    return _composed(raw, 64, [halves, whole])


def _composed(raw: Raw, side: int, sizes: list[np.ndarray]) -> Raw:
    """Canvases of each part of some data, made of the objects of that part alone.

    The mask of an object's ink is its class + 1, and 0 elsewhere. They are the same every time.

    Args:
        sizes: all objects in several sizes, each uint8 (N, S, S).
    """
    data = make_data("objects", raw)
    rng = np.random.RandomState(0)  # the numbers of this generator never change
    made: Mapping[str, tuple[np.ndarray, np.ndarray]] = {
        part: _canvases(rng, count, side, data.part(part), data.labels, sizes)
        for part, count in CANVASES.items()
    }
    return Raw(
        *made["train"], ("background", *raw.classes), *made["test"], *made["validation"]
    )  # fmt: skip


def _canvases(
    rng: np.random.RandomState, count: int, side: int, objects: np.ndarray, labels: np.ndarray,
    sizes: list[np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Canvases (count, 1, side, side) and masks (count, side, side) of objects that do not overlap."""
    canvases = rng.randint(0, NOISE, (count, side, side)).astype(np.uint8)
    masks = np.zeros((count, side, side), np.uint8)
    for canvas, mask in zip(canvases, masks, strict=True):
        taken = np.zeros((side, side), bool)
        for _ in range(rng.randint(1, MOST_OBJECTS + 1)):
            index, all_of_size = rng.choice(objects), sizes[rng.randint(len(sizes))]
            piece = all_of_size[index]
            for _ in range(TRIES):
                top, left = rng.randint(0, side - len(piece) + 1, 2)
                place = np.s_[top : top + len(piece), left : left + len(piece)]
                if not taken[place].any():
                    taken[place] = True
                    ink = piece >= INK
                    canvas[place][ink], mask[place][ink] = piece[ink], labels[index] + 1
                    break
    return canvases[:, None], masks

"""What is known of a data set, in words and numbers, before anything is trained on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from nas.data.dataset import Data

SHOWN = 10
"""Classes whose names and counts are told; of more, the rarest and the most frequent."""
PARTS = {"train": "training", "validation": "validation", "test": "test"}


def description(data: Data) -> dict[str, Any]:
    """As JSON values: counts by class and part, what came with the data, sizes, guessing."""
    counts = np.bincount(data.labels, minlength=len(data.classes)).tolist()
    return {
        "name": data.name,
        "source": data.source,
        "images": len(data.images),
        "classes": dict(zip(data.classes, counts, strict=True)),
        "parts": {part: len(data.part(part)) for part in PARTS},
        "given": list(data.given),
        "split_seed": data.split_seed,
        "shape": list(data.shape),
        "found": data.found,
        "preprocessing": data.preprocessing.words,
        "guessing": {part: data.guessing(part) for part in ("validation", "test")},
    }


def sentences(data: Data) -> list[str]:
    """The same as a few sentences."""
    sizes = {part: f"{len(data.part(part)):,} {words}" for part, words in PARTS.items()}
    made = [PARTS[part] for part in PARTS if part != "train" and part not in data.given]
    by = f"split by class with seed {data.split_seed}"
    split = f"the {' and '.join(made)} images were {by}" if data.given else by
    if not made:
        split = "split as the data came"
    found = f"They were found in {data.found} (width×height). " if data.preprocessing.square else ""
    return [
        f"{len(data.images):,} images of {len(data.classes)} classes: {_classes(data)}.",
        f"{sizes['train']}, {sizes['validation']} and {sizes['test']} images: {split}.",
        f"{found}{data.preprocessing.words}",
        f"Guessing the most frequent class gives {100 * data.guessing('validation'):.1f} % of the "
        f"validation images and {100 * data.guessing('test'):.1f} % of the test images.",
    ]


def _classes(data: Data) -> str:
    counts = np.bincount(data.labels, minlength=len(data.classes))
    if len(counts) <= SHOWN and np.ptp(counts) == 0:
        return f"{', '.join(data.classes)}, {counts[0]:,} each"
    told = [f"{name} ({count:,})" for name, count in zip(data.classes, counts, strict=True)]
    if len(told) <= SHOWN:
        return ", ".join(told)
    order = counts.argsort(kind="stable")
    return f"from {told[order[0]]} to {told[order[-1]]}"

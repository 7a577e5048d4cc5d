"""What is known of a data set, in words and numbers, before anything is trained on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from nas.data.dataset import Data, label_counts
from nas.data.fitting import counted, guessing, usual_task
from nas.tasks.task import Task

SHOWN = 10
"""Classes whose names and counts are told; of more, the rarest and the most frequent."""
PARTS = {"train": "training", "validation": "validation", "test": "test"}
GUESSES = {
    "classes": "Guessing the most frequent class gives {} of the validation images and {} of the test "
    "images.",
    "masks": "Calling every pixel by the most frequent class, {most}, gives a {label} of {} on the "
    "validation images and {} on the test images.",
    "symbols": "Guessing by how often symbols occur in the training part gives {} {label} on the "
    "validation part and {} on the test part.",
    "": "Spoilt pictures as they are have a {label} of {} (validation) and {} (test).",
}
"""What a score without learning is, by what a task's examples are labelled with."""


def description(data: Data, task: Task | None = None) -> dict[str, Any]:
    """As JSON values: counts by class and part, what came with the data, sizes, guessing.

    Counts are of images, of pixels where these have classes, or of a text's symbols. The task is among
    them, as `task`, where it is not classification.

    Args:
        task: what is learned; by default what the data look like.
    """
    task = task or usual_task(data)
    counts = _counts(data).tolist()
    found = {
        "name": data.name,
        "source": data.source,
        "images": len(data.images),
        "classes": dict(zip(data.classes, counts, strict=True)),
        "parts": {part: len(data.part(part)) for part in PARTS},
        "given": list(data.given),
        "split_seed": data.split_seed,
        "shape": list(data.shape),
        "found": data.found,
        "preprocessing": _prepared(data),
        "guessing": {part: guessing(task, data, part) for part in ("validation", "test")},
    }
    return found if task.labels == "classes" else {**found, "task": task.name}


def sentences(data: Data, task: Task | None = None) -> list[str]:
    """The same as a few sentences."""
    task = task or usual_task(data)
    shown = [_shown(task, guessing(task, data, part)) for part in ("validation", "test")]
    most = data.classes[counted(data).argmax()] if data.classes else ""
    return [
        _what(data),
        _split(data),
        _prepared(data, told=True),
        GUESSES[task.labels].format(*shown, label=task.label, most=most),
    ]


def _what(data: Data) -> str:
    if data.labelled == "symbols":
        return (
            f"A text of {len(data.images):,} sequences of {data.shape[0]} characters, which are "
            f"{len(data.classes)} symbols: {_classes(data)}."
        )
    if data.labelled == "masks":
        return (
            f"{len(data.images):,} images with masks of {len(data.classes)} classes, by their share of "
            f"the pixels: {_shares(data)}."
        )
    if not data.classes:
        return f"{len(data.images):,} images without classes."
    return f"{len(data.images):,} images of {len(data.classes)} classes: {_classes(data)}."


def _split(data: Data) -> str:
    what = "sequences" if data.kind == "text" else "images"
    train, validation, test = (f"{len(data.part(part)):,} {words}" for part, words in PARTS.items())
    sizes = f"{train}, {validation} and {test} {what}"
    if data.kind == "text":
        return (
            f"{sizes}: the first 80 % of the text, the next 10 % and the last 10 %, for every seed."
        )
    made = [PARTS[part] for part in PARTS if part != "train" and part not in data.given]
    by = f"split {'by class' if data.labelled == 'classes' else 'at random'} with seed {data.split_seed}"
    split = f"the {' and '.join(made)} images were {by}" if data.given else by
    return f"{sizes}: {split if made else 'split as the data came'}."


def _prepared(data: Data, told: bool = False) -> str:
    """How examples were made, with the sizes in which pictures were found if these are `told`."""
    made = data.preprocessing
    if made is None:
        return "Characters are used as they are; the next one is learnt after each."
    found = f"They were found in {data.found} (width×height). " if told and made.square else ""
    masks = (
        " Masks are treated alike, by the nearest pixel."
        if data.labelled == "masks" and made.square
        else ""
    )
    return f"{found}{made.words}{masks}"


def _shown(task: Task, score: float) -> str:
    return f"{100 * score:.1f} %" if task.unit == "%" else f"{score:.2f} {task.unit}".strip()


def _counts(data: Data) -> np.ndarray:
    """How often each class occurs: images, pixels or symbols."""
    if data.labels.ndim == 1:
        return np.bincount(data.labels, minlength=len(data.classes))[: len(data.classes)]
    values = data.images if data.kind == "text" else data.labels
    return label_counts(values)[: len(data.classes)]


def _classes(data: Data) -> str:
    counts, text = _counts(data), data.kind == "text"
    if len(counts) <= SHOWN and np.ptp(counts) == 0:
        return f"{', '.join(data.classes)}, {counts[0]:,} each"
    names = map(repr, data.classes) if text else data.classes
    told = [f"{name} ({count:,})" for name, count in zip(names, counts, strict=True)]
    if len(told) <= SHOWN:
        return ", ".join(told)
    order = counts.argsort(kind="stable")
    return f"from {told[order[0]]} to {told[order[-1]]}"


def _shares(data: Data) -> str:
    """Of all pixels, by class, the largest first; of many classes, the first few."""
    counts = _counts(data)
    order = (-counts).argsort(kind="stable")
    told = [f"{data.classes[i]} {100 * counts[i] / data.labels.size:.1f} %" for i in order]
    if len(told) > SHOWN + 1:
        told = [*told[:SHOWN], f"and {len(told) - SHOWN} more"]
    left_out = data.labels.size - counts.sum()
    if left_out:
        told.append(f"and {100 * left_out / data.labels.size:.1f} % that are not judged")
    return ", ".join(told)

"""What a task asks of data: whether they fit it, and what guessing gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nas.data.dataset import Data, label_counts
from nas.errors import InputError
from nas.tasks.table import TASKS
from nas.tasks.task import SCORED, Task

if TYPE_CHECKING:
    from torch import Tensor

NEEDED = {
    "classes": "pictures with classes",
    "masks": "pictures with masks",
    "symbols": "a text",
    "": "pictures",
}
"""What data have to be, by what a task needs them to be labelled with."""
ARE = {**NEEDED, "": "pictures without classes"}
"""What data are, by what they are labelled with."""
GUESSED = {
    "classes": "guessing the most frequent class",
    "masks": "calling every pixel by the most frequent class",
    "symbols": "guessing symbols by how frequent they are",
    "": "leaving pictures as they are",
}
"""What needs no learning (`guessing`), by what a task's examples are labelled with."""
MOST_GUESSED = 1024
"""Examples of a part that are guessed, where these have no classes."""


def usual_task(data: Data) -> Task:
    """The task that such labels are for: classification, segmentation or language; denoising for none."""
    return next(task for task in TASKS.values() if task.labels == data.labelled)


def fits(task: Task, data: Data) -> bool:
    """Whether a task can be learned from data. Those that need no labels take pictures of any kind."""
    return task.labels == data.labelled or (not task.labels and data.kind == "pictures")


def check_task(task: Task, data: Data) -> None:
    """Raises InputError for data from which a task cannot be learned."""
    if not fits(task, data):
        others = " and ".join(name for name, other in TASKS.items() if fits(other, data))
        raise InputError(
            f"task {task.name} needs {NEEDED[task.labels]}; {data.name} is {ARE[data.labelled]}, "
            f"which fits {others}"
        )


def counted(data: Data) -> np.ndarray:
    """How often each class labels the training part: images, pixels or symbols."""
    labels = data.labels[data.train]
    if labels.ndim == 1:
        return np.bincount(labels, minlength=len(data.classes))
    return label_counts(labels)[: len(data.classes)]


def guessing(task: Task, data: Data, part: str) -> float:
    """The score of a part that needs no learning.

    Every image, or every pixel, is said to be of the class that is most frequent in training; symbols
    have the probabilities of their frequencies in training, each counted once more (Laplace's rule);
    a spoilt picture stays as it is. At most 1,024 examples are guessed, evenly over the part, where
    they have no classes.
    """
    if task.labels == "classes":
        return data.guessing(part)
    import torch

    whole = data.part(part)
    chosen = whole[np.linspace(0, len(whole) - 1, min(len(whole), MOST_GUESSED)).astype(int)]
    counts = torch.from_numpy(counted(data)) if task.labels else None
    sums = None
    for first in range(0, len(chosen), 64):
        batch = chosen[first : first + 64]
        inputs, labels = (torch.from_numpy(a[batch]) for a in (data.images, data.labels))
        inputs = inputs.long() if data.kind == "text" else inputs.float() / 255
        fields = torch.arange(first, first + len(batch)) % SCORED
        read, targets = task.example(inputs, labels.long(), fields)
        new, _ = task.measure(_guess(task, read, counts), targets)
        sums = new if sums is None else sums + new
    assert sums is not None
    return float(task.result(sums.tolist(), len(chosen)))


def _guess(task: Task, read: Tensor, counts: Tensor | None) -> Tensor:
    """Outputs for inputs, from how often labels occur in training."""
    from torch.nn import functional as F

    if counts is None:
        return read
    if task.labels == "symbols":  # (N, T) -> (N, T, classes)
        return (counts + 1).double().log().expand(*read.shape, -1)
    most = F.one_hot(counts.argmax(), len(counts)).float()  # (N, C, H, W) -> (N, classes, H, W)
    return most[:, None, None].expand(len(read), -1, *read.shape[2:])

"""The tasks by name."""

from __future__ import annotations

from nas.errors import unknown
from nas.tasks.classification import CLASSIFICATION
from nas.tasks.language import LANGUAGE
from nas.tasks.restoration import DENOISING, INPAINTING
from nas.tasks.segmentation import SEGMENTATION
from nas.tasks.task import Task

TASKS: dict[str, Task] = {
    task.name: task for task in (CLASSIFICATION, LANGUAGE, DENOISING, INPAINTING, SEGMENTATION)
}


def find_task(name: str, place: str = "proxy") -> Task:
    """The task of this name, which stands in a place.

    Raises:
        InputError: there is none.
    """
    if name not in TASKS:
        raise unknown("task", name, TASKS, place=place)
    return TASKS[name]

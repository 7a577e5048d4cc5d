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


def find_task(name: str) -> Task:
    """The task of this name.

    Raises:
        InputError: there is none.
    """
    if name not in TASKS:
        raise unknown("task", name, TASKS, place="proxy")
    return TASKS[name]

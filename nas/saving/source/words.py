"""What a module says of its network: where it comes from, and what pictures it takes."""

from __future__ import annotations

import textwrap
from importlib.metadata import version

from nas.architecture.plan import Plan
from nas.saving.classifier import Trained
from nas.saving.source.text import WIDTH, tuple_of
from nas.tasks.table import find_task


def about(classifier: Trained, planned: Plan, normalised: bool) -> str:
    """The module's docstring."""
    shape = classifier.skeleton.input_shape
    text, sizes = len(shape) == 1, ", ".join(map(str, shape))
    range_of = "from 0 to 255" if normalised else "as the first layer gets them"
    one = "text" if text else "picture"
    given = (
        f"symbols)  # int64 (N, {sizes})"
        if text
        else f"pictures)  # float32 (N, {sizes}) {range_of}"
    )
    paragraphs = [
        f"A {classifier.kind} with the skip pattern {classifier.genome}.",
        f"{_scored(classifier)}{classifier.preprocessing_words}",
        f"{planned.params:,} parameters, {planned.macs:,} multiply-adds a {one}. Written by "
        f"skipnas {version('skipnas')}.",
    ]
    told = "\n\n".join(
        textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)
        for text in paragraphs
    )
    example = (
        "    network = load()  # with the weights beside this file; needs safetensors\n"
        f"    {classifier.gives} = network({given}"
    )
    return f"{told}\n\n{example}"


def _scored(classifier: Trained) -> str:
    """What the weights are worth; a sentence and a space, or nothing."""
    training = classifier.card.training
    task = find_task(classifier.card.task)
    score, images = training.get(f"test_{task.score}"), training.get("test_images")
    if not training:
        return "It is not trained. "
    if isinstance(score, int | float) and isinstance(images, int):
        if task.score != "accuracy":
            shown = task.show(task.sign * score)
            return f"Its test {task.label} is {shown}, over {images:,} {task.examples}. "
        return f"It names the class of {100 * score:.2f} % of {images:,} test images. "
    return ""


def class_names(names: tuple[str, ...]) -> list[str]:
    """The lines of a constant with the names of the classes, in the order of the logits."""
    if names == tuple(map(str, range(len(names)))):
        return [f"CLASSES = tuple(map(str, range({len(names)})))"]
    return [*tuple_of(names).lines("CLASSES = ")]

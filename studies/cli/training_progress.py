"""What a person or a script sees of a long training."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from nas.architecture.plan import plan
from nas.data.fitting import GUESSED
from nas.retraining.retrain import Fitted, TrainingWatcher
from nas.retraining.settings import RetrainSettings, chosen
from nas.tasks.table import find_task
from nas.tasks.task import Task
from nas.training.curves import Curves
from studies.formatting import count, plural
from studies.retraining.pattern import Pattern
from studies.search.verdict import near_chance


class TrainingConsoleWatcher(TrainingWatcher):
    """A bar on a terminal, a line for every tenth of the epochs elsewhere."""

    def __init__(self, console: Console, pattern: Pattern, quiet: bool) -> None:
        self.console, self.pattern, self.quiet = console, pattern, quiet
        self.progress: Progress | None = None

    def started(self, settings: RetrainSettings, folder: Path, curves: Curves, steps: int) -> None:
        self.settings, self.steps = settings, steps
        self.learned = find_task(settings.proxy.task)
        self.done, self.clock = len(curves.losses), time.monotonic()
        self.before = self.done
        if self.quiet:
            return
        for line in described(self.pattern, settings):
            self.console.print(line, soft_wrap=True, highlight=False, markup=False)
        resumed = f", going on after epoch {self.done}" if self.done else ""
        self.console.print(
            f"Folder {folder}, a checkpoint after every epoch{resumed}.", soft_wrap=True,
            highlight=False,
        )  # fmt: skip
        if self.console.is_terminal:
            self.progress = Progress(
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(bar_width=None),
                TaskProgressColumn(),
                TextColumn("{task.fields[note]}"),
                TimeRemainingColumn(),
                console=self.console,
            )
            epochs = settings.proxy.epochs
            self.task = self.progress.add_task(
                "", total=epochs * steps, completed=self.done * steps,
                epoch=f"{min(self.done + 1, epochs)}/{epochs}", note=_scores(curves, self.learned),
            )  # fmt: skip
            self.progress.start()

    def step(self, done: int) -> None:
        if self.progress:
            epochs = self.settings.proxy.epochs
            now = min((done - 1) // self.steps + 1, epochs)
            self.progress.update(self.task, completed=done, epoch=f"{now}/{epochs}")

    def epoch(self, curves: Curves) -> None:
        self.done = len(curves.losses)
        epochs, scores = self.settings.proxy.epochs, _scores(curves, self.learned)
        if self.progress:
            self.progress.update(self.task, note=scores)
        elif not self.quiet and (self.done % max(1, epochs // 10) == 0 or self.done == epochs):
            spent = time.monotonic() - self.clock
            left = spent / (self.done - self.before) * (epochs - self.done)
            self.console.print(
                f"epoch {self.done}/{epochs}: {scores} · {left:.0f} s left",
                soft_wrap=True, highlight=False,
            )  # fmt: skip

    def stop(self) -> None:
        if self.progress:
            self.progress.stop()
            self.progress = None


def described(pattern: Pattern, settings: RetrainSettings) -> list[str]:
    """What is trained, on what, and how: everything that was decided."""
    proxy, data, base = settings.proxy, settings.data, pattern.proxy
    planned, task = plan(settings.genome, settings.skeleton), find_task(proxy.task)
    shape = "×".join(map(str, settings.skeleton.input_shape))
    inputs = f"sequences of {shape} symbols" if data.kind == "text" else f"pictures {shape}"
    images = proxy.images or len(data.train)
    threads = f", {plural(settings.threads, 'thread')}"
    where = settings.device["type"] + (threads if settings.device["type"] == "cpu" else "")
    changed = (f.name for f in fields(proxy) if getattr(base, f.name) != getattr(proxy, f.name))
    other = [name.replace("_", " ") for name in changed if name != "precision"]
    patience = "no early stop"
    if settings.patience:
        patience = f"stop after {plural(settings.patience, 'epoch')} without a better validation {task.label}"
    return [
        f"Training {pattern.name}. {pattern.note}".rstrip(),
        f"  {settings.genome}",
        f"{count(planned.params)} parameters, {count(planned.macs)} MACs, {inputs}; "
        f"{data.name}: {images} {task.examples} to train, {len(data.validation)} to validate, "
        f"{len(data.test)} to test.",
        f"{plural(proxy.epochs, 'epoch')}, batch {proxy.batch}, learning rate {proxy.learning_rate:g}, "
        f"augment {proxy.augment}, {proxy.precision}, seed {settings.seed}, {where}; {patience}.",
        f"Other settings as {pattern.basis}; not as there: {', '.join(other) or 'nothing'}.",
    ]


def _scores(curves: Curves, task: Task) -> str:
    if not curves.accuracies:
        return ""
    best = chosen(curves)
    return (
        f"loss {curves.losses[-1]:.4f} · validation {task.show(curves.accuracies[-1])} · "
        f"best {task.show(curves.accuracies[best - 1])} (epoch {best})"
    )


def show_end(
    console: Console, fitted: Fitted, quiet: bool, plugins: Sequence[Path], guessing: float
) -> None:
    """How a training ended, and what can be done next.

    Args:
        guessing: the test part's score without learning, in its own sign.
    """
    epochs, folder, task = len(fitted.curves.losses), fitted.folder, fitted.task
    if fitted.curves.diverged:
        text = (
            f"The training diverged: {fitted.curves.diverged}; a smaller --learning-rate may help."
        )
        console.print(Text(text, "yellow"), soft_wrap=True)
        return
    assert fitted.validation is not None
    assert fitted.test is not None
    if fitted.before:
        console.print("This training has ended before; nothing was trained or scored again.")
    early = " (stopped early)" if fitted.curves.stopped else ""
    console.print(
        f"{plural(epochs, 'epoch')}{early} in {fitted.seconds:.0f} s. Kept: epoch {fitted.chosen}, "
        f"validation {task.label} {task.show(fitted.validation)}.",
        soft_wrap=True, highlight=False,
    )  # fmt: skip
    console.print(
        f"Test {task.label} of these weights, scored once: {task.show(fitted.test)} "
        f"({fitted.test_images} {task.examples})",
        style="bold", soft_wrap=True, highlight=False,
    )  # fmt: skip
    chance = task.sign * guessing
    if (
        near_chance(fitted.test, guessing, fitted.test_images)
        if task.labels == "classes"
        else fitted.test <= chance
    ):
        text = f"{GUESSED[task.labels].capitalize()} gives {task.show(chance)}: nothing was learnt."
        console.print(Text(text, "yellow"), soft_wrap=True)
    console.print(f"Weights: {fitted.weights}", soft_wrap=True, highlight=False)
    if not quiet:
        console.print(f"Curves: {folder / 'curves.png'}", soft_wrap=True, highlight=False)
        options = [part for path in plugins for part in ("--plugin", str(path))]
        command = shlex.join(["nas", "export", str(folder), *options])
        console.print(f"Next:\n  {command}", soft_wrap=True, highlight=False)

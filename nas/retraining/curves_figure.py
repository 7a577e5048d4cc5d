"""A training's curves as a table and as a picture."""

from __future__ import annotations

import csv
import io
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nas.tasks.task import Task
    from nas.training.curves import Curves


def curves_table(curves: Curves, task: Task) -> str:
    """CSV with a row an epoch, the task's score in its own sign; empty cells where a training diverged."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["epoch", "loss", f"validation_{task.score}", "gradient_norm_first", "gradient_norm_last",
         "validation_loss"]
    )  # fmt: skip
    columns = zip_longest(curves.losses, curves.accuracies, curves.gradients, curves.scored_losses)
    for epoch, (loss, score, gradients, scored) in enumerate(columns, 1):
        writer.writerow([epoch, loss, task.signed(score), *(gradients or (None, None)), scored])
    return text.getvalue()


def curves_figure(curves: Curves, chosen: int, test: float | None, task: Task) -> Figure:
    """Training loss and validation score by epoch, with the epoch whose weights were kept.

    Args:
        chosen: from 1; 0 for none.
        test: test score of the kept weights, where larger is better.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(range(1, len(curves.losses) + 1), curves.losses, color="#4477aa", marker=".")
    left.set_yscale("log")
    left.set_ylabel("training loss")
    scale = 100 if task.unit == "%" else task.sign
    scores = [scale * score for score in curves.accuracies]
    right.plot(range(1, len(scores) + 1), scores, color="#4477aa", marker=".")
    right.set_ylabel(f"validation {task.label}" + (f", {task.unit}" if task.unit else ""))
    if chosen:
        right.axvline(chosen, color="#bbbbbb", lw=1, zorder=0)
        right.plot([chosen], [scores[chosen - 1]], "o", color="#ee6677")
        scored = "" if test is None else f"; test {task.show(test)}"
        kept = task.show(curves.accuracies[chosen - 1])
        right.set_title(f"kept: epoch {chosen}, {kept}{scored}", fontsize="medium")
    epochs = max(1, len(curves.losses))
    if curves.diverged:
        left.set_title(f"diverged in epoch {epochs}", fontsize="medium")
    if not scores and task.unit == "%":
        right.set_ylim(0, 100)
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.set_xlim(0.5, epochs + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    return figure

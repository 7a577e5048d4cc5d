"""A training's curves as a table and as a picture."""

from __future__ import annotations

import csv
import io
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nas.training.curves import Curves

COLUMNS = (
    "epoch", "loss", "validation_accuracy", "gradient_norm_first", "gradient_norm_last",
    "validation_loss",
)  # fmt: skip


def curves_table(curves: Curves) -> str:
    """CSV with a row an epoch; empty cells where a training diverged."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    columns = zip_longest(curves.losses, curves.accuracies, curves.gradients, curves.scored_losses)
    for epoch, (loss, accuracy, gradients, scored) in enumerate(columns, 1):
        writer.writerow([epoch, loss, accuracy, *(gradients or (None, None)), scored])
    return text.getvalue()


def curves_figure(curves: Curves, chosen: int, test: float | None) -> Figure:
    """Training loss and validation accuracy by epoch, with the epoch whose weights were kept.

    Args:
        chosen: from 1; 0 for none.
        test: test accuracy of the kept weights.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(range(1, len(curves.losses) + 1), curves.losses, color="#4477aa", marker=".")
    left.set_yscale("log")
    left.set_ylabel("training loss")
    percents = [100 * accuracy for accuracy in curves.accuracies]
    right.plot(range(1, len(percents) + 1), percents, color="#4477aa", marker=".")
    right.set_ylabel("validation accuracy, %")
    if chosen:
        right.axvline(chosen, color="#bbbbbb", lw=1, zorder=0)
        right.plot([chosen], [percents[chosen - 1]], "o", color="#ee6677")
        scored = "" if test is None else f"; test {100 * test:.2f} %"
        right.set_title(
            f"kept: epoch {chosen}, {percents[chosen - 1]:.2f} %{scored}", fontsize="medium"
        )
    epochs = max(1, len(curves.losses))
    if curves.diverged:
        left.set_title(f"diverged in epoch {epochs}", fontsize="medium")
    if not percents:
        right.set_ylim(0, 100)
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.set_xlim(0.5, epochs + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    return figure

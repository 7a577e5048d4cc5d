"""A proxy's validity as a picture: reliability by seeds, and the short against the longer training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nas.drawing.canvas import ACCENT, MUTED
from studies.validity.facts import ENOUGH, ENOUGH_BEST, Validity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_SEEDS = 16


def validity_figure(found: Validity) -> Figure:
    """Two panels; the second is left out where there was no longer training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9 if found.long else 4.6, 3.6), layout="constrained")
    panels = figure.subplots(1, 2 if found.long else 1, squeeze=False)[0]
    accuracy, counts = found.measures[0], np.arange(1, MOST_SEEDS + 1)
    left = panels[0]
    for label, one, level, style in (
        ("all patterns", accuracy.overall, ENOUGH, "-"),
        ("best tenth", accuracy.best, ENOUGH_BEST, "--"),
    ):
        if one is not None:
            left.plot(counts, [one.of(int(n)) for n in counts], style, color=ACCENT, label=label)
            left.axhline(level, color=MUTED, lw=0.8, linestyle=style)
    left.set_ylim(0, 1.02)
    left.set_xlabel("seeds of a pattern")
    left.set_ylabel(f"reliability of their mean {found.score.name}")
    left.legend(loc="lower right", frameon=False)
    if found.long:
        scale, unit = found.score.sign * found.score.scale, found.score.unit
        right, short = panels[1], scale * np.array(found.short)
        comma = f", {unit}" if unit else ""
        right.errorbar(
            short.mean(axis=1), scale * np.array(found.long), xerr=short.std(axis=1, ddof=1), fmt="o",
            ms=3.5, lw=0.7, color=ACCENT, ecolor=MUTED,
        )  # fmt: skip
        right.set_xlabel(f"validation {found.score.name} by the proxy{comma} (± over seeds)")
        right.set_ylabel(f"after {found.longer:g} × the epochs{comma}")
        if accuracy.ranks is not None:
            right.set_title(
                f"rank correlation of one training: {accuracy.ranks:.2f}", fontsize="medium"
            )
    return figure

"""Matplotlib figures as SVG for a page: its fonts, its colours in light and dark, the same bytes.

Figures are drawn in placeholder colours that become the page's CSS variables.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, ACCENT, WARM, SURFACE = (f"#10000{i}" for i in range(1, 7))
"""Text, quiet text, grid lines, the search's own, its contrast, the ground."""
VARIABLES = {
    INK: "--ink", MUTED: "--muted", GRID: "--grid", ACCENT: "--accent", WARM: "--warm",
    SURFACE: "--surface",
}  # fmt: skip
WIDTH = 420
"""Of a figure in CSS pixels; pages may scale it."""
FONT = 12.5


class Canvas:
    """One set of axes in the page's style, with tips that show where the pointer rests.

    Args:
        name: of the figure, distinct within its page.
        label: what it shows, for those who do not see it.
        height: in CSS pixels.
    """

    def __init__(self, name: str, label: str, height: float = 270) -> None:
        from matplotlib import rc_context
        from matplotlib.figure import Figure

        self.name, self.label, self.height = name, label, height
        self.tips: list[str] = []
        with rc_context(_STYLE):
            self.figure: Figure = Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")
            self.axes: Axes = self.figure.add_subplot()
        for side in ("top", "right"):
            self.axes.spines[side].set_visible(False)
        self.axes.set_axisbelow(True)

    def dot(self, x: float, y: float, tip: str, **style: Any) -> None:
        """A marker with a tip."""
        (line,) = self.axes.plot([x], [y], linestyle="none", **style)
        line.set_gid(f"tip{len(self.tips)}")
        self.tips.append(tip)

    def write(self, x: float, y: float, text: str, **style: Any) -> None:
        """Text at a place of the data, or of the axes with `transform`."""
        self.axes.annotate(text, (x, y), **{"fontsize": FONT, "annotation_clip": False, **style})

    def svg(self) -> str:
        """The SVG element; it fills the width it is given, up to a fifth more than its own."""
        from matplotlib import rc_context

        buffer = io.StringIO()
        with rc_context({**_STYLE, "svg.fonttype": "none", "svg.hashsalt": self.name}):
            self.figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        text = buffer.getvalue()
        text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
        opening = (
            f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {WIDTH} '
            f'{self.height:g}" role="img" aria-label="{escape(self.label)}" '
            f'style="width:100%;max-width:{1.2 * WIDTH:g}px;height:auto">'
        )
        text = opening + text[text.index(">") + 1 :]
        for placeholder, variable in VARIABLES.items():
            text = text.replace(placeholder, f"var({variable})")
        return _tidy(self._own_names(text))

    def _own_names(self, text: str) -> str:
        """Ids that no other figure of the page has, and the tips."""
        for index, tip in enumerate(self.tips):
            group = f'<g id="tip{index}">'
            text = text.replace(group, f"<g><title>{escape(tip)}</title>")
        used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
        text = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", text)
        for name in sorted(used):
            text = re.sub(rf'(id="|url\(#|href="#){name}\b', rf"\g<1>{self.name}-{name}", text)
        return text


def _tidy(text: str) -> str:
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    return re.sub(r"\n\s*", "\n", text).strip()


_STYLE: dict[Any, Any] = {
    "axes.formatter.useoffset": False,
    "font.size": FONT, "text.color": INK, "axes.labelcolor": MUTED, "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8, "xtick.color": MUTED, "ytick.color": MUTED, "xtick.labelsize": FONT,
    "ytick.labelsize": FONT, "axes.labelsize": FONT, "axes.titlesize": FONT, "legend.fontsize": FONT,
    "axes.facecolor": "none", "figure.facecolor": "none", "grid.color": GRID, "grid.linewidth": 0.8,
    "xtick.major.size": 3.0, "ytick.major.size": 0.0, "lines.solid_capstyle": "round",
}  # fmt: skip


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Places for labels near their values, at least `gap` apart, in the order given.

    Neighbours that are too close share the way: their middle stays where it was.
    """
    order = sorted(range(len(values)), key=lambda i: values[i])
    groups: list[tuple[float, list[int]]] = []
    for index in order:
        groups.append((values[index], [index]))
        while len(groups) > 1:
            (low, below), (high, above) = groups[-2:]
            if high - low >= gap * (len(below) + len(above)) / 2:
                break
            members = below + above
            middle = sum(values[i] for i in members) / len(members)
            groups[-2:] = [(middle, members)]
    placed = [0.0] * len(values)
    for middle, members in groups:
        for rank, index in enumerate(members):
            placed[index] = middle + gap * (rank - (len(members) - 1) / 2)
    return placed

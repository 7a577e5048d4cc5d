"""A pattern drawn as a picture, by matplotlib."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.architecture.genome import Genome
from nas.architecture.plan import Plan, plan
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.drawing.colours import PLAIN, colour_of
from nas.drawing.levels import levels
from nas.errors import InputError
from nas.files.safe import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

FORMATS = (".png", ".svg", ".pdf")
MAX_DRAWN, MAX_DRAWN_SKIPS = 2_000, 10_000
"""Layers and skips of a picture, which takes seconds a thousand."""
DROP = 1.0
"""From a level of a U-Net to the next; nodes in a row are 1 apart."""


def draw(genome: Genome, skeleton: AnySkeleton, title: str = "") -> Figure:
    """Arcs over a line of layers, which is a U for U-Nets: colour is the merge, thickness the strength,
    shade the stage.

    Raises:
        InputError: more layers or skips than a picture shows, or a genome of another skeleton.
    """
    from matplotlib.figure import Figure

    skips = sum(len(layer.skips) for layer in genome.layers)
    if len(genome) > MAX_DRAWN or skips > MAX_DRAWN_SKIPS:
        raise InputError(
            f"a picture shows up to {MAX_DRAWN} layers and {MAX_DRAWN_SKIPS} skips, "
            f"not {len(genome)} and {skips}"
        )
    planned = plan(genome, skeleton)
    longest = max((layer.index - s for layer in planned.layers for s, _ in layer.skips), default=1)
    count = len(planned.layers)
    width = min(40.0, max(7.0, 0.62 * count + 1.5))
    per_unit = width / (count + 2)
    heights = [-DROP * level for level in levels(planned.shapes)]
    height = 2.4 + min(6.0, per_unit * longest * 0.55) - per_unit * min(heights)
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    top = max(1.0, 0.28 + longest * 0.55) + 0.4
    _stages(axes, planned, top)
    _arcs(axes, planned, heights)
    _boxes(axes, planned, heights, named=count <= 60)
    axes.set_xlim(-0.8, count + 0.8)
    named = any(layer.name for layer in planned.layers)
    axes.set_ylim(min(heights) - (1.0 if named else 0.75), top)
    axes.set_aspect("equal")
    axes.axis("off")
    if title:
        axes.set_title(title, fontsize=10)
    _legend(axes, planned)
    return figure


def _stages(axes: Axes, planned: Plan, top: float) -> None:
    stages: dict[int, list[int]] = {}
    for layer in planned.layers:
        stages.setdefault(layer.stage, []).append(layer.index)
    for number, indices in stages.items():
        left, right = indices[0] - 0.5, indices[-1] + 0.5
        axes.axvspan(left, right, color="#000000", alpha=0.03 if number % 2 else 0.08, lw=0)
        shape = planned.shapes[indices[-1]]
        label = f"stage {number}: {'×'.join(map(str, shape))}"
        short = label if len(label) * 0.15 < right - left else f"{shape[0]}"
        axes.text((left + right) / 2, top - 0.08, short, ha="center", va="top", fontsize=8)


def _arcs(axes: Axes, planned: Plan, heights: Sequence[float]) -> None:
    for layer in planned.layers:
        for source, strength in layer.skips:
            colour = colour_of(layer.merge, "black")
            thickness = 0.8 + 1.6 * min(strength, 2.0)
            start, end = ((node, heights[node] + 0.28) for node in (source, layer.index))
            axes.add_patch(_arc(start, end, color=colour, lw=thickness))
            axes.plot(*end, marker="v", color=colour, markersize=2 + thickness)


def _arc(start: tuple[float, float], end: tuple[float, float], **style: Any) -> Patch:
    """Half an ellipse over two nodes of one level, and a curve as high between others."""
    from matplotlib.patches import Arc, PathPatch
    from matplotlib.path import Path as Curve

    span = end[0] - start[0]
    if start[1] == end[1]:
        middle = (start[0] + end[0]) / 2, start[1]
        return Arc(middle, span, span * 1.1, theta1=0, theta2=180, **style)
    top = (
        max(start[1], end[1]) + span * 1.1 / 2 * 4 / 3
    )  # of the controls, of which 3/4 are reached
    points = [start, (start[0], top), (end[0], top), end]
    codes = [Curve.MOVETO, *[Curve.CURVE4] * 3]
    return PathPatch(Curve(points, codes), fill=False, **style)


def _boxes(axes: Axes, planned: Plan, heights: Sequence[float], named: bool) -> None:
    from matplotlib.patches import FancyBboxPatch

    for node in range(len(planned.shapes)):
        merge = planned.layers[node - 1].merge if node else None
        face = colour_of(merge, "black")
        box = FancyBboxPatch(
            (node - 0.3, heights[node] - 0.2), 0.6, 0.4, boxstyle="round,pad=0.02,rounding_size=0.1",
            facecolor=face, edgecolor="black", lw=0.8,
        )  # fmt: skip
        axes.add_patch(box)
        if named:
            label = str(node) if node else "stem"
            low = heights[node]
            axes.text(node, low - 0.5, label, ha="center", va="center", fontsize=8)
            name = planned.layers[node - 1].name if node else ""
            axes.text(node, low - 0.78, name, ha="center", va="center", fontsize=6)
    nodes, flat = [*map(float, range(len(heights)))], not any(heights)
    ends = [0.32, *nodes[1:-1], nodes[-1] - 0.32] if flat else nodes
    axes.plot(ends, heights, color="black", lw=0.8, zorder=0)


def _legend(axes: Axes, planned: Plan) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    merges = dict.fromkeys(layer.merge for layer in planned.layers if layer.merge)
    strengths = sorted({s for layer in planned.layers for _, s in layer.skips})
    handles: list[Patch | Line2D] = [
        Patch(facecolor=colour_of(m, "black"), edgecolor="black", label=m) for m in merges
    ]
    if any(layer.merge is None for layer in planned.layers):
        handles.append(Patch(facecolor=PLAIN, edgecolor="black", label="plain"))
    if len(strengths) > 1:
        handles += [
            Line2D([], [], color="grey", lw=0.8 + 1.6 * min(s, 2.0), label=f"strength {s:g}")
            for s in strengths
        ]
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=len(handles),
        fontsize=8, frameon=False,
    )  # fmt: skip


def check_picture(path: str | Path) -> Path:
    """The path of a picture to be written; an empty one is allowed and means none.

    Raises:
        InputError: an unknown ending, or a folder that does not exist.
    """
    path = Path(path)
    if str(path) != "." and path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: pictures end in {', '.join(FORMATS)}")
    if not os.path.isdir(path.parent):
        raise InputError(f"{path}: there is no folder {path.parent}")
    return path


def save(figure: Figure, path: str | Path) -> Path:
    """Writes a picture; the ending says the format.

    Raises:
        InputError: an unknown ending, or a place that cannot be written.
    """
    path = check_picture(path)
    if not path.name:
        raise InputError(f"a picture needs a name that ends in {', '.join(FORMATS)}")
    with replacing(path, f"-{uuid.uuid4().hex}") as temporary:
        figure.savefig(temporary, dpi=150)
    return path

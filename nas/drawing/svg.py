"""Patterns and plans as HTML for notebooks and dashboards: SVG by hand, without torch or matplotlib.

A drawing takes about a millisecond. It inherits the page's text colour, so that it can be read on
light and dark pages; `paper=True` gives it a white ground of its own, for use as a picture file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from nas.architecture.genome import Genome
from nas.architecture.layers import MIRROR, source_without_skeleton
from nas.architecture.plan import Plan
from nas.drawing.colours import colour_of
from nas.drawing.levels import levels

MAX_DRAWN = 400
"""Layers; a longer pattern is told by its notation only."""
UNIT, HALF_WIDTH, HALF_HEIGHT = 46.0, 13.0, 9.0
"""Pixels from node to node, and half a node's box."""
HIGHEST = 230.0
"""Pixels of the longest skip's arc."""
DROP = 40.0
"""Pixels from a level of a U-Net to the next."""


@dataclass(frozen=True)
class _Node:
    label: str
    tip: str
    merge: str | None = None
    skips: tuple[tuple[int, float], ...] = ()
    """(source node, strength)."""
    level: int = 0
    name: str = ""
    """Stands below the label."""


@dataclass(frozen=True)
class _Band:
    """A stage: its first and last node, and what stands above them."""

    first: int
    last: int
    label: str
    short: str


def genome_svg(genome: Genome, paper: bool = False) -> str:
    """The pattern on no skeleton in particular, so without skips from mirrored nodes; a note for more than MAX_DRAWN layers."""
    nodes = [_Node("stem", "node 0: the stem")]
    for index, layer in enumerate(genome.layers, 1):
        skips = tuple(
            (source, float(skip.strength))
            for skip in layer.skips
            if (source := source_without_skeleton(index, skip.distance)) not in (None, MIRROR)
        )
        nodes.append(_Node(str(index), f"layer {index}: {layer}", layer.merge, skips))
    return _svg(nodes, [], str(genome), paper)


def plan_svg(
    planned: Plan, title: str = "", paper: bool = False, least: float | None = None
) -> str:
    """The pattern with the skeleton's stages; pointing at a node tells its shape and cost.

    Args:
        least: the share of its width below which it does not shrink, so that the page scrolls.
    """
    stem = f"stem: {shape_text(planned.shapes[0])}, {planned.stem.params:,} parameters"
    depths = levels(planned.shapes)
    nodes = [_Node("stem", stem, level=depths[0])]
    for layer in planned.layers:
        name = f" ({layer.name})" if layer.name else ""
        tip = f"layer {layer.index}{name}: {layer.token}, {shape_text(layer.shape)}, "
        tip += f"{layer.params:,} parameters, {layer.macs:,} MACs"
        depth = depths[layer.index]
        made = _Node(str(layer.index), tip, layer.merge, layer.skips, depth, layer.name)
        nodes.append(made)
    bands = []
    for stage, members in groupby(planned.layers, key=lambda layer: layer.stage):
        run = list(members)
        shape = shape_text(run[-1].shape)
        label = f"stage {stage}: {shape}"
        bands.append(_Band(run[0].index, run[-1].index, label, str(run[-1].shape[0])))
    return _svg(nodes, bands, str(planned.genome), paper, title, least)


def shape_text(shape: Iterable[int]) -> str:
    return "×".join(map(str, shape))


def _svg(
    nodes: Sequence[_Node], bands: Sequence[_Band], label: str, paper: bool, title: str = "",
    least: float | None = None,
) -> str:  # fmt: skip
    layers = len(nodes) - 1
    if layers > MAX_DRAWN:
        return _too_long(layers, paper)
    longest = max(
        (i - source for i, node in enumerate(nodes) for source, _ in node.skips), default=1
    )
    rise = min(1.1, HIGHEST / (longest * UNIT / 2))
    top = (16.0 if title else 0.0) + (24.0 if bands else 8.0)
    axis = top + longest * UNIT / 2 * rise + HALF_HEIGHT + 8
    lowest = axis + DROP * max(node.level for node in nodes)
    lowest += 10 if any(node.name for node in nodes) else 0
    legend = list(_legend(nodes, lowest + 44))
    width = max(UNIT * (layers + 1.4), *(x for x, _ in legend), 7.5 * len(title))
    height = lowest + 56
    parts = [*_bands(bands, top, lowest), *_arcs(nodes, axis, rise), *_boxes(nodes, axis)]
    parts += [part for _, part in legend]
    if title:
        parts.append(_text(width / 2, 13, title, 12))
    style = f"max-width:max(100%,{width / 2:.0f}px);height:auto"
    if least is not None:
        width = round(width)
        style = f"width:100%;max-width:{width}px;min-width:{least * width:.0f}px;height:auto"
    ground, colour = "", "currentColor"
    if paper:
        ground, colour = f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>', "#222"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img" aria-label="{escape(label[:300])}" '
        f'color="{colour}" font-family="sans-serif" '
        f'style="{style}">{ground}{"".join(parts)}</svg>'
    )


def _too_long(layers: int, paper: bool) -> str:
    text = f"{layers:,} layers: too many to draw"
    if not paper:
        return f"<p>{text}</p>"
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="320" height="60" color="#222" '
        'font-family="sans-serif"><rect width="320" height="60" fill="#fff"/>'
        f"{_text(160, 34, text, 13)}</svg>"
    )


def _x(node: float) -> float:
    return UNIT * (node + 0.7)


def _colour(merge: str | None) -> str:
    return colour_of(merge, "currentColor")  # of the page: black, or white on dark ones


def _text(x: float, y: float, text: str, size: int = 11, anchor: str = "middle") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'fill="currentColor">{escape(text)}</text>'
    )


def _bands(bands: Sequence[_Band], top: float, axis: float) -> Iterator[str]:
    for number, band in enumerate(bands):
        left, right = _x(band.first - 0.5), _x(band.last + 0.5)
        label = band.label if 6.5 * len(band.label) < right - left else band.short
        opacity = 0.05 if number % 2 == 0 else 0.1
        yield (
            f'<rect x="{left:.1f}" y="{top - 22:.1f}" width="{right - left:.1f}" '
            f'height="{axis + 28 - top + 22:.1f}" fill="currentColor" opacity="{opacity}"/>'
        )
        yield _text((left + right) / 2, top - 8, label)


def _arcs(nodes: Sequence[_Node], axis: float, rise: float) -> Iterator[str]:
    feet = [axis + DROP * node.level - HALF_HEIGHT for node in nodes]
    for target, node in enumerate(nodes):
        colour, foot = _colour(node.merge), feet[target]
        for source, strength in node.skips:
            x = _x(target)
            radius = (x - _x(source)) / 2
            start, end = f"{_x(source):.1f} {feet[source]:.1f}", f"{x:.1f} {foot - 4:.1f}"
            over = f"A{radius:.1f} {radius * rise:.1f} 0 0 1 {end}"
            if feet[source] != foot:  # a curve as high, whose controls are a third higher
                top = min(feet[source], foot) - radius * rise * 4 / 3
                over = f"C{_x(source):.1f} {top:.1f} {x:.1f} {top:.1f} {end}"
            yield (
                f'<path d="M{start}{over}" fill="none" stroke="{colour}" '
                f'stroke-width="{_thickness(strength):.1f}"/>'
                f'<path d="M{x - 4:.1f} {foot - 7:.1f}h8l-4 7z" fill="{colour}"/>'
            )


def _thickness(strength: float) -> float:
    return 0.9 + 1.8 * min(strength, 2.0)


def _boxes(nodes: Sequence[_Node], axis: float) -> Iterator[str]:
    middles = [axis + DROP * node.level for node in nodes]
    yield (f'<path d="{_line(middles)}" fill="none" stroke="currentColor" opacity="0.6"/>')
    for index, (node, middle) in enumerate(zip(nodes, middles, strict=True)):
        left = _x(index) - HALF_WIDTH
        box = (
            f'x="{left:.1f}" y="{middle - HALF_HEIGHT:.1f}" width="{2 * HALF_WIDTH:.0f}" '
            f'height="{2 * HALF_HEIGHT:.0f}" rx="4"'
        )
        yield (
            f"<g><title>{escape(node.tip)}</title>"
            f'<rect {box} fill="{_colour(node.merge)}" stroke="currentColor"/>'
            f"{_text(_x(index), middle + HALF_HEIGHT + 15, node.label)}"
            f"{_text(_x(index), middle + HALF_HEIGHT + 25, node.name, 9) if node.name else ''}</g>"
        )


def _line(middles: Sequence[float]) -> str:
    """From node to node; straight where all are of one level."""
    if len(set(middles)) == 1:
        return f"M{_x(0):.1f} {middles[0]:.1f}H{_x(len(middles) - 1):.1f}"
    return "M" + "L".join(f"{_x(index):.1f} {middle:.1f}" for index, middle in enumerate(middles))


def _legend(nodes: Sequence[_Node], y: float) -> Iterator[tuple[float, str]]:
    """(right edge, element) of what the colours and thicknesses mean."""
    x = UNIT * 0.4
    kinds = {node.merge: node.merge or "plain" for node in nodes[1:]}
    for merge, name in kinds.items():
        right = x + 24 + 6.5 * len(name)
        swatch = f'<rect x="{x:.1f}" y="{y - 9:.1f}" width="14" height="10" rx="2" '
        swatch += f'fill="{_colour(merge)}" stroke="currentColor" stroke-width="0.5"/>'
        yield right, swatch + _text(x + 19, y, name, 11, "start")
        x = right + 12
    strengths = sorted({strength for node in nodes for _, strength in node.skips})
    for strength in strengths if len(strengths) > 1 else []:
        name = f"strength {strength:g}"
        right = x + 28 + 6.5 * len(name)
        line = f'<path d="M{x:.1f} {y - 4:.1f}h18" stroke="currentColor" '
        line += f'stroke-width="{_thickness(strength):.1f}"/>'
        yield right, line + _text(x + 23, y, name, 11, "start")
        x = right + 12

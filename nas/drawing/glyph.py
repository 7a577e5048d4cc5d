"""A pattern in the space of a word: a column a layer, a row a distance or a source by name, colour is the merge."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from nas.architecture.genome import Genome
from nas.architecture.layers import MIRROR, rank
from nas.drawing.colours import colour_of

CELL, GAP = 6, 1
WIDEST = 260
"""Pixels; longer patterns are drawn smaller."""


def glyph(
    genome: Genome, distances: Sequence[int], marked: Sequence[int] = (), zoom: float = 1.0
) -> str:
    """An SVG element. Strength is opacity; a bar stands under the layers of `marked` (from 1)."""
    step = CELL + GAP
    rows = {distance: row for row, distance in enumerate(sorted(distances, key=rank))}
    width, height = step * len(genome) - GAP, step * len(rows) - GAP + (4 if marked else 0)
    empty: list[str] = []
    filled: dict[tuple[str | None, float], list[str]] = {}
    for column, layer in enumerate(genome.layers):
        skips = {skip.distance: skip.strength for skip in layer.skips}
        for distance, row in rows.items():
            square = f"M{step * column} {step * row}h{CELL}v{CELL}h-{CELL}z"
            if distance in skips:
                filled.setdefault((layer.merge, skips[distance]), []).append(square)
            elif distance != MIRROR and distance <= column + 1:  # a mirror may not be there
                empty.append(square)
    parts = [f'<path d="{"".join(empty)}" fill="var(--grid)"/>'] if empty else []
    for (merge, strength), squares in filled.items():
        colour = colour_of(merge, "var(--ink)")
        opacity = "" if strength >= 1 else f' opacity="{0.25 + 0.75 * strength:.2g}"'
        parts.append(f'<path d="{"".join(squares)}" fill="{colour}"{opacity}/>')
    if marked:
        bars = "".join(f"M{step * (i - 1)} {height - 2}h{CELL}v2h-{CELL}z" for i in marked)
        parts.append(f'<path d="{bars}" fill="var(--accent)"/>')
    scale = min(zoom, WIDEST / max(1, width))
    return (
        f'<svg class="glyph" viewBox="0 0 {width} {height}" width="{scale * width:.4g}" '
        f'height="{scale * height:.4g}" role="img" aria-label="{escape(str(genome))}">'
        f"{''.join(parts)}</svg>"
    )

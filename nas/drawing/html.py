"""Genomes and plans as HTML, for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from nas.architecture.genome import Genome
from nas.architecture.plan import Plan
from nas.drawing.svg import genome_svg, plan_svg, shape_text

MAX_ROWS = 120


def genome_html(genome: Genome) -> str:
    """What a notebook shows of a genome: the drawing, its notation, its number of layers."""
    skips = sum(len(layer.skips) for layer in genome.layers)
    counts = f"layers: {len(genome):,}, skips: {skips:,}"
    return scrolling(genome_svg(genome)) + (
        f"<div><code>{escape(str(genome))}</code><br><small>{counts}</small></div>"
    )


def plan_html(planned: Plan) -> str:
    """What a notebook shows of a plan: the drawing, and a row for every layer."""
    rows = [("stem", "", planned.shapes[0], planned.stem.params, planned.stem.macs)]
    rows += [
        (str(layer.index), layer.token, layer.shape, layer.params, layer.macs)
        for layer in planned.layers
    ]
    classes = planned.head.shape
    rows.append(("head", "", classes, planned.head.params, planned.head.macs))
    cells = [
        [name, token, shape_text(shape), f"{params:,}", f"{macs:,}"]
        for name, token, shape, params, macs in rows
    ]
    if len(cells) > MAX_ROWS:
        half, left = MAX_ROWS // 2, len(cells) - MAX_ROWS
        cells[half:-half] = [["…", f"{left:,} more layers", "", "", ""]]
    total = ["total", "", "", f"{planned.params:,}", f"{planned.macs:,}"]
    table = table_html(
        ["layer", "pattern", "output C×H×W", "parameters", "MACs"], [*cells, total], "llrrr"
    )
    return scrolling(plan_svg(planned)) + scrolling(table)


def table_html(header: Sequence[str], rows: Iterable[Sequence[str]], sides: str = "") -> str:
    """A table of text, escaped.

    Args:
        sides: l or r for every column; by default the first is aligned left, the others right.
    """
    ends = {"l": "left", "r": "right"}
    sides = sides or "l" + "r" * (len(header) - 1)

    def row(tag: str, cells: Sequence[str]) -> str:
        return "".join(
            f'<{tag} style="text-align:{ends[side]}">{escape(cell)}</{tag}>'
            for side, cell in zip(sides, cells, strict=True)
        )

    body = "".join(f"<tr>{row('td', cells)}</tr>" for cells in rows)
    return f"<table><thead><tr>{row('th', header)}</tr></thead><tbody>{body}</tbody></table>"


def scrolling(html: str) -> str:
    """Wide content scrolls in its own box, not the page."""
    return f'<div style="overflow-x:auto;max-width:100%">{html}</div>'

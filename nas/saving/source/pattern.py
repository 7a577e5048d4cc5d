"""The pattern of a network as a list: a row for every layer, repetitions once, and what each reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nas.architecture.layers import MAX_PERIOD, MIRROR, NAMES, STEM
from nas.architecture.plan import LayerPlan, Plan
from nas.saving.source.text import WIDTH, Listed

INDENT = "    "
NODES = {STEM: "h0", MIRROR: "h[m]"}
"""What sources by name are called where a row stands for several layers."""
RANGE = 4
"""Distances in a row that are written as a range."""


@dataclass(frozen=True)
class Run:
    """Rows that are repeated, from a layer on."""

    start: int
    """Of the first layer, from 0."""
    period: int
    times: int

    @property
    def layers(self) -> int:
        return self.period * self.times


def runs(rows: Sequence[str]) -> Iterator[Run]:
    """Rows as repetitions of the shortest motifs that save the most lines."""
    start = 0
    while start < len(rows):
        best = Run(start, 1, 1)
        for period in range(1, min(MAX_PERIOD, (len(rows) - start) // 2) + 1):
            run = Run(start, period, _times(rows, start, period))
            if _saved(run) > _saved(best):
                best = run
        yield best
        start += best.layers


def _times(rows: Sequence[str], start: int, period: int) -> int:
    end = start + period
    while end < len(rows) and rows[end] == rows[end - period]:
        end += 1
    return (end - start) // period


def _saved(run: Run) -> int:
    """Lines that a repetition saves; a motif of several rows takes four besides."""
    return run.period * (run.times - 1) - (4 if run.period > 1 else 0)


def pattern_lines(
    planned: Plan, classes: Mapping[int, str], strengths: bool, named: bool = False
) -> list[str]:
    """The lines of a list with (merge, skips) for every layer.

    Args:
        classes: the name of every layer's merge, by its number.
        strengths: whether skips have strengths; otherwise they are distances alone.
        named: whether sources by name stay names; otherwise they are distances, too.
    """
    layers = [_Row(layer, _starts(layer, planned, named)) for layer in planned.layers]
    rows = [row.listed(classes.get(row.layer.index, "None"), strengths) for row in layers]
    lines = []
    for run in runs([str(row) for row in rows]):
        first, last = run.start + 1, run.start + run.layers
        own = layers[run.start : run.start + run.period]
        if run.times == 1:
            lines += _with_comment(rows[run.start], INDENT, ",", own[0].said(True))
        elif run.period == 1 and len(f"{INDENT}*[{rows[run.start]}] * {run.times},") <= WIDTH:
            said = f"layers {first} to {last}: {own[0].said(False)}"
            whole = f"*[{rows[run.start]}] * {run.times}"
            lines += _with_comment(whole, INDENT, ",", said)
        else:
            lines += [f"{INDENT}# Layers {first} to {last}, {run.times} times:", f"{INDENT}*["]
            for row, layer in zip(rows[run.start :], own, strict=False):
                lines += _with_comment(row, 2 * INDENT, ",", layer.said(False))
            lines += [f"{INDENT}]", f"{INDENT}* {run.times},"]
    return lines


def names_of(planned: Plan) -> dict[str, bool | str]:
    """What a template says of sources by name: which there are, and the distances they stand for in a layer."""
    starts = {skip.distance for layer in planned.genome.layers for skip in layer.skips}
    names = {STEM: "0: index", MIRROR: '"m": index - mirror'}
    pairs = [text for name, text in names.items() if name in starts]
    return {
        "mirror": MIRROR in starts,
        "from_stem": STEM in starts,
        "named": f"{{{', '.join(pairs)}}}" if pairs else "",
    }


@dataclass(frozen=True)
class _Row:
    """A layer with where its skips start: distances, or sources by name."""

    layer: LayerPlan
    starts: Sequence[int]

    def listed(self, merge: str, strengths: bool) -> Listed | str:
        """The row, with the name of the merge's class."""
        starts = self.starts
        if strengths:
            pairs = zip(map(_written, starts), self.layer.skips, strict=True)
            skips: str | Listed = Listed("{", tuple(f"{d}: {s!r}" for d, (_, s) in pairs), "}")
        elif len(starts) >= RANGE and [*starts] == [*range(starts[0], starts[-1] + 1)]:
            skips = f"range({starts[0]}, {starts[-1] + 1})"
        else:
            skips = Listed("[", tuple(map(_written, starts)), "]")
        return Listed("(", (merge, skips), ")")

    def said(self, numbered: bool) -> str:
        """What it computes of which nodes: `h5 = add(F, h4, 0.5·A(h2))`, and its shape."""
        layer, reads = self.layer, []
        skips = zip(self.starts, layer.skips, layer.adapters, strict=True)
        for start, (source, strength), adapter in skips:
            node = f"h{source}" if numbered else NODES.get(start, f"h[i-{start}]")
            node = f"A({node})" if adapter and numbered else node
            reads.append(node if strength == 1 else f"{strength:g}·{node}")
        made = f"{layer.merge}({', '.join(['F', *reads])})" if reads else "F"
        return f"h{layer.index} = {made}, {layer.shape}" if numbered else f"h[i] = {made}"


def _starts(layer: LayerPlan, planned: Plan, named: bool) -> list[int]:
    skips = planned.genome.layers[layer.index - 1].skips
    return [
        skip.distance if named and skip.distance in NAMES else layer.index - source
        for skip, (source, _) in zip(skips, layer.skips, strict=True)
    ]


def _written(start: int) -> str:
    return f'"{NAMES[start][0]}"' if start == MIRROR else str(start)


def _with_comment(row: Listed | str, indent: str, after: str, said: str) -> list[str]:
    """A row with what is said of it, behind it where there is room, else above."""
    line = f"{indent}{row}{after}  # {said}"
    if len(line) <= WIDTH:
        return [line]
    lines = row.lines(indent, after) if isinstance(row, Listed) else [f"{indent}{row}{after}"]
    return [f"{indent}# {said}", *lines]

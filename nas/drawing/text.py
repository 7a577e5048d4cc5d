"""A pattern as lines of text, for terminals."""

from __future__ import annotations

from bisect import bisect

from nas.architecture.genome import Genome
from nas.architecture.plan import Plan, plan
from nas.architecture.skeletons.skeleton import AnySkeleton

MAX_LANES = 24
"""Skips side by side that are shown."""


def lanes(planned: Plan) -> list[list[tuple[int, int]]]:
    """Skips as (source, target) nodes, spread over lanes so that none overlap within a lane.

    Those of a lane are in order.
    """
    skips = sorted(
        ((source, layer.index) for layer in planned.layers for source, _ in layer.skips),
        key=lambda edge: (edge[1] - edge[0], edge[0]),
    )
    found: list[list[tuple[int, int]]] = []
    for source, target in skips:
        for lane in found:
            place = bisect(lane, (source, target))
            before, after = lane[place - 1 : place], lane[place : place + 1]
            if all(end <= source for _, end in before) and all(target <= at for at, _ in after):
                lane.insert(place, (source, target))
                break
        else:
            found.append([(source, target)])
    return found


def text_rows(genome: Genome, skeleton: AnySkeleton) -> list[tuple[str, str, str, str, int, int]]:
    """A row a node: (node, token, lanes, shape, parameters, MACs).

    In the lanes ○ is where a skip starts, ● where it ends, ◉ both, │ where it passes.
    """
    planned = plan(genome, skeleton)
    found = lanes(planned)
    shown = found[:MAX_LANES]
    columns = [_marks(lane, len(planned.shapes)) for lane in shown]
    rows = []
    for node, shape in enumerate(planned.shapes):
        marks = " ".join(column[node] for column in columns)
        marks += " …" if len(found) > len(shown) else ""
        part = planned.layers[node - 1] if node else planned.stem
        token = planned.layers[node - 1].token if node else "stem"
        name = planned.layers[node - 1].name if node else ""
        rows.append(
            (
                f"{node} {name}".rstrip(),
                token,
                marks,
                "×".join(map(str, shape)),
                part.params,
                part.macs,
            )
        )
    rows.append(("", "head", "", str(skeleton.classes), planned.head.params, planned.head.macs))
    return rows


def _marks(lane: list[tuple[int, int]], nodes: int) -> list[str]:
    """A lane's mark at every node."""
    marks = [" "] * nodes
    for source, target in lane:
        marks[source] = "◉" if marks[source] == "●" else "○"
        marks[source + 1 : target] = ["│"] * (target - source - 1)
        marks[target] = "●"
    return marks

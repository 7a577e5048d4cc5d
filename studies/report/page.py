"""The report as one HTML page: styles, script and figures inside, nothing to be fetched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from math import inf
from typing import Any

from nas.architecture.layers import rank, skip_said
from nas.architecture.plan import plan
from nas.architecture.space import SearchSpace
from nas.drawing.glyph import glyph
from nas.drawing.svg import plan_svg
from studies.analysis.facts import Facts, Row
from studies.analysis.habits import LEAST, Grid, Share
from studies.formatting import (
    Score,
    count,
    duration,
    finalist_cells,
    finalist_rows,
    p_value,
    percent,
    plural,
    points,
    whole_points,
)
from studies.report import figures, words
from studies.search.objectives import OBJECTIVES
from studies.search.settings import recorded_space
from studies.store.names import trained_elsewhere

SHOWN = 500
"""Trials in the table; of more, the best."""
GENES = 12
"""Genes with a bar of their own."""
WIDE = 32
"""Columns from which the cells of a heat map have no numbers."""
LEGIBLE = 0.72
"""The share of its width below which the best pattern's drawing scrolls."""
DIFFERENCE_SCALE = 0.5
"""A difference of shares that has the full colour."""


def render(facts: Facts) -> str:
    """The page. The same facts give the same bytes."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("studies.report", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "percent": percent, "points": points, "count": count, "duration": duration,
        "p_value": p_value, "sentence": lambda text: text[:1].upper() + text[1:], "zip": lambda first, second: list(zip(first, second, strict=True)),
    }  # fmt: skip
    style = files("nas.drawing").joinpath("page.css").read_text(encoding="utf-8")
    script = files("studies.report").joinpath("page.js").read_text(encoding="utf-8")
    return environment.get_template("page.html").render(
        **_context(facts, Markup), style=Markup(style), script=Markup(script)
    )


def _context(facts: Facts, markup: Any) -> dict[str, Any]:
    space = recorded_space(facts.settings)
    distances = _distances(facts, space)
    rows, score = _shown(facts), Score.of_study(facts.settings)
    fronts = {point.number for point in facts.front.points if point.front} if facts.front else set()
    return {
        "facts": facts,
        "plural": plural,
        "least": LEAST,
        "space": space,
        "words": words,
        "objectives": OBJECTIVES,
        "score": score,
        "elsewhere": trained_elsewhere(facts.settings),
        "finalist": finalist_cells,
        "table": finalist_rows,
        "drawing": markup(_drawing(facts, space)),
        "figures": {name: markup(svg) for name, svg in _figures(facts).items()},
        "panels": [_panels(grid) for grid in facts.habits.grids] if facts.habits else [],
        "bars": facts.importance.genes[:GENES],
        "longest": max((max(g.share, g.noise) for g in facts.importance.genes[:GENES]), default=1),
        "genes": _gene_map(facts, space),
        "glyphs": {
            genome: markup(glyph(genome, distances))
            for genome in {row.genome for row in (*rows, *(facts.trials[n] for n in fronts))}
        },
        "skip_text": figures.skip_text,
        "steps": [
            (step, markup(glyph(step.genome, distances, step.changed, zoom=2)))
            for step in facts.lineage.steps
        ],
        "rows": rows,
        "extra": [
            n
            for n in facts.settings["objectives"][int(score.own) :]
            if n not in ("accuracy", "params", "macs")
        ],
        "settings": list(flat(facts.settings)),
        "costs": _costs(facts),
    }


def _drawing(facts: Facts, space: SearchSpace) -> str:
    if not facts.winner:
        return ""
    return plan_svg(plan(facts.winner.genome, space.skeleton), least=LEGIBLE)


def _figures(facts: Facts) -> dict[str, str]:
    """Every figure that there are data for, by name."""
    found: dict[str, str] = {}
    if facts.progress.evaluations or any(row.status == "ok" for row in facts.given):
        found["evaluations"] = figures.progress(facts, "evaluations")
        found["seconds"] = figures.progress(facts, "seconds")
    if facts.front:
        for index, name in enumerate(facts.front.objectives[1:], 1):
            found[f"front {name}"] = figures.trade_off(facts.front, facts, index)
        if facts.front.searched and facts.front.hypervolume is not None:
            found["hypervolume"] = figures.hypervolume(facts.front, facts.cost.trials)
    if facts.finals and any(row.n for row in facts.finals.rows):
        found["finalists"] = figures.finalists(facts.finals, Score.of_study(facts.settings))
    if facts.knockout and any(
        x.cut is not None or x.retrained is not None for x in facts.knockout.losses
    ):
        base = facts.winner.accuracy if facts.winner and facts.winner.accuracy else 0.0
        found["knockout"] = figures.knockout(facts.knockout, base, Score.of_study(facts.settings))
    return found


@dataclass(frozen=True)
class Cell:
    """Of a heat map; `strength` of its colour from 0 to 1, negative in the other colour."""

    text: str
    strength: float
    tip: str


def _panels(grid: Grid) -> dict[str, Any]:
    """Three heat maps: the best, all, and the difference."""
    wide = len(grid.columns) > WIDE

    def cell(row: int, column: int, share: Share, difference: bool) -> Cell | None:
        if share is None:
            return None
        text = whole_points(share) if difference else f"{100 * share:.0f}"
        unit = " points" if difference else " %"
        place = grid.columns[column]
        place = f"{_column(grid)} {place}" if place.isdecimal() else place
        tip = f"{grid.rows[row]}, {place}: {text}{unit}"
        scale = DIFFERENCE_SCALE if difference else 1.0
        return Cell("" if wide else text, max(-1.0, min(1.0, share / scale)), tip)

    def table(
        shares: Sequence[Sequence[Share]], difference: bool = False
    ) -> list[list[Cell | None]]:
        return [
            [cell(r, c, s, difference) for c, s in enumerate(row)] for r, row in enumerate(shares)
        ]

    differences = [
        [None if a is None or b is None else a - b for a, b in zip(best, every, strict=True)]
        for best, every in zip(grid.best, grid.all, strict=True)
    ]
    return {
        "grid": grid, "column": _column(grid), "wide": wide,
        "tables": [
            ("best tenth, %", table(grid.best)), ("all candidates, %", table(grid.all)),
            ("difference, points", table(differences, True)),
        ],
    }  # fmt: skip


def _column(grid: Grid) -> str:
    return "distance" if grid.name == "strengths" else "layer"


def _gene_map(facts: Facts, space: SearchSpace) -> dict[str, Any] | None:
    """Shares of importance by kind of gene and layer, and the layers' sums."""
    if not facts.importance.genes:
        return None
    shares = {(gene.layer, gene.distance): gene for gene in facts.importance.genes if gene.layer}
    largest = max(gene.share for gene in facts.importance.genes)
    kinds = [kind for kind in (None, *space.starts) if any(d == kind for _, d in shares)]
    layers = range(1, len(space.sites) + 1)
    wide = len(layers) > WIDE
    rows = []
    for kind in kinds:
        cells: list[Cell | None] = []
        for layer in layers:
            gene = shares.get((layer, kind))
            if gene is None:
                cells.append(None)
                continue
            tip, text = f"{gene.name}: {percent(gene.share)}", f"{100 * gene.share:.0f}"
            cells.append(Cell("" if wide else text, gene.share / largest, tip))
        rows.append(("merge" if kind is None else skip_said(kind), cells))
    sums = [
        Cell("" if wide else f"{100 * s:.0f}", s / (max(facts.importance.layers) or 1), f"layer {i}: {percent(s)}")
        for i, s in enumerate(facts.importance.layers, 1)
    ]  # fmt: skip
    return {"rows": rows, "sums": sums, "layers": list(layers), "wide": wide}


def _distances(facts: Facts, space: SearchSpace) -> list[int]:
    """All that a pattern of the table may skip."""
    layers = (layer for row in facts.given for layer in row.genome.layers)
    used = {skip.distance for layer in layers for skip in layer.skips}
    return sorted({*space.starts, *used}, key=rank)


def _shown(facts: Facts) -> list[Row]:
    if len(facts.trials) <= SHOWN:
        return list(facts.trials)
    best = sorted(
        facts.trials,
        key=lambda row: (-(-inf if row.accuracy is None else row.accuracy), row.number),
    )[:SHOWN]
    return sorted(best, key=lambda row: row.number)


def flat(settings: Mapping[str, Any], path: str = "") -> list[tuple[str, str]]:
    """Nested settings as (path, value)."""
    found: list[tuple[str, str]] = []
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            found += flat(value, f"{path}{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            found.append((f"{path}{key}", "; ".join(_short(v) for v in value)))
        elif isinstance(value, list):
            found.append((f"{path}{key}", ", ".join(map(str, value)) or "none"))
        else:
            found.append((f"{path}{key}", "none" if value in (None, {}) else str(value)))
    return found


def _short(value: Mapping[str, Any]) -> str:
    return " ".join(f"{key} {part}" for key, part in value.items())


def _costs(facts: Facts) -> list[tuple[str, str]]:
    """(what, how much) of everything that was recorded."""
    cost = facts.cost
    states = ", ".join(f"{n} {name}" for name, n in cost.statuses.items())
    distinct = len({row.genome for row in facts.trials})
    rows = [
        ("trials", f"{cost.trials}: {states}"),
        ("candidates of the search", f"{cost.candidates}, {len(facts.given)} given patterns beside them"),
        ("distinct patterns", f"{distinct} of {cost.trials}: "
         + ("no pattern was trained twice" if distinct == cost.trials else "some were repeated")),
        ("training in the search", duration(cost.seconds)),
    ]  # fmt: skip
    if cost.duplicates is not None:
        rows.append(("known candidates drawn, and not trained again", str(cost.duplicates)))
    if cost.outside:
        rows.append(("candidates outside the space", str(cost.outside)))
    if cost.trials and cost.seconds:
        rows.append(("mean of an evaluation", duration(cost.seconds / cost.trials)))
    if cost.share_of_training is not None:
        text = f"{100 * cost.share_of_training:.0f} % (median), the rest is waiting and recording"
        rows.append(("share of a trial's time spent training", text))
    if cost.contenders_seconds:
        rows.append(("training of contenders", duration(cost.contenders_seconds)))
    if cost.tuning_seconds:
        rows.append(("tuning of finalists and references", duration(cost.tuning_seconds)))
    if cost.finalists_seconds:
        rows.append(("training of finalists", duration(cost.finalists_seconds)))
    if cost.knockout_seconds:
        rows.append(("training for knock-outs", duration(cost.knockout_seconds)))
    if cost.peak_bytes:
        rows.append(("peak memory of a process", f"{cost.peak_bytes / 2**20:,.0f} MiB"))
    if cost.first and cost.last:
        rows.append(("from, to", f"{cost.first} to {cost.last}"))
    return rows

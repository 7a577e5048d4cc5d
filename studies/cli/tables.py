"""Tables for the terminal, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from nas.architecture.genome import Genome
from nas.architecture.skeletons.convolutional import Skeleton
from nas.architecture.space import SearchSpace
from nas.drawing.colours import colour_of
from nas.drawing.text import text_rows
from nas.proxy import Proxy
from studies.formatting import count, finalist_cells
from studies.search.objectives import OBJECTIVES

if TYPE_CHECKING:
    from studies.finals.finalists import Finalist
    from studies.store.trial import Trial


MAX_ROWS = 2_000
"""Of a drawn pattern; of a longer one the ends are shown."""
LEGEND = "○ a skip starts, ● ends, ◉ both, │ passes by"


def finalists_table(rows: Sequence[Finalist]) -> Table:
    """Test accuracy over fresh seeds, and the paired comparison with the residual pattern."""
    n = max(len(row.accuracies) for row in rows)
    table = Table(
        title=f"Finalists: test accuracy over {n} fresh seed{'s' if n > 1 else ''}",
        title_justify="left",
    )
    made = [(row, finalist_cells(row)) for row in sorted(rows, key=lambda row: -row.mean)]
    for name in made[0][1]:
        table.add_column(name, justify="left" if name == "pattern" else "right", no_wrap=True)
    for row, texts in made:
        table.add_row(*texts.values(), style="" if row.name.startswith("trial") else "dim")
    return table


def front_table(trials: Sequence[Trial], objectives: Sequence[str]) -> Table:
    """The Pareto front of a search with several objectives."""
    table = Table(title="Pareto front by the proxy", title_justify="left")
    for name in ("trial", *objectives):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("pattern", overflow="fold")
    for trial in trials:
        attrs = trial.attrs
        name = attrs["role"] or str(trial.number)
        pairs = zip(objectives, trial.values or (), strict=False)
        table.add_row(name, *(OBJECTIVES[o].show(value) for o, value in pairs), str(trial.genome))
    return table


def drawing(genome: Genome, skeleton: Skeleton, costs: bool = False) -> Table:
    """The pattern as a table of layers with lanes for its skips."""
    table = Table(
        box=None, padding=(0, 1), show_header=True, header_style="dim", caption=LEGEND,
        caption_justify="left",
    )  # fmt: skip
    for name, justify in (
        ("node", "right"),
        ("layer", "left"),
        ("skips", "left"),
        ("output", "right"),
    ):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    if costs:
        table.add_column("params", justify="right")
        table.add_column("MACs", justify="right")
    rows = text_rows(genome, skeleton)
    if len(rows) > MAX_ROWS:
        half, left = MAX_ROWS // 2, len(rows) - MAX_ROWS
        rows[half:-half] = [("…", f"{left:,} more layers", "", "", 0, 0)]
    for node, token, marks, shape, params, macs in rows:
        style = colour_of(token.split("(")[0], "default") if "(" in token else "default"
        cells: list[RenderableType] = [node, Text(token, style), Text(marks), shape]
        table.add_row(*cells, *([count(params), count(macs)] if costs else []))
    return table


def spaces_table(spaces: dict[str, SearchSpace]) -> Table:
    table = Table(box=None, padding=(0, 1))
    table.add_column("space", no_wrap=True)
    table.add_column("usual data", no_wrap=True)
    for name in ("input", "layers", "distances", "genes", "vectors", "genomes"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, space in spaces.items():
        skeleton = space.skeleton
        table.add_row(
            name, space.data, "×".join(map(str, skeleton.input_shape)), str(skeleton.layers),
            ",".join(map(str, space.distances)), str(len(space.genes)),
            count(space.size), count(space.distinct),
        )  # fmt: skip
    return table


def space_table(space: SearchSpace) -> Table:
    """Everything about one space."""
    skeleton = space.skeleton
    stages = " | ".join(
        f"{s.layers}×{s.width}" + f"/{s.stride}" * (s.stride > 1) for s in skeleton.stages
    )
    rows = {
        "space": space.name,
        "usual data": space.data,
        "input (C×H×W)": "×".join(map(str, skeleton.input_shape)),
        "classes": skeleton.classes,
        "stem": skeleton.stem,
        "stages (layers×width/stride)": stages,
        "block": skeleton.block,
        "norm, bias, adapter, weights": f"{skeleton.norm}, {skeleton.bias}, {skeleton.adapter}, {skeleton.init}",
        "distances": ", ".join(map(str, space.distances)),
        "merges": ", ".join(space.merges),
        "strengths": ", ".join(f"{s:g}" for s in space.strengths),
        "genes": len(space.genes),
        "vectors, genomes": f"{count(space.size)}, {count(space.distinct)}",
        "proxy": _proxy(space.proxy),
        "finalists' training": _proxy(space.final_proxy),
    }
    table = Table(box=None, padding=(0, 1), show_header=False)
    for name, value in rows.items():
        table.add_row(Text(name, "dim"), str(value))
    return table


def _proxy(proxy: Proxy) -> str:
    images = "all" if proxy.images is None else str(proxy.images)
    side = f" of side {proxy.resolution}" if proxy.resolution else ""
    return (
        f"{proxy.epochs} epochs, {images} images{side}, batch {proxy.batch}, "
        f"learning rate {proxy.learning_rate:g}, augment {proxy.augment}, {proxy.precision}"
    )

"""Tables for the terminal, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from nas.architecture.genome import Genome
from nas.architecture.layers import named, start_said, start_text
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.architecture.space import SearchSpace
from nas.drawing.colours import colour_of
from nas.drawing.text import text_rows
from nas.proxy import Proxy
from nas.tasks.table import find_task
from studies.cli.terminal import WordTable
from studies.formatting import ACCURACY, OUTPUTS, Score, count, finalist_rows, tuning_rows
from studies.search.objectives import OBJECTIVES
from studies.store.names import is_found, own_score

if TYPE_CHECKING:
    from studies.catalogue.listing import Listed
    from studies.finals.finalists import Finalist
    from studies.finals.tuning import Tuned
    from studies.speed.costs import Costs
    from studies.speed.measure import Bench
    from studies.store.trial import Trial


MAX_ROWS = 2_000
"""Of a drawn pattern; of a longer one the ends are shown."""
LEGEND = "○ a skip starts, ● ends, ◉ both, │ passes by"


def finalists_table(rows: Sequence[Finalist], score: Score = ACCURACY) -> WordTable:
    """Test scores over fresh seeds, and the paired comparison with the residual pattern."""
    n = max(len(row.accuracies) for row in rows)
    table = WordTable(
        title=f"Finalists: test {score.name} over {n} fresh seed{'s' if n > 1 else ''}",
        sheds=("MACs", "n"),
    )
    made = finalist_rows(rows, score)
    for name in made[0][1]:
        table.add_column(name, justify="left" if name == "pattern" else "right", no_wrap=True)
    for row, texts in made:
        table.add_row(*texts.values(), style="" if is_found(row.name) else "dim")
    return table


def tuning_table(tuned: Sequence[Tuned], score: Score = ACCURACY) -> WordTable:
    """Finalists and references on validation images, each at its best learning rate."""
    title = f"Finalists and references: validation {score.name}"
    table = WordTable(title=title, sheds=("std",))
    header, rows = tuning_rows(tuned, score)
    for name in header:
        table.add_column(name, justify="left" if name == "pattern" else "right", no_wrap=True)
    for cells in rows:
        table.add_row(*cells, style="" if is_found(cells[0]) else "dim")
    return table


def studies_table(found: Sequence[Listed]) -> WordTable:
    """A row a search."""
    table = WordTable(box=None, padding=(0, 1))
    table.add_column("study", no_wrap=True)
    table.add_column("searched")
    table.add_column("trials", justify="right", no_wrap=True)
    table.add_column("best")
    table.add_column("finalists")
    for one in found:
        goals = ((own_score(name) or (name,))[0] for name in one.objectives)
        searched = ", ".join((one.space, one.data, one.strategy, *goals))
        trials = str(one.done) if one.done == one.wanted else f"{one.done} of {one.wanted}"
        best = "–"
        if one.missing:
            best = "needs " + " ".join(f"--plugin {name}" for name in one.missing)
        elif one.best:
            found_best = Score.of(one.objectives).scored(one.best.attrs["accuracy"], one.best.again)
            best = f"{found_best} (trial {one.best.number})"
        finals = "none"
        if one.finalists:
            done, wanted = one.finalists
            finals = "tested" if done == wanted else f"{done} of {wanted} trainings"
        table.add_row(*map(Text, (one.name, searched, trials, best, finals)))
    return table


def front_table(trials: Sequence[Trial], objectives: Sequence[str], score: Score) -> WordTable:
    """The Pareto front of a search with several objectives; of contenders, by their means."""
    table = WordTable(title=f"Pareto front on validation {score.examples}")
    for name in ("trial", *((own_score(name) or (name,))[0] for name in objectives)):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("pattern")
    for trial in trials:
        accuracy = trial.attrs["accuracy"] if trial.again is None else trial.again
        accuracy *= score.sign
        pairs = zip(objectives, (accuracy, *(trial.values or ())[1:]), strict=False)
        values = (OBJECTIVES[name].show(value) for name, value in pairs)
        table.add_row(str(trial.number), *values, Text(str(trial.genome)))
    return table


def drawing(genome: Genome, skeleton: AnySkeleton, costs: bool = False) -> WordTable:
    """The pattern as a table of layers with lanes for its skips."""
    table = WordTable(
        box=None, padding=(0, 1), header_style="dim", caption=LEGEND, sheds=("skips",),
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


def spaces_table(spaces: dict[str, SearchSpace]) -> WordTable:
    table = WordTable(box=None, padding=(0, 1), sheds=("vectors",))
    table.add_column("space", no_wrap=True)
    table.add_column("usual data", no_wrap=True)
    for name in ("input", "layers", "distances", "genes", "vectors", "genomes"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, space in spaces.items():
        skeleton = space.skeleton
        table.add_row(
            name, space.data, "×".join(map(str, skeleton.input_shape)), str(skeleton.layers),
            ",".join(map(start_text, space.starts)), str(len(space.genes)),
            count(space.size), count(space.distinct),
        )  # fmt: skip
    return table


def space_table(space: SearchSpace) -> WordTable:
    """Everything about one space."""
    skeleton, text = space.skeleton, len(space.skeleton.input_shape) == 1
    rows = {
        "space": space.name,
        "usual data": space.data,
        f"input ({'symbols' if text else 'C×H×W'})": "×".join(map(str, skeleton.input_shape)),
        OUTPUTS[skeleton.outputs]: skeleton.classes,
        **skeleton.describe(),
        "distances": ", ".join(map(str, space.distances)),
        "sources by name": ", ".join(start_said(named(name)) for name in space.sources) or "none",
        "merges": ", ".join(space.merges),
        "strengths": ", ".join(f"{s:g}" for s in space.strengths),
        "period": f"{space.period}, a motif" if space.period else "none: every layer by itself",
        "learning rates": ", ".join(f"{r:g}" for r in space.learning_rates) or "the proxy's",
        "genes": len(space.genes),
        "vectors, genomes": f"{count(space.size)}, {count(space.distinct)}",
        "proxy": _proxy(space.proxy),
        "finalists' training": _proxy(space.final_proxy),
    }
    table = WordTable(box=None, padding=(0, 1), show_header=False)
    for name, value in rows.items():
        table.add_row(Text(name, "dim"), str(value))
    return table


def costs_table(costs: Costs) -> WordTable:
    """What the patterns of a space cost."""
    labels = {"params": "parameters", "macs": "MACs an input", "seconds": "seconds an evaluation"}
    table = WordTable(title="What its patterns cost")
    for name in ("", "least", "middle", "most"):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    rows = zip(costs.names, costs.least, costs.middle, costs.most, strict=True)
    for name, *values in rows:
        shown = [f"{v:.2f}" if name == "seconds" else count(round(v)) for v in values]
        table.add_row(labels[name], *shown)
    return table


def _proxy(proxy: Proxy) -> str:
    task, images = find_task(proxy.task), "all" if proxy.images is None else str(proxy.images)
    side = f" of side {proxy.resolution}" if proxy.resolution else ""
    learned = "" if proxy.task == Proxy.task else f"{task.name}: "
    return (
        f"{learned}{proxy.epochs} epochs, {images} {task.examples}{side}, batch {proxy.batch}, "
        f"learning rate {proxy.learning_rate:g}, augment {proxy.augment}, {proxy.precision}"
        f"{'' if proxy.optimizer == Proxy.optimizer else f', {proxy.optimizer}'}"
        f"{'' if proxy.schedule == Proxy.schedule else f', {proxy.schedule}'}"
    )


def bench_table(found: Bench) -> RenderableType:
    """Rates and ratios; below them the machine's limit and the shares of time."""
    from studies.speed.measure import OURS  # with torch

    title = f"{found.space} on {found.data}: {found.candidates} patterns, {len(found.rates[OURS])} repetitions"  # fmt: skip
    table = WordTable(title=Text(title, "bold"))
    for name in ("way", "candidates a minute", "spread", "skipnas is faster by", "spread"):
        table.add_column(name, justify="left" if name == "way" else "right")
    where = found.device if found.device != "cpu" else "CPU"
    pack = f" × {found.pack} in lockstep" if found.pack > 1 else ""
    label = f"skipnas: {found.workers} worker(s){pack} on {where}, {found.precision}"
    table.add_row(label, f"{median(found.rates[OURS]):.1f}", _spread(found.rates[OURS], 1), "", "")
    for way, rates in found.rates.items():
        if way == OURS:
            continue
        ratios = found.ratios(way)
        table.add_row(
            f"usual way, {way}: {found.threads} thread(s), fp32",
            f"{median(rates):.1f}", _spread(rates, 1),
            f"{median(ratios):.2f} ×", _spread(ratios, 2),
        )  # fmt: skip
    unit = "core" if found.device == "cpu" else "GPU"
    peaks = ", ".join(f"{rate:.0f} in {name}" for name, rate in found.matrix.items())
    lines = [
        f"limit: a large matrix product does {peaks} (10⁹ operations a second on one {unit});",
        f"an evaluation has {found.gflop:.1f}·10⁹, {found.needed:.0%} of it not on padding, which "
        f"goes at {found.limit_share:.0%} "
        f"of the {found.precision} rate; it takes {found.seconds:.2f} s in its worker",
        "where that time goes: " + ", ".join(f"{k} {v:.0%}" for k, v in found.shares.items()),
    ]
    return Group(table, *map(Text, lines))


def _spread(values: Sequence[float], digits: int) -> str:
    return f"{min(values):.{digits}f} – {max(values):.{digits}f}"

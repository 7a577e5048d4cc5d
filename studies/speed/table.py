"""The table that `nas bench` prints."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from studies.speed.measure import OURS, Bench


def bench_table(found: Bench) -> RenderableType:
    """Rates and ratios; below them the machine's limit and the shares of time."""
    title = f"{found.space} on {found.data}: {found.candidates} patterns, {len(found.rates[OURS])} repetitions"  # fmt: skip
    table = Table(title=Text(title, style="bold"), title_justify="left")
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

"""What `nas compare --table` runs and shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nas.drawing.figure import save
from nas.errors import InputError
from studies.cli.terminal import WordTable, make_console

if TYPE_CHECKING:
    from nas.tasks.task import Task
    from studies.tables.comparison import StrategyRegret, TableComparison

LEAST = {"seeds": 1, "evaluations": 2, "workers": 1}
SLOW = ("gp",)
"""Strategies that are compared where they are named: each proposal takes a second."""
CERTAIN = 0.05


def compare_on_table(
    name: str, strategies: Sequence[str], seeds: int, evaluations: int, workers: int | None,
    out: str, as_json: bool,
) -> None:  # fmt: skip
    """Runs strategies in a table, and prints what they miss."""
    from nas.devices.machine import default_count
    from nas.tables.table import Table
    from nas.tasks.table import find_task
    from studies.cli.progress import JobProgress
    from studies.samplers.strategies import STRATEGIES, find_strategy
    from studies.tables.comparison import compared
    from studies.tables.figure import draw_table_comparison
    from studies.tables.simulate import simulate

    workers = default_count(("cpu",)) if workers is None else workers
    asked = {"seeds": seeds, "evaluations": evaluations, "workers": workers}
    for option, value in asked.items():
        if value < LEAST[option]:
            raise InputError(f"--{option} {value}: it must be at least {LEAST[option]}")
    names = list(dict.fromkeys(strategies or [one for one in STRATEGIES if one not in SLOW]))
    for one in names:
        find_strategy(one, "nas compare --table")
    table, console = Table(name), make_console()
    with JobProgress(console, as_json, "searches") as progress:
        runs = simulate(
            table, names, seeds, evaluations, workers,
            on_result=lambda done, total: progress.update(done, total, table.name),
        )  # fmt: skip
    found, task = compared(table.name, runs), find_task(table.space.proxy.task)
    if out:
        save(draw_table_comparison(found, task), out)
    if as_json:
        print(json.dumps(found.as_json()))
        return
    console.print(regret_table(found, task))
    if out:
        console.print(f"Picture: {Path(out)}", soft_wrap=True)


def regret_table(found: TableComparison, task: Task) -> WordTable:
    """A row a strategy, the one with the least regret first."""
    points = task.unit == "%"

    def shown(value: float) -> str:
        return f"{100 * value:.2f}" if points else f"{value:.4g}"

    table = WordTable(
        title=f"Table {found.table}: regret{' in points' if points else ''} after {found.evaluations} "
        f"evaluations, {found.seeds} seeds"
    )
    table.add_column("strategy")
    until = [f"until best {100 * share:g} %" for share in found.shares]
    for name in ("median", "quartiles", "mean", *until, "− first", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in sorted(found.strategies, key=lambda one: one.mean):
        low, middle, high = one.by_evaluations[-1]
        table.add_row(
            one.strategy, shown(middle), f"{shown(low)} to {shown(high)}", shown(one.mean),
            *(_until(*told, found.evaluations) for told in one.until),
            "" if one.difference is None else f"{'+' * (one.difference > 0)}{shown(one.difference)}",
            _p(one),
        )  # fmt: skip
    return table


def _until(middle: int | None, share: float, evaluations: int) -> str:
    return f"{f'>{evaluations}' if middle is None else middle} ({100 * share:.0f} %)"


def _p(one: StrategyRegret) -> str:
    if one.p is None:
        return ""
    return f"{'< 0.001' if one.p < 0.001 else f'{one.p:.3f}'}{'' if one.p < CERTAIN else ', not decided'}"

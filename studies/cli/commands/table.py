"""The commands `nas table build|show`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from studies.cli.options import (
    GroupedCommand,
    budget,
    data_dir_option,
    each,
    means_options,
    output,
    plugin_option,
    what,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nas.tables.table import Table
    from studies.tables.facts import Known, TableFacts

BUILD = (
    what("--data", help="As for nas search. [default: the space's usual]"),
    data_dir_option,
    what("--split-seed", type=int, default=0, help="Of the split of the data."),
    plugin_option,
    budget("--patterns", type=int, help="Patterns of the space, drawn at random; more of them later go on with these. [default: all]"),
    budget("--seeds", type=int, default=3, help="Trainings of each pattern by the proxy."),
    budget("--longer", type=int, default=5, help="Epochs of the longer training, in those of the proxy."),
    budget("--sample", type=int, default=1000, help="Patterns that are trained longer, evenly over all ranks."),
    budget("--longer-seeds", type=int, default=1, help="Longer trainings of each of them."),
    budget("--best", type=int, default=500, help="Best patterns, which are trained by the proxy again."),
    budget("--best-seeds", type=int, default=8, help="Further trainings of each of them."),
    means_options,
    output("--out", type=click.Path(path_type=Path), required=True, help="The table's file, which ends in .npz; where it exists, its build goes on."),
    output("--quiet", "-q", is_flag=True, help="Only where the file is."),
)  # fmt: skip


@click.group()
def table() -> None:
    """Tables of every pattern of a space, trained: build one, show its facts."""


@table.command(cls=GroupedCommand)
@click.argument("space")
@each(BUILD)
def build(space: str, out: Path, quiet: bool, **options: Any) -> None:
    """Train every pattern of a SPACE, a name or a .toml file, into a table.

    First all patterns over a few seeds; then a sample of them for longer; then the best from more seeds.
    The file is written every minute and at the end; the same command goes on with what is missing.

    \b
    nas table build my.toml --out my.npz
    nas table build my.toml --out my.npz --patterns 200 --seeds 8
    """
    import optuna

    from studies.cli.interrupt import Interrupt, stopped
    from studies.cli.progress import JobProgress
    from studies.cli.terminal import make_console
    from studies.tables.build import TableRequest, build_table

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    console = make_console()
    try:
        with (
            Interrupt("Finishing what runs; Ctrl-C again stops it now.") as stop,
            JobProgress(console, quiet) as progress,
        ):
            found = build_table(
                TableRequest(space=space, out=out, **options),
                lambda done, total, share: progress.update(done, total, space, share), stop,
            )  # fmt: skip
    except KeyboardInterrupt:
        found = None
    if found is None:
        stopped("trainings")
    console.print(
        f"{out}: {len(found.numbers):,} patterns, {sum(map(len, found.trainings)):,} trainings, "
        f"{out.stat().st_size / 1e6:.2f} MB",
        soft_wrap=True, highlight=False,
    )  # fmt: skip


@table.command()
@click.argument("name")
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(name: str, plugins: tuple[Path, ...], as_json: bool) -> None:
    """The facts of a table, a name or an .npz file: spread, luck, optimum, local optima, references.

    \b
    nas table show my.npz
    """
    from nas.tables.table import Table
    from search_spaces import load_plugins
    from studies.cli.terminal import WordTable, make_console
    from studies.tables.facts import facts_of

    load_plugins(plugins)
    found = Table(name)
    facts = facts_of(found)
    if as_json:
        print(json.dumps(facts.as_json()))
        return
    console = make_console()
    shown = WordTable(title=f"Table {facts.name}: {facts.patterns:,} patterns", show_header=False)
    shown.add_column("what", no_wrap=True)
    shown.add_column("found")
    for label, told in fact_lines(found, facts):
        shown.add_row(label, Text(told))  # patterns have brackets
    console.print(shown)


def fact_lines(table: Table, facts: TableFacts) -> Iterator[tuple[str, str]]:
    """What is said of a table, and its numbers in words."""
    from nas.tasks.table import find_task
    from nas.training.version import TRAINER_VERSION
    from studies.formatting import duration, plural

    header, task = table.header, find_task(table.space.proxy.task)
    proxy, longer = header.proxies

    def pattern(one: Known) -> str:
        told = (
            f", {task.show(one.fresh)} on {plural(one.seeds, 'fresh seed')}"
            if one.fresh is not None
            else ""
        )
        return f"{task.show(one.score)}{told}, rank {one.rank:,}: {one.notation}"

    of = f"trainer version {header.trainer}"
    if header.trainer != TRAINER_VERSION:
        of += f", and this program's is {TRAINER_VERSION}: what it trains may differ"
    kind = " ".join(header.device.get(key, "") for key in ("type", "model", "instructions")).split()
    yield (
        "space",
        f"{table.space.name}, {table.space.distinct:,} patterns, on {header.data['name']}",
    )
    yield "made by", f"{of}, on {' '.join(kind)}"
    yield (
        "trainings",
        (
            f"{facts.trainings:,} in {duration(facts.seconds)} of computing; {plural(proxy.epochs, 'epoch')} "
            f"from {plural(len(facts.seeds), 'seed')} each, {longer.epochs} epochs of {facts.longer:,} "
            f"patterns; {100 * facts.failed:.2f} % did not come to their end"
        ),
    )
    if facts.missing:
        yield "missing", f"{plural(facts.missing, 'pattern')}: the build is not complete"
    yield f"{task.label}: least, quartiles, most", ", ".join(map(task.show, facts.quantiles))
    for one in facts.measures:
        best = "–" if one.best is None else f"{one.best.one:.2f}"
        ranks = (
            ""
            if one.ranks is None
            else f"; rank correlation with the longer training {one.ranks:.2f}"
        )
        if one.ranks_best is not None:
            ranks += f", in the best tenth {one.ranks_best:.2f}"
        name = task.label if one.name == "score" else "log loss"
        yield (
            f"{name}: reliability of one seed",
            (
                f"{one.overall.one:.3f}, in the best tenth {best}{ranks}; deviation between patterns "
                f"{one.overall.between:.4f}, over seeds {one.overall.within:.4f}"
            ),
        )
    yield "optimum", pattern(facts.best)
    yield "local optima", f"{facts.local_optima:,} patterns are as good as all their neighbours"
    for name, known in facts.references.items():
        yield name, pattern(known)
    ranks = ", ".join(f"{name} {rho:+.2f}" for name, rho in facts.explained.items())
    yield "explained by counts", f"R² {facts.r_squared:.2f} of all; rank correlations: {ranks}"

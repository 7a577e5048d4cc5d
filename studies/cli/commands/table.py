"""The commands `nas table build|show`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

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

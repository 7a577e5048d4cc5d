"""The command `nas validate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from studies.cli.options import (
    GroupedCommand,
    budget,
    data_dir_option,
    each,
    means_options,
    output,
    plugin_option,
    storage_option,
    what,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from studies.validity.facts import Validity

OPTIONS = (
    what("--data", help="As for nas search. [default: the space's usual]"),
    data_dir_option,
    what("--split-seed", type=int, default=0, help="Of the split of the data."),
    what("--seed", type=int, default=0, help="Of the patterns that are drawn, weights and batches."),
    plugin_option,
    budget("--patterns", type=int, default=100, help="Random patterns of the space."),
    budget("--seeds", type=int, default=4, help="Trainings of each by the proxy."),
    budget("--longer", type=int, default=5, help="Epochs of the longer training, in those of the proxy; 0 leaves it out."),
    budget("--longer-seeds", type=int, default=2, help="Longer trainings of each pattern."),
    means_options,
    output("--study", help="Name of the study that holds the trainings. [default: follows from the settings]"),
    storage_option,
    output("--out", type=click.Path(path_type=Path), help="Write a picture: .png, .svg or .pdf."),
    output("--json", "as_json", is_flag=True, help="One JSON object."),
)  # fmt: skip


@click.command(cls=GroupedCommand)
@click.argument("target", metavar="SPACE|STUDY")
@each(OPTIONS)
def validate(target: str, out: Path | None, as_json: bool, **options: Any) -> None:
    """How far to trust a space's proxy, the short training that ranks candidates.

    Of a SPACE, random patterns are trained over several seeds, and once more for longer. Of a STUDY, the
    trainings that it has recorded are used, and nothing is trained.

    \b
    nas validate digits27
    nas validate my.toml --patterns 60 --out validity.png
    nas validate digits27-c1e295
    """
    import optuna

    from nas.drawing.figure import check_picture, save
    from search_spaces import SPACES
    from studies.cli.interrupt import Interrupt
    from studies.cli.progress import JobProgress
    from studies.cli.terminal import make_console
    from studies.validity.figure import validity_figure
    from studies.validity.run import ValidationRequest, validate_space
    from studies.validity.study import validate_study

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    check_picture(out or "")
    console = make_console()
    found: Validity | None
    if target in SPACES or target.endswith(".toml"):
        with (
            Interrupt("Finishing what runs; Ctrl-C again stops it now.") as stop,
            JobProgress(console, as_json) as progress,
        ):
            found = validate_space(
                ValidationRequest(space=target, **options),
                lambda done, total: progress.update(done, total, "trainings"), stop,
            )  # fmt: skip
    else:
        found = validate_study(target, options["storage"], options["plugins"])
    if found is None:
        raise KeyboardInterrupt
    if as_json:
        print(json.dumps(found.as_json()))
    else:
        console.print(validity_table(found))
        console.print(found.recommendation, soft_wrap=False, markup=False, highlight=False)
    if out:
        path = save(validity_figure(found), out)
        if not as_json:
            console.print(f"Picture: {path}", soft_wrap=True)


def validity_table(found: Validity) -> RenderableType:
    """A row a score."""
    from studies.cli.terminal import WordTable

    over = f"{found.patterns} patterns, {found.seeds} seeds, {found.images} validation {found.score.examples}"
    table = WordTable(title=f"{found.name}: {over}", sheds=("between", "over seeds"))
    for name in (
        "score", "between", "over seeds", "reliability", "best tenth", "ρ longer", "ρ best tenth",
    ):  # fmt: skip
        table.add_column(name, justify="left" if name == "score" else "right", no_wrap=True)
    for one in found.measures:
        numbers = (
            one.overall.between, one.overall.within, one.overall.one,
            one.best and one.best.one, one.ranks, one.ranks_best,
        )  # fmt: skip
        digits = (3, 3, 2, 2, 2, 2)
        cells = ("–" if n is None else f"{n:.{d}f}" for n, d in zip(numbers, digits, strict=True))
        table.add_row("log loss" if one.name == "loss" else one.name, *cells)
    return table

"""The command `nas show`."""

from __future__ import annotations

from pathlib import Path

import click

from nas.errors import InputError, own_name
from studies.cli.options import plugin_option, storage_option


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("notation")
@click.option(
    "--space", help="The space whose skeleton it is shown on. [default: one stage of basic blocks]"
)
@click.option("--baseline", "on", help="The baseline whose skeleton it is shown on, instead.")
@click.option("--out", type=click.Path(path_type=Path), help="Write a picture: .png, .svg or .pdf.")
@storage_option
@plugin_option
def show(
    notation: str, space: str | None, on: str | None, storage: str, out: Path | None,
    plugins: tuple[Path, ...],
) -> None:  # fmt: skip
    """Draw a pattern, with its layers, parameters and MACs.

    NOTATION is one, such as "add(1)*9", or best:STUDY, best:STUDY/POINT (accuracy, knee or cheapest) or
    trial:STUDY/NUMBER.

    \b
    nas show "add(1)*9" --space digits9
    nas show "- add(1,2@0.5)*8" --space fashion9 --out pattern.png
    nas show best:my-study
    """
    from rich.text import Text

    from baselines import find_baseline
    from nas.architecture.genome import Genome
    from nas.architecture.merges import MERGES
    from nas.architecture.plan import plan
    from nas.architecture.skeletons.convolutional import Skeleton, Stage
    from nas.drawing.figure import check_picture, draw, save
    from search_spaces import load_plugins
    from studies.cli.tables import drawing
    from studies.cli.terminal import make_console
    from studies.formatting import count
    from studies.search.spaces import find_space

    loaded = {path.name: digest for path, digest in load_plugins(plugins).items()}
    check_picture(out or "")
    if notation.startswith(("best:", "trial:")):
        from studies.retraining.pattern import find_pattern

        pattern = find_pattern(notation, space, on, storage, loaded)
        genome, skeleton = pattern.genome, pattern.skeleton
    else:
        genome = Genome.parse(notation)
        skeleton = Skeleton((3, 32, 32), 10, (Stage(len(genome), 16),))
        if on:
            skeleton = find_baseline(on).skeleton
        elif space:
            skeleton = find_space(space).skeleton
    planned = plan(genome, skeleton)
    if any(own_name(MERGES[layer.merge]) for layer in genome.layers if layer.merge):
        from nas.network.compile import check_forward  # with torch

        check_forward(planned)
    console = make_console()
    if space and not on:
        try:
            find_space(space).check(genome)
        except InputError as error:
            note = f"Not a genome of the space {space}: {error}"
            console.print(Text(note, "dim"), soft_wrap=True)
    console.print(drawing(genome, skeleton, costs=True))
    console.print(f"{genome}", soft_wrap=True, highlight=False)
    console.print(f"{planned.params:,} parameters, {planned.macs:,} MACs ({count(planned.macs)})")
    if out:
        console.print(
            f"Picture: {save(draw(genome, skeleton, str(genome)[:100]), out)}", soft_wrap=True
        )

"""The command `nas show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nas.errors import InputError, own_name
from studies.cli.options import plugin_option, storage_option

if TYPE_CHECKING:
    from nas.architecture.genome import Genome
    from nas.architecture.skeletons.skeleton import AnySkeleton

LAYERS = 9
"""Of a reference that is shown on no space."""


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("notation")
@click.option(
    "--space", help="The space whose skeleton it is shown on. [default: one stage of basic blocks]"
)
@click.option("--baseline", "on", help="The baseline whose skeleton it is shown on, instead.")
@click.option(
    "--layers",
    type=int,
    help="Stretch pattern and skeleton to so many layers; of a reference's own, where no space is named. [default: 9]",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write a picture: .png, .svg or .pdf.")
@storage_option
@plugin_option
def show(
    notation: str, space: str | None, on: str | None, layers: int | None, storage: str,
    out: Path | None, plugins: tuple[Path, ...],
) -> None:  # fmt: skip
    """Draw a pattern, with its layers, parameters and MACs.

    NOTATION is one, such as "add(1)*9", a reference's name, such as rezero, or best:STUDY,
    best:STUDY/POINT (accuracy, knee or cheapest) or trial:STUDY/NUMBER.

    \b
    nas show "add(1)*9" --space digits9
    nas show "- add(1,2@0.5)*8" --space fashion9 --out pattern.png
    nas show rezero --space digits27 --layers 54
    nas show best:my-study
    """
    from rich.text import Text

    from nas.architecture.merges import MERGES
    from nas.architecture.plan import plan
    from nas.architecture.stretch import deepened, stretched
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
        genome, skeleton = _written(notation, space, on, layers or LAYERS)
    if layers:
        genome, skeleton = stretched(genome, skeleton, layers), deepened(skeleton, layers)
    planned = plan(genome, skeleton)
    if any(own_name(MERGES[layer.merge]) for layer in genome.layers if layer.merge):
        from nas.network.compile import check_forward  # with torch

        check_forward(planned)
    console = make_console()
    if space and layers is None:
        try:
            found = find_space(space)
            found.check(genome.at(next(iter(found.learning_rates), None)))
        except InputError as error:
            note = f"Not a genome of the space {space}: {error}"
            console.print(Text(note, "dim"), soft_wrap=True)
    console.print(drawing(genome, skeleton, costs=True))
    console.print(f"{genome}", soft_wrap=True, markup=False, highlight=False)
    console.print(f"{planned.params:,} parameters, {planned.macs:,} MACs ({count(planned.macs)})")
    if out:
        console.print(
            f"Picture: {save(draw(genome, skeleton, str(genome)[:100]), out)}", soft_wrap=True
        )


def _written(
    notation: str, space: str | None, on: str | None, layers: int
) -> tuple[Genome, AnySkeleton]:
    """A notation or a reference on the skeleton of a space or a baseline, or on one stage of blocks.

    Args:
        layers: of a reference that is shown on none of them.
    """
    from baselines import find_baseline
    from nas.architecture.references import named_or_parsed
    from nas.architecture.skeletons.convolutional import Skeleton, Stage
    from studies.search.spaces import find_space

    if on or space:
        skeleton = find_baseline(on).skeleton if on else find_space(str(space)).skeleton
        return named_or_parsed(notation, skeleton), skeleton
    genome = named_or_parsed(notation, Skeleton((3, 32, 32), 10, (Stage(layers, 16),)))
    return genome, Skeleton((3, 32, 32), 10, (Stage(len(genome), 16),))

"""The command `nas data`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from studies.cli.options import data_dir_option, plugin_option


@click.command()
@click.argument("data")
@click.option("--space", default="digits27", show_default=True,
              help="A named space or a .toml file: pictures of different sizes are scaled to its input.")  # fmt: skip
@data_dir_option
@click.option(
    "--split-seed", type=click.IntRange(0), default=0, show_default=True, help="Of the split."
)
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def data(
    data: str, space: str, data_dir: Path | None, split_seed: int, plugins: tuple[Path, ...],
    as_json: bool,
) -> None:  # fmt: skip
    """Say what a data set is, as nas search would take it: classes, split, sizes, guessing.

    DATA is a named set, a folder of pictures by class, or an .npz file.

    \b
    nas data digits
    nas data pictures/ --space fashion9
    """
    from nas.data.description import description, sentences
    from nas.data.load import load_data
    from search_spaces import load_plugins
    from studies.cli.terminal import make_console, tell
    from studies.search.spaces import find_space

    load_plugins(plugins)
    side = find_space(space).skeleton.side
    found = load_data(data, data_dir, split_seed, side)
    if as_json:
        print(json.dumps(description(found)))
        return
    print(f"{found.name}: {found.source}")
    tell(make_console(), sentences(found))

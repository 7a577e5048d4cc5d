"""The command `nas data`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from studies.cli.options import Option, data_dir_option, plugin_option


@click.command()
@click.argument("data")
@click.option("--space", show_default="digits27; sequences of 128 symbols for a text",
              help="A named space or a .toml file: pictures of different sizes are scaled to its input, "
              "and sequences of a text are as long.")  # fmt: skip
@click.option("--task", cls=Option, metavar="NAME",
              help="What is learned: {tasks}; by default what the data look like.")  # fmt: skip
@data_dir_option
@click.option(
    "--split-seed", type=click.IntRange(0), default=0, show_default=True, help="Of the split."
)
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def data(
    data: str, space: str | None, task: str | None, data_dir: Path | None, split_seed: int,
    plugins: tuple[Path, ...], as_json: bool,
) -> None:  # fmt: skip
    """Say what a data set is, as nas search would take it: classes, split, sizes, guessing.

    DATA is a named set, a folder of pictures by class, with masks or without either, an .npz file, or
    a text in a .txt file or in a folder of them.

    \b
    nas data digits
    nas data pictures/ --space fashion9
    nas data letters.txt
    nas data fashion-mnist --task denoising
    """
    from nas.data.description import description, sentences
    from nas.data.fitting import check_task
    from nas.data.load import load_data
    from nas.tasks.table import find_task
    from search_spaces import load_plugins
    from studies.cli.terminal import make_console, tell
    from studies.search.spaces import find_space

    load_plugins(plugins)
    side = find_space(space or "digits27").skeleton.side
    learned = find_task(task, "--task") if task else None
    found = load_data(data, data_dir, split_seed, side, learned)
    if space is None and found.kind == "text":
        found = load_data(data, data_dir, split_seed)
    if learned:
        check_task(learned, found)
    if as_json:
        print(json.dumps(description(found, learned)))
        return
    print(f"{found.name}: {found.source}")
    tell(make_console(), sentences(found, learned))

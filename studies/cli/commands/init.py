"""The command `nas init`."""

from __future__ import annotations

from pathlib import Path

import click

from studies.cli.options import Option, data_dir_option


@click.command()
@click.argument("file", metavar="NAME.toml", type=click.Path(path_type=Path))
@click.option("--data", required=True, help="As for nas search.")
@click.option("--task", cls=Option, metavar="NAME",
              help="What is learned: {tasks}; by default what the data look like.")  # fmt: skip
@data_dir_option
@click.option("--side", type=click.IntRange(4, 1024), show_default="32 pixels, 128 symbols",
              help="Pixels of the square that pictures of different sizes become, or symbols of a "
              "text's sequences.")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def init(
    file: Path, data: str, task: str | None, data_dir: Path | None, side: int | None, force: bool
) -> None:
    """Write a search space for your data as a commented file, to be edited.

    The data's labels say what is learned: classes of pictures, masks, what follows in a text, or, of
    pictures without either, how noise is taken away.

    \b
    nas init my.toml --data pictures/
    nas init my.toml --data letters.txt
    nas init my.toml --data pictures/ --task inpainting
    nas search --space my.toml
    """
    from nas.data.description import sentences
    from nas.data.fitting import usual_task
    from nas.data.load import load_data
    from nas.errors import InputError
    from nas.files.safe import write_text
    from nas.tasks.table import find_task
    from search_spaces.template import template
    from studies.cli.terminal import make_console, tell

    if file.suffix != ".toml":
        raise InputError(f"{file}: the file's name ends in .toml")
    if file.exists() and not force:
        raise InputError(f"{file} is there already; --force replaces it")
    if not file.parent.is_dir():
        raise InputError(f"{file}: there is no folder {file.parent}")
    learned = find_task(task, "--task") if task else None
    found = load_data(data, data_dir, side=side, task=learned)
    learned = learned or usual_task(found)
    write_text(file, template(found, learned, str(file)))
    tell(make_console(), sentences(found, learned))
    print(f"Written: {file}\nNext:\n  nas search --space {file}")

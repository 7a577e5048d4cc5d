"""The command `nas init`."""

from __future__ import annotations

from pathlib import Path

import click

from studies.cli.options import data_dir_option


@click.command()
@click.argument("file", metavar="NAME.toml", type=click.Path(path_type=Path))
@click.option("--data", required=True, help="As for nas search.")
@data_dir_option
@click.option("--side", type=click.IntRange(4, 1024), default=32, show_default=True,
              help="Pixels of the square that pictures of different sizes become.")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def init(file: Path, data: str, data_dir: Path | None, side: int, force: bool) -> None:
    """Write a search space for your data as a commented file, to be edited.

    \b
    nas init my.toml --data pictures/
    nas search --space my.toml
    """
    from nas.data.description import sentences
    from nas.data.load import load_data
    from nas.errors import InputError
    from nas.files.safe import write_text
    from search_spaces.template import template
    from studies.cli.terminal import make_console, tell

    if file.suffix != ".toml":
        raise InputError(f"{file}: the file's name ends in .toml")
    if file.exists() and not force:
        raise InputError(f"{file} is there already; --force replaces it")
    if not file.parent.is_dir():
        raise InputError(f"{file}: there is no folder {file.parent}")
    found = load_data(data, data_dir, side=side)
    write_text(file, template(found, str(file)))
    tell(make_console(), sentences(found))
    print(f"Written: {file}\nNext:\n  nas search --space {file}")

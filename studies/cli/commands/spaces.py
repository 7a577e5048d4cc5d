"""The command `nas spaces`."""

from __future__ import annotations

from pathlib import Path

import click

from studies.cli.options import plugin_option


@click.command()
@click.argument("name", required=False)
@plugin_option
def spaces(name: str | None, plugins: tuple[Path, ...]) -> None:
    """List the search spaces with their sizes, or tell all about one (a name or a .toml file)."""
    from search_spaces import SPACES, load_plugins
    from studies.cli.tables import space_table, spaces_table
    from studies.cli.terminal import make_console
    from studies.search.spaces import find_space

    load_plugins(plugins)
    console = make_console()
    if name:
        console.print(space_table(find_space(name)))
        return
    console.print(spaces_table(SPACES))
    console.print("nas spaces NAME tells all about one; a space of your own is a TOML file.")

"""The command `nas spaces`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nas.errors import InputError
from studies.cli.options import data_dir_option, plugin_option


@click.command()
@click.argument("name", required=False)
@plugin_option
@click.option("--profile", is_flag=True,
              help="Also what its patterns cost: parameters, multiply-adds, seconds an evaluation.")  # fmt: skip
@click.option("--max-params", type=int, help="With --profile: whether this limit can be reached.")
@click.option("--max-macs", type=int, help="With --profile: whether this limit can be reached.")
@click.option("--data", help="With --profile: as for nas search. [default: the space's usual data]")
@data_dir_option
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
def spaces(name: str | None, plugins: tuple[Path, ...], profile: bool, **options: Any) -> None:
    """List the search spaces with their sizes, or tell all about one (a name or a .toml file)."""
    from search_spaces import SPACES, load_plugins
    from studies.cli.tables import costs_table, space_table, spaces_table
    from studies.cli.terminal import make_console
    from studies.search.spaces import find_space

    load_plugins(plugins)
    console = make_console()
    if name is None:
        if profile:
            raise InputError("--profile: name a space, as nas spaces digits27 --profile")
        console.print(spaces_table(SPACES))
        console.print("nas spaces NAME tells all about one; a space of your own is a TOML file.")
        return
    console.print(space_table(find_space(name)))
    if not profile:
        return
    from studies.search.request import SearchRequest, check_request
    from studies.speed.costs import timed_costs

    limits = {key: options.pop(key) for key in ("max_params", "max_macs")}
    request = SearchRequest(space=name, plugins=plugins, **options)
    check_request(SearchRequest(**limits))
    costs = timed_costs(request, limits["max_params"], limits["max_macs"])
    console.print(costs_table(costs))
    if costs.within is not None:
        console.print(costs.limits_sentence, soft_wrap=True)

"""`nas dashboard`: the studies of a storage in a browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from studies.cli.options import plugin_option, storage_option

if TYPE_CHECKING:
    from studies.dashboard.server import Dashboard


@click.command()
@storage_option
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="0 takes any that is free.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; the default is this machine only.",
)
@click.option(
    "--open/--no-browser",
    "show",
    default=False,
    help="Open a browser. [default: --no-browser]",
)
@click.option(
    "--all", "every", is_flag=True,
    help="List contenders, finalists and knock-outs, too, which are studies beside their search.",
)  # fmt: skip
@plugin_option
def dashboard(
    storage: str, port: int, host: str, show: bool, every: bool, plugins: tuple[Path, ...]
) -> None:
    """Show the studies of a storage in a browser, also while a search runs.

    Pages with the searches as they go, their best patterns drawn, and two trials side by side;
    knock-outs and trainings can be started from them. Beside them the Optuna Dashboard, with a
    picture of every trial's pattern and a note for every study. Ctrl-C ends it.

    \b
    nas dashboard
    nas dashboard --all
    nas dashboard --storage nas.log --port 9000 --open
    nas dashboard --storage postgresql://… --plugin my_merges.py
    """
    import optuna

    from search_spaces import load_plugins
    from studies.dashboard.server import Dashboard
    from studies.pages.site import LOOPBACK, Site

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    load_plugins(plugins)
    sites: list[Site] = []

    def front(opened: Any, theirs: Any) -> Site:
        sites.append(Site(opened, storage, theirs, host in LOOPBACK, plugins))
        return sites[0]

    def warn(line: str) -> None:
        print(f"warning: {line}", file=sys.stderr)

    served = Dashboard(storage, host, port, warn, every, front)
    if host not in LOOPBACK:
        print(
            f"warning: there is no password: whoever reaches port {served.port} of this machine "
            "can read, change and delete these studies",
            file=sys.stderr,
        )
    try:
        _serve(served, sites[0].token, show)
    except KeyboardInterrupt:
        print("The dashboard has ended.")
    finally:
        sites[0].end()


def _serve(served: Dashboard, token: str, show: bool) -> None:
    """Says where the pages are, and serves them until it is interrupted."""
    newest = served.newest()
    if newest:
        print(f"Study {newest[0]}: {served.address}/study/{newest[1]}")
    else:
        print("There are no studies of nas search yet; they appear as they are made.")
    start = f"{served.address}/" + (f"?token={token}" if token else "")
    print(f"All studies: {start}")
    print(f"Optuna's dashboard: {served.address}/dashboard")
    print(f"Pictures of patterns: {served.folder}. Ctrl-C ends the dashboard.", flush=True)
    if show:
        click.launch(start)
    served.serve()

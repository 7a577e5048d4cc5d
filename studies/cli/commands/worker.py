"""The command `nas worker`."""

from __future__ import annotations

import sys
from typing import Any

import click

from studies.cli.interrupt import EXIT_INTERRUPTED, Interrupt
from studies.cli.options import (
    data_dir_option,
    evaluate_option,
    means_options,
    plugin_option,
    storage_option,
)


@click.command()
@click.option("--study", required=True, help="Name of the study.")
@storage_option
@click.option("--data", help="The study's data, where they lie elsewhere now.")
@data_dir_option
@means_options
@click.option("--max-seconds", type=float, help="No new proposals after this time.")
@click.option(
    "--wait",
    type=float,
    default=0.0,
    show_default=True,
    help="Seconds to wait for the study to be made.",
)
@plugin_option
@evaluate_option
@click.option("--quiet", "-q", is_flag=True, help="Only the result.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines for scripts.")
def worker(quiet: bool, as_json: bool, **options: Any) -> None:
    """Help with a study, beside its search and other workers, on this or any other machine.

    The study decides what is proposed and how it is trained; this command needs its storage and its
    images, and a device of its kind. It takes over what others leave behind, and ends when the study
    has the evaluations and finalists that the last nas search asked for.

    \b
    nas worker --study my-study
    nas worker --study my-study --storage postgresql+psycopg://nas@db/nas --workers 4
    """
    import optuna

    from studies.cli.json_lines import JsonWatcher
    from studies.cli.progress import WorkerWatcher
    from studies.cli.terminal import make_console
    from studies.search.join import Joining, join_study
    from studies.search.request import SearchRequest

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    joining = Joining(**options)
    request = SearchRequest(study=joining.study, storage=joining.storage)
    console = make_console()
    watcher = JsonWatcher(request) if as_json else WorkerWatcher(console, request, quiet, None)
    with Interrupt("Finishing what runs; Ctrl-C again stops it now.") as stop:
        result = join_study(joining, watcher, stop)
    if result.outcome.reason == "interrupted":
        sys.exit(EXIT_INTERRUPTED)

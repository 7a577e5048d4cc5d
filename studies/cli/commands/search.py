"""The command `nas search`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from studies.cli.config import read_config
from studies.cli.interrupt import EXIT_INTERRUPTED, Interrupt
from studies.cli.options import (
    data_dir_option,
    means_options,
    plugin_option,
    storage_option,
)


@click.command()
@click.option(
    "--config",
    is_eager=True,
    callback=read_config,
    help="A study definition: a TOML file with values for these options (names with underscores), or one that comes with this program: distances, fashion, merges-and-strengths, pareto, quick-digits.",
)
@click.option(
    "--space",
    default="digits9",
    show_default=True,
    help="A named space (nas spaces) or a .toml file.",
)
@click.option(
    "--data",
    help="digits, fashion-mnist, cifar10, cifar100, a folder of images by class, or an .npz file. [default: the space's usual data]",
)
@data_dir_option
@click.option(
    "--from",
    "start",
    help="A baseline (nas baseline list), on whose skeleton the search runs, or a notation: its mutants are the first population.",
)
@click.option(
    "--strategy",
    default="regularized",
    show_default=True,
    help="Evolution: regularized, mu-plus-lambda, nsga2, random. Optuna: tpe, gp, nsga2-optuna, nsga3, random-optuna.",
)
@click.option(
    "--pruner",
    default="none",
    show_default=True,
    help="Stops weak candidates after an epoch: none, median, halving or hyperband.",
)
@click.option(
    "--screen",
    help="SCORE:N, such as synflow:4: draws N candidates (2 to 64) for a trial and trains the one with the best score at initialisation (nas score). [default: trains the first]",
)
@click.option(
    "--inherit",
    is_flag=True,
    help="A child starts from its first parent's trained weights, where names and shapes agree; accuracies then reflect the training of all ancestors. Finalists start from scratch.",
)
@click.option(
    "--evaluations",
    type=int,
    default=100,
    show_default=True,
    help="Trials in the study, the three hand-made patterns among them.",
)
@click.option(
    "--patience",
    type=int,
    help="Ends the search once so many evaluations in a row have gained nothing; those of the last --lag trials count later. [default: none]",
)
@click.option("--max-seconds", type=float, help="No new proposals after this time.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Of proposals, weights and batches."
)
@click.option(
    "--objectives",
    help="accuracy, or accuracy with params, macs, latency-1, latency-full or gradient-ratio, comma-separated. [default: accuracy; nsga2, nsga2-optuna, nsga3: accuracy,params]",
)
@click.option("--max-params", type=int, help="No candidate with more parameters.")
@click.option("--max-macs", type=int, help="No candidate with more multiply-adds an image.")
@click.option(
    "--population",
    type=int,
    default=16,
    show_default=True,
    help="Individuals that can be parents at a time.",
)
@means_options
@click.option(
    "--fast", is_flag=True, help="On a GPU: faster algorithms whose results do not repeat exactly."
)
@click.option("--study", help="Name of the study. [default: follows from the settings]")
@storage_option
@click.option(
    "--lag",
    type=int,
    default=8,
    show_default=True,
    help="Proposal k sees the results before k - lag.",
)
@click.option(
    "--contenders",
    type=int,
    default=12,
    show_default=True,
    help="Best candidates to train again, as they were, to choose the finalists; 0 leaves it out.",
)
@click.option(
    "--contender-seeds",
    type=int,
    default=4,
    show_default=True,
    help="Fresh seeds for each of them.",
)
@click.option(
    "--finalists",
    type=int,
    default=3,
    show_default=True,
    help="Best candidates to train longer and test; 0 leaves it out.",
)
@click.option(
    "--finalist-seeds",
    type=int,
    default=16,
    show_default=True,
    help="Fresh seeds for each of them.",
)
@click.option(
    "--split-seed",
    type=int,
    default=0,
    show_default=True,
    help="Of the split into training, validation and test images.",
)
@plugin_option
@click.option(
    "--picture",
    default="{study}.png",
    show_default=True,
    help="Where the best pattern's picture goes; '' for none.",
)
@click.option("--quiet", "-q", is_flag=True, help="Only the result.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines for scripts.")
def search(quiet: bool, as_json: bool, picture: str, config: Path | None, **options: Any) -> None:
    """Search a space for the best skip pattern; the same command again goes on.

    \b
    nas search
    nas search --space fashion9 --data fashion-mnist --evaluations 60
    nas search --strategy nsga2 --objectives accuracy,macs
    nas search --strategy tpe --pruner hyperband
    nas search --screen synflow:4
    nas search --config pareto
    nas search --from resnet-56 --space exercise28 --data fashion-mnist
    nas search --space my.toml --storage postgresql://… --workers 8
    """
    import optuna
    from rich.console import Console

    from nas.drawing.figure import check_picture
    from studies.cli.json_lines import JsonWatcher
    from studies.cli.progress import ConsoleWatcher
    from studies.report.write import file_name
    from studies.search.request import SearchRequest
    from studies.search.run import run_search
    from studies.store.url import shown

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    request = SearchRequest(**options)
    if request.study:  # no name of a study leads out of the picture's folder
        picture = picture.replace("{study}", file_name(request.study))
    check_picture(picture)
    console = Console()
    view = (
        JsonWatcher(request)
        if as_json
        else ConsoleWatcher(console, request, quiet, picture or None)
    )
    try:
        with Interrupt("Finishing what runs; Ctrl-C again stops it now.") as stop:
            result = run_search(request, view, stop)
        interrupted = result.outcome.reason == "interrupted"
    except KeyboardInterrupt:
        interrupted = True
    if interrupted:
        if isinstance(view, ConsoleWatcher):
            view.stop()
        command = shlex.join(["nas", *map(shown, sys.argv[1:])])
        print(
            f"\nStopped; all finished evaluations are kept. Go on with:\n  {command}",
            file=sys.stderr,
        )
        sys.exit(EXIT_INTERRUPTED)

"""The command `nas search`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from studies.cli.config import read_config
from studies.cli.interrupt import Interrupt, stopped
from studies.cli.options import (
    GroupedCommand,
    budget,
    data_dir_option,
    each,
    evaluate_option,
    finals,
    how,
    machines,
    means_options,
    output,
    plugin_option,
    storage_option,
    what,
)

OPTIONS = (
    what("--space", default="digits27", help="A named space (nas spaces) or a .toml file."),
    what("--data", help="{data}, a folder of pictures by class or with masks, an .npz file, or a .txt file. [default: the space's usual data]"),
    data_dir_option,
    what("--split-seed", type=int, default=0, help="Of the split into training, validation and test part."),
    what("--table", help="A table (nas table), by name or as an .npz file, in which the trainings are looked up: its space, nothing is trained."),
    what("--model", help="my_model.py:make, a function that makes a model of your own: patterns of the space are searched on its blocks."),
    what("--blocks", help="Where the list of blocks is in the model: features, features[1:16], or stages.*.blocks; comma-separated. [default: its longest list]"),
    what("--from", "start", help="A baseline (nas baseline list), on whose skeleton the search runs, or a notation: its mutants are the first population."),
    what("--max-params", type=int, help="No candidate with more parameters."),
    what("--max-macs", type=int, help="No candidate with more multiply-adds an input."),
    plugin_option,
    evaluate_option,
    what("--config", is_eager=True, callback=read_config,
          help="A study definition: a TOML file with values for these options (names with underscores), or one that comes with this program: {definitions}."),
    how("--strategy", default="regularized", help="How candidates follow from the results before them: {strategies}."),
    how("--objectives", help="accuracy or loss (of validation images), or the score of another task (bpc, psnr, miou), alone or with others of {objectives}; comma-separated. [default: accuracy; {default_objectives}]"),
    how("--pruner", default="none", help="Stops weak candidates after an epoch: {pruners}."),
    how("--screen", help="SCORE:N, such as synflow:4: draws N candidates (2 to 64) for a trial and trains the one with the best score at initialisation: {scores} (nas score). [default: trains the first]"),
    how("--inherit", is_flag=True, help="A child starts from its first parent's trained weights, where names and shapes agree; scores then reflect the training of all ancestors. Finalists start from scratch."),
    how("--population", type=int, default=16, help="Individuals that can be parents at a time."),
    how("--lag", type=int, default=8, help="Proposal k sees the results before k - lag."),
    how("--seed", type=int, default=0, help="Of proposals, weights and batches."),
    budget("--evaluations", type=int, default=150, help="Trials in the study, the first three references among them."),
    budget("--patience", type=int, help="Ends the search once so many evaluations in a row have gained nothing; those of the last --lag trials count later. [default: none]"),
    budget("--target", type=float, help="Ends the search once its best has this score in the first objective, such as 0.95 for accuracy; those of the last --lag trials count later. [default: none]"),
    budget("--max-seconds", type=float, help="No new proposals after this time."),
    means_options,
    machines("--fast", is_flag=True, help="On a GPU: faster algorithms whose results do not repeat exactly."),
    finals("--contenders", type=int, default=12, help="Best candidates to train again, as they were, in a race that chooses the finalists; 0 leaves it out."),
    finals("--contender-seeds", type=int, default=2, help="Fresh seeds for each of them in the race's first round; after every round the better half goes on with as many again."),
    finals("--finalists", type=int, default=3, help="Best candidates to train longer, of which the best is tested; 0 leaves it out."),
    finals("--tuning-seeds", type=int, default=2, help="Fresh seeds at each learning rate for the finalists and for every reference that fits the space, on the validation part; the best of each goes to the test. 0 tests all finalists."),
    finals("--finalist-seeds", type=int, default=24, help="Fresh seeds of the test."),
    output("--study", help="Name of the study. [default: follows from the settings]"),
    storage_option,
    output("--picture", default="{study}.png", help="Where the best pattern's picture goes; '' for none."),
    output("--track", "track", multiple=True, help="{trackers}, or my_file.py:MyTracker: also tells this tracker of the search; repeatable."),
    output("--quiet", "-q", is_flag=True, help="Only the result."),
    output("--json", "as_json", is_flag=True, help="JSON lines for scripts."),
)  # fmt: skip
"""All options, in the order of the help."""


@click.command(cls=GroupedCommand)
@each(OPTIONS)
def search(
    quiet: bool,
    as_json: bool,
    picture: str,
    config: Path | None,
    track: tuple[str, ...],
    **options: Any,
) -> None:
    """Search a space for the best skip pattern; the same command again goes on.

    \b
    nas search
    nas search --space fashion9 --data fashion-mnist --evaluations 60
    nas search --strategy nsga2 --objectives accuracy,macs
    nas search --strategy tpe --pruner hyperband
    nas search --screen synflow:4
    nas search --config pareto
    nas search --from resnet-56 --space exercise28 --data fashion-mnist
    nas search --model my_model.py:make --space digits9
    nas search --space my.toml --storage postgresql://… --workers 8
    """
    if sys.stdout.isatty() and not (quiet or as_json):  # PyTorch takes a second to load
        click.echo(f"Space {options['space']}: loading PyTorch and the data …")
    from nas.workers.process import start_method

    if not options["table"]:
        start_method()  # the workers' server loads PyTorch beside this process
    import optuna

    from nas.drawing.figure import check_picture
    from studies.cli.json_lines import JsonWatcher
    from studies.cli.progress import ConsoleWatcher
    from studies.cli.terminal import make_console
    from studies.report.write import file_name
    from studies.search.request import SearchRequest
    from studies.search.run import Watcher, run_search

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    request = SearchRequest(**options)
    if request.study:  # no name of a study leads out of the picture's folder
        picture = picture.replace("{study}", file_name(request.study))
    check_picture(picture)
    console = make_console()
    shown: Watcher = (
        JsonWatcher(request)
        if as_json
        else ConsoleWatcher(console, request, quiet, picture or None)
    )
    watcher = shown
    if track:
        from studies.tracking.watchers import TrackedSearch

        watcher = TrackedSearch(track, shown)
    try:
        with Interrupt("Finishing what runs; Ctrl-C again stops it now.") as stop:
            result = run_search(request, watcher, stop)
        interrupted = result.outcome.reason == "interrupted"
    except KeyboardInterrupt:
        interrupted = True
    if interrupted:
        shown.stop()
        stopped("evaluations")

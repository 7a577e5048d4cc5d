"""The command `nas train`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from studies.cli.interrupt import stopped
from studies.cli.options import data_dir_option, option, plugin_option, storage_option
from studies.cli.terminal import make_console
from studies.retraining.request import EPOCHS, TrainRequest

EXIT_FAILED = 1
NOTATIONS: dict[str, Any] = {
    "ignore_unknown_options": True,  # a notation may begin with -
    "help_option_names": ["--help"],  # and its letters are no short options
}


@click.command(context_settings=NOTATIONS)
@click.argument("pattern", required=False)
@click.option("--space", help="A notation's skeleton: a named space (nas spaces) or a .toml file.")
@click.option("--baseline", help="A notation's skeleton: a baseline's. Without a notation, itself.")
@click.option("--layers", type=int, help="Stretch pattern and skeleton to so many layers.")
@storage_option
@click.option("--data", help="As for nas search. [default: the study's, or the space's usual]")
@data_dir_option
@click.option("--split-seed", type=int, help="Of the split. [default: the study's, or 0]")
@click.option("--other-data", is_flag=True, help="Allow data that the study was not made on.")
@click.option("--epochs", type=int, default=EPOCHS, show_default=True)
@click.option(
    "--batch", type=int, help="Images, or sequences of a text, a step. [default: the finalists']"
)
@click.option("--learning-rate", type=float, help="Peak. [default: the finalists']")
@click.option("--images", type=int, help="Training images. [default: all]")
@click.option("--resolution", type=int, help="Shrink to this side. [default: the pictures' own]")
@option("--augment", help="{augments}. [default: the finalists']")
@option("--precision", help="{precisions}. [default: what is faster on the device]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights and batches.")
@click.option("--patience", type=int,
              help="Stop after so many epochs without a better validation score. "
              "[default: train to the end, where the learning rate has fallen to 0]")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--threads", type=int, default=1, show_default=True,
              help="On a CPU. Another number is faster, and another training.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path),
              help="Folder. [default: in trained/, named by pattern and settings]")  # fmt: skip
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard logs into the folder.")
@option("--track", "track", multiple=True,
        help="{trackers}, or my_file.py:MyTracker: also tells this tracker; repeatable.")  # fmt: skip
@plugin_option
@click.option("--quiet", is_flag=True, help="Only the result.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines for scripts.")
def train(
    quiet: bool, as_json: bool, tensorboard: bool, track: tuple[str, ...], **options: Any
) -> None:
    """Train one pattern to the end; the same command again goes on where it stopped.

    PATTERN is best:STUDY (what the search names its best), best:STUDY/POINT (accuracy, knee or
    cheapest on the Pareto front), trial:STUDY/NUMBER, or, with --space or --baseline, a notation or a
    reference's name. The epoch with the best validation score is kept, and scored once on the test
    part.

    \b
    nas train best:digits27-c1e295
    nas train trial:my-study/17 --epochs 60 --patience 15
    nas train "add(1)*9" --space fashion9 --data fashion-mnist --threads 4
    nas train rezero --space digits27 --layers 54
    nas train --baseline cifar/resnet-56 --data cifar10 --augment crop-flip
    """
    if sys.stdout.isatty() and not (quiet or as_json):  # PyTorch takes a second to load
        click.echo("Loading PyTorch and the data …")
    from nas.data.fitting import guessing
    from nas.retraining.retrain import TrainingWatcher, fit
    from studies.cli.json_lines import TrainingJsonWatcher, end_line
    from studies.cli.training_progress import TrainingConsoleWatcher, show_end
    from studies.retraining.request import prepare

    request = TrainRequest(**options)
    order = prepare(request)
    console = make_console()
    shown = TrainingConsoleWatcher(console, order.pattern, quiet)
    watch: TrainingWatcher = TrainingJsonWatcher() if as_json else shown
    tracked = None
    if wanted := [*track, *(["tensorboard"] if tensorboard else [])]:
        from studies.tracking.watchers import TrackedTraining

        tracked = TrackedTraining(wanted, order.pattern.slug, watch)
    try:
        fitted = fit(
            order.settings, order.folder, request.device, tracked or watch, order.pattern.origin,
        )  # fmt: skip
    except KeyboardInterrupt:
        shown.stop()
        stopped("epochs")
    finally:
        shown.stop()
    if tracked:
        tracked.ended(fitted)
    if as_json:
        end_line(fitted)
    else:
        chance = guessing(fitted.task, order.settings.data, "test")
        show_end(console, fitted, quiet, request.plugins, chance)
    if fitted.curves.diverged:
        sys.exit(EXIT_FAILED)

"""The command `nas`."""

from __future__ import annotations

import shlex
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from nas.errors import InputError, brief, one_line
from studies.cli.interrupt import EXIT_INTERRUPTED, Interrupt
from studies.cli.options import (
    Bytes,
    Count,
    data_dir_option,
    means_options,
    plugin_option,
    storage_option,
)

EXIT_INPUT = 2

ELSEWHERE = {
    "baseline": (
        "studies.cli.commands.baseline",
        "The five exercises as fixed genomes: list, show, run.",
    ),
    "bench": (
        "studies.cli.commands.bench",
        "Measure this machine: candidates a minute, beside the usual way, and where the time goes.",
    ),
    "compare": (
        "studies.cli.commands.compare",
        "Hold strategies against each other, over search seeds.",
    ),
    "dashboard": (
        "studies.cli.commands.dashboard",
        "Show the studies of a storage in a browser, also while a search runs.",
    ),
    "report": (
        "studies.cli.commands.report",
        "Explain a study on one page, which needs no network and no other file.",
    ),
    "score": (
        "studies.cli.commands.score",
        "Score networks at initialisation, at no cost of training; larger is better.",
    ),
    "show": ("studies.cli.commands.show", "Draw a pattern, with its layers, parameters and MACs."),
    "spaces": (
        "studies.cli.commands.show",
        "List the search spaces with their sizes, or tell all about one (a name or a .toml file).",
    ),
    "train": (
        "studies.cli.commands.train",
        "Train one pattern to the end; the same command again goes on where it stopped.",
    ),
    "export": (
        "studies.cli.commands.train",
        "Write a network for other programs, and check each file in a fresh process.",
    ),
    "worker": (
        "studies.cli.commands.worker",
        "Help with a study, beside its search and other workers, on this or any other machine.",
    ),
}
"""Commands that are loaded when they are called: their module, and what help says of them."""


class Commands(click.Group):
    """A group whose help does not load the commands that are elsewhere."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name in ELSEWHERE:
            command = getattr(import_module(ELSEWHERE[name][0]), name)
        return name, command, rest


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="skipnas")
def app() -> None:
    """Search for skip-connection patterns: which layers to connect, how, and how strongly."""


def _config(context: click.Context, _: click.Parameter, name: str | None) -> Path | None:
    """Makes the values of a TOML file the defaults of the command's options."""
    if name is None:
        return None
    from nas.files.settings import check_keys
    from studies.cli.config import find_definition, read_definition

    path = find_definition(name)
    given = read_definition(path)
    options = {_key(p): p for p in context.command.params if p.name != "config"}
    check_keys(given, list(options), str(path))
    values = {options[key].name: _checked(path, options[key], v) for key, v in given.items()}
    context.default_map = {**(context.default_map or {}), **values}
    return path


def _key(option: click.Parameter) -> str:
    """An option's name in files: `--max-params` is max_params."""
    long = next((o for o in option.opts if o.startswith("--")), option.opts[0])
    return long.removeprefix("--").replace("-", "_")


def _checked(path: Path, option: click.Parameter, value: Any) -> Any:
    """A value from a file, as strictly typed as TOML has it."""
    kinds: dict[type, tuple[type, ...]] = {
        click.types.IntParamType: (int,),
        click.types.FloatParamType: (int, float),
        click.types.BoolParamType: (bool,),
        Count: (int, str),
        Bytes: (int, str),
    }
    allowed = kinds.get(type(option.type), (str,))
    if option.name == "plugins" and isinstance(value, str):
        return [value]
    if option.name in ("objectives", "plugins") and isinstance(value, list):
        return ",".join(map(str, value)) if option.name == "objectives" else value
    if type(value) not in allowed:
        names = " or ".join(
            {int: "whole number", float: "number", bool: "true or false", str: "string"}[k]
            for k in allowed
        )
        raise InputError(f"{path}: {_key(option)} must be a {names}, not {brief(value)}")
    return value


@app.command()
@click.option(
    "--config",
    is_eager=True,
    callback=_config,
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
    from studies.cli.progress import ConsoleView, JsonView
    from studies.report.write import file_name
    from studies.search.run import Request, run_search
    from studies.store.url import shown

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    request = Request(**options)
    if request.study:  # no name of a study leads out of the picture's folder
        picture = picture.replace("{study}", file_name(request.study))
    check_picture(picture)
    console = Console()
    view = JsonView(request) if as_json else ConsoleView(console, request, quiet, picture or None)
    try:
        with Interrupt("Finishing what runs; Ctrl-C again stops it now.") as stop:
            result = run_search(request, view, stop)
        interrupted = result.outcome.reason == "interrupted"
    except KeyboardInterrupt:
        interrupted = True
    if interrupted:
        if isinstance(view, ConsoleView):
            view.stop()
        command = shlex.join(["nas", *map(shown, sys.argv[1:])])
        print(
            f"\nStopped; all finished evaluations are kept. Go on with:\n  {command}",
            file=sys.stderr,
        )
        sys.exit(EXIT_INTERRUPTED)


# A notation may begin with -, and its letters are no short options.
for _name, (_, _about) in ELSEWHERE.items():
    app.add_command(click.Command(_name, help=_about))


def main() -> None:
    """Runs the command; what is wrong in the input is one line and exit code 2."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except InputError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
    except click.ClickException as error:
        print(f"error: {one_line(error.format_message())}", file=sys.stderr)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    except RuntimeError as error:
        if not isinstance(error.__cause__, KeyboardInterrupt):  # Ctrl-C in the midst of an import
            raise
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:  # a name that is too long, a full disk
        if error.filename is None:
            raise
        print(f"error: {brief(error.filename)}: {error.strerror}", file=sys.stderr)
    sys.exit(EXIT_INPUT)

"""The command `nas import`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from nas.errors import InputError
from studies.cli.options import output, plugin_option, storage_option, what


@click.command("import")
@click.argument("source")
@output("--study", required=True, help="Name of the search that is to begin from them.")
@what(
    "--space", default="digits27", help="The search's: a named space (nas spaces) or a .toml file."
)
@what(
    "--evaluate",
    metavar="FILE.py:FUNCTION",
    help="The search's own training, whose scores the .csv file has.",
)
@what(
    "--objectives", help="The search's scores, if an own loop returns them: min:perplexity,params."
)
@storage_option
@output("--from-storage", help="Where SOURCE is, if it is a study. [default: --storage]")
@plugin_option
def import_(
    source: str,
    study: str,
    space: str,
    evaluate: str | None,
    objectives: str | None,
    storage: str,
    from_storage: str | None,
    plugins: tuple[Path, ...],
) -> None:
    """Make earlier evaluations the history of a new search, which the same --study then begins.

    SOURCE is a .csv file with the columns notation and accuracy (or loss), such as nas report --format
    csv writes, or a study. Another task has its own score in place of accuracy, such as bpc, and so
    has an own training. What is imported guides the strategy; it is no trial of the search.

    \b
    nas import earlier.csv --study second
    nas search --study second
    """
    import optuna

    from search_spaces import load_plugins
    from studies.cli.terminal import make_console
    from studies.foreign.imported import write_imported
    from studies.foreign.tables import read_study, read_table
    from studies.formatting import listed, plural
    from studies.search.objectives import OBJECTIVES
    from studies.search.spaces import find_space
    from studies.store.storages import existing_storage, open_storage, storage_errors
    from studies.store.store import Store

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    load_plugins(plugins)
    found_space = find_space(space)
    if source.endswith(".csv"):
        own = _own_scores(found_space.proxy.task, evaluate, objectives or "")
        found, out = read_table(Path(source), found_space, OBJECTIVES, own)
    else:
        where = from_storage or storage
        with storage_errors(where):
            store = Store.load_search(existing_storage(where), source)
            found, out = read_study(store, found_space, store.settings["objectives"])
    if not found:
        raise InputError(f"{source}: it has no evaluation of a pattern of space {found_space.name}")
    name = Path(source).name
    with storage_errors(storage):
        layers = found_space.skeleton.layers
        write_imported(open_storage(storage), study, name, layers, found)
    console = make_console()
    left = listed([f"{number} {why}" for why, number in Counter(out).items()])
    console.print(
        f"{plural(len(found), 'earlier evaluation')} of {name} for study {study}"
        f"{f' (left out: {left})' if left else ''}.",
        soft_wrap=True, markup=False, highlight=False,
    )  # fmt: skip
    console.print(f"Next: nas search --study {study} (with the space and options it is to have)",
                  soft_wrap=True, markup=False, highlight=False)  # fmt: skip


def _own_scores(task: str, evaluate: str | None, objectives: str) -> dict[str, str]:
    """The objective of every score of the search's own, by its name."""
    from nas.evaluation.own_file import OwnTraining
    from nas.tasks.table import find_task
    from studies.formatting import ACCURACY
    from studies.store.names import own_score

    learned = find_task(task)
    ways: dict[str, str] = {} if learned.score == ACCURACY.name else {learned.score: learned.way}
    if evaluate:
        ways = dict(OwnTraining.find(evaluate).scores)
    own = {name: f"{way}:{name}" for name, way in ways.items()}
    asked = objectives.split(",")
    return own | {score[0]: name for name in asked if (score := own_score(name))}

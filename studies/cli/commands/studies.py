"""The commands `nas studies`, `nas studies rename` and `nas studies delete`."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nas.errors import InputError
from studies.cli.options import option, plugin_option, storage_option

if TYPE_CHECKING:
    from studies.catalogue.changes import Search

of_group = option("--storage", help="As for nas studies.")


@click.group(invoke_without_command=True)
@storage_option
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="A JSON list.")
@click.pass_context
def studies(context: click.Context, storage: str, plugins: tuple[Path, ...], as_json: bool) -> None:
    """List the searches of a storage, newest first; rename or delete one.

    A search goes with the studies beside it: its contenders, finalists and knock-outs.

    \b
    nas studies
    nas studies --json | jq '.[0].best.notation'
    nas studies rename digits27-c1e295 aging
    nas studies delete aging
    """
    if context.invoked_subcommand:
        context.default_map = {one: {"storage": storage} for one in ("rename", "delete")}
        return
    from search_spaces import load_plugins
    from studies.catalogue.listing import list_searches
    from studies.cli.tables import studies_table
    from studies.cli.terminal import make_console
    from studies.store.storages import existing_storage, storage_errors
    from studies.store.url import shown, storage_words

    load_plugins(plugins)
    with storage_errors(storage):
        found = list_searches(existing_storage(storage))
    if as_json:
        print(json.dumps([one.as_json() for one in found]))
        return
    console = make_console(highlight=False)
    if not found:
        console.print(
            f"There are no searches in {shown(storage)}; nas search makes the first.",
            soft_wrap=True,
        )
        return
    console.print(studies_table(found))
    more = storage_words(storage)
    more += [part for path in plugins for part in ("--plugin", str(path))]
    command = shlex.join(["nas", "report", found[0].name, *more])
    console.print(f"Explain one: {command}", soft_wrap=True, markup=False)


@studies.command()
@click.argument("old")
@click.argument("new")
@of_group
def rename(old: str, new: str, storage: str) -> None:
    """Give a search another name, and the studies beside it, too.

    Nothing else changes: with --study NEW the search goes on, and best:NEW is its best pattern.

    \b
    nas studies rename digits27-c1e295 aging
    """
    from studies.catalogue.changes import rename_search
    from studies.store.names import COMMAND
    from studies.store.storages import storage_errors

    with storage_errors(storage):
        search = _find(storage, old)
        about = search.about()
        rename_search(search, new)
        command = _find(storage, new).main.notes().get(COMMAND)
    print(f"Study {old} is now {new}, with {about}.")
    if command:
        print(f"Go on with:\n  {command}")


@studies.command()
@click.argument("name")
@of_group
@click.option("--yes", is_flag=True, help="Ask nothing.")
def delete(name: str, storage: str, yes: bool) -> None:
    """Remove a search for good, with the studies beside it, its pictures and kept weights.

    \b
    nas studies delete aging
    nas studies delete aging --yes
    """
    from studies.catalogue.changes import delete_search
    from studies.store.storages import storage_errors

    with storage_errors(storage):
        search = _find(storage, name)
        about = search.about()
        if not yes:
            if not sys.stdin.isatty():
                raise InputError(
                    f"study {name!r}: nobody can be asked whether to delete it, with {about}; "
                    "--yes deletes it"
                )
            if not click.confirm(f"Delete study {name} for good, with {about}?"):
                print("Nothing was deleted.")
                return
        delete_search(search)
    print(f"Study {name} is gone, with {about}.")


def _find(storage: str, name: str) -> Search:
    import optuna

    from studies.catalogue.changes import Search
    from studies.store.storages import existing_storage

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return Search.find(existing_storage(storage), storage, name)

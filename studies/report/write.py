"""Writing a report: which study, in which form, and over which file."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import InputError, unknown
from nas.files.safe import read_limited, write_text
from studies.store.names import search_names
from studies.store.storages import existing_storage, storage_errors
from studies.store.store import Store
from studies.store.url import shown

if TYPE_CHECKING:
    from studies.knockouts.run import KnockoutRequest

FORMATS = ("html", "csv", "json")
LONGEST = 200
"""Bytes of a file's name."""
STANDARD_OUTPUT = "-"
OWNED_BYTES = 256 << 20
"""Of the longest file that may be an earlier report."""


def write_report(
    study: str | None = None,
    storage: str = "sqlite:///nas.db",
    out: str | Path | None = None,
    *,
    form: str = "html",
    force: bool = False,
    knock_out: KnockoutRequest | None = None,
    on_result: Callable[[int, int], None] = lambda done, total: None,
) -> Path | None:
    """Writes the report of a study.

    A file that is there already is replaced only if it is a report of the same study.

    Args:
        study: its name; None is the only search of the storage.
        storage: an Optuna URL, or a journal file.
        out: where to; None is the study's name in this folder, "-" standard output.
        form: html, csv (a row a trial, as `studies.load`) or json (all facts).
        force: replace any file.
        knock_out: train what is missing of the winner's knock-outs first.
        on_result: called with (networks scored, networks in all) of them.

    Returns:
        The file; None for standard output.

    Raises:
        InputError: no such study or storage, an empty study, or a file that is not to be replaced.
    """
    if form not in FORMATS:
        raise unknown("format", form, FORMATS, place="--format")
    with storage_errors(storage):
        store = find_study(study, storage)
        path = None
        if str(out) != STANDARD_OUTPUT:
            path = Path(out) if out is not None else Path(f"{file_name(store.name)}.{form}")
            check_place(path, store, form, force)
        if knock_out is not None:
            from studies.knockouts.run import run_knockout

            run_knockout(store, storage, knock_out, on_result)
        text = _text(store, storage, form)
    if path is None:
        print(text, end="")
        return None
    _put(path, text)
    return path


def find_study(name: str | None, storage: str) -> Store:
    """A search's study of an existing storage.

    Raises:
        InputError: there is none of the name, or no single one to mean.
    """
    opened = existing_storage(storage)
    if name is not None:
        return Store.load_search(opened, name)
    names = search_names(opened)
    if len(names) != 1:
        what = f"name one of the studies: {', '.join(names)}" if names else "it has no search"
        raise InputError(f"--storage {shown(storage)}: {what}")
    return Store.load(opened, names[0])


def file_name(study: str) -> str:
    """A study's name as one of a file: in this folder, and no longer than file systems take."""
    name = re.sub(r"[^\w.+-]+", "-", study).strip(".-")
    return name.encode()[:LONGEST].decode(errors="ignore") or "report"


def _text(store: Store, storage: str, form: str) -> str:
    if form == "csv":
        return csv_of(store)
    from studies.analysis.facts import collect

    facts = collect(store, shown(storage))
    if form == "json":
        return json.dumps(facts.as_json(), indent=1) + "\n"
    from studies.report.page import render

    return render(facts)


def csv_of(store: Store) -> str:
    """A row a trial."""
    from studies.notebook.frame import frame_of

    frame = frame_of(store)
    if frame.empty:
        raise InputError(f"study {store.name!r} has no trials yet; `nas search` makes them")
    buffer = io.StringIO()
    frame.to_csv(buffer)
    return buffer.getvalue()


def check_place(path: Path, store: Store, form: str, force: bool) -> None:
    """Raises InputError if a file of another study, or of another kind, would be lost.

    Also raised where there is no folder for the file.
    """
    if not path.parent.is_dir():
        raise InputError(f"--out {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise InputError(f"--out {path}: it is a folder; name a file in it")
    if force or not path.exists():
        return
    try:
        text = read_limited(path, OWNED_BYTES).decode()
    except ValueError:  # InputError among them
        text = ""
    whose = OWNERS[form](text, store)
    if whose is None:
        raise InputError(
            f"--out {path}: that file is no report of a study; "
            f"study {store.name!r} is not written over it; name another file, or add --force"
        )
    if whose:
        raise InputError(
            f"--out {path}: that file is the report of {whose}; study {store.name!r} is not "
            "written over it; name another file, or add --force"
        )


def _owner_of_page(text: str, store: Store) -> str | None:
    from studies.report.page import IDENTITY, STUDY

    found: dict[str, str] = {}

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            given = dict(attrs)
            if tag == "meta" and given.get("name") in (STUDY, IDENTITY):
                found.setdefault(str(given["name"]), given.get("content") or "")

    Reader().feed(text[:10_000])
    return _owner(found.get(STUDY), found.get(IDENTITY), store)


def _owner_of_json(text: str, store: Store) -> str | None:
    try:
        found = json.loads(text)
        return _owner(found["study"], found["identity"], store)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _owner_of_table(text: str, store: Store) -> str | None:
    """A table tells its study by its trials: those of the same number have the same pattern."""
    import pandas as pd

    try:
        table = pd.read_csv(io.StringIO(text), index_col="number", usecols=["number", "notation"])
    except (ValueError, KeyError):
        return None
    known: dict[Any, str] = {trial.number: str(trial.genome) for trial in store.trials()}
    same = all(known.get(number, note) == note for number, note in table["notation"].items())
    return "" if same else "another study"


def _owner(name: str | None, identity: str | None, store: Store) -> str | None:
    """Nothing for the study's own report, a description for another's, None for what is no report."""
    from studies.analysis.facts import identity as identity_of

    if name is None or identity is None:
        return None
    if name != store.name:
        return f"study {name!r}"
    same = identity == identity_of(store.settings)
    return "" if same else f"another study {name!r}, with other settings"


OWNERS: dict[str, Callable[[str, Store], str | None]] = {
    "html": _owner_of_page,
    "csv": _owner_of_table,
    "json": _owner_of_json,
}
"""Whose report a file is, by its form."""


def _put(path: Path, text: str) -> None:
    """Writes the whole file or nothing."""
    try:
        write_text(path, text)
    except InputError as error:
        raise InputError(f"--out {error}") from None

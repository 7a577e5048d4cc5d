"""Writing a report: which study, in which form, and over which file."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import InputError, unknown
from nas.files.safe import write_text
from studies.store.names import search_names
from studies.store.storages import existing_storage, storage_errors
from studies.store.store import Store
from studies.store.url import STORAGE, shown

if TYPE_CHECKING:
    from studies.knockouts.run import KnockoutRequest

FORMATS = ("html", "csv", "json")
LONGEST = 200
"""Bytes of a file's name."""
STANDARD_OUTPUT = "-"


def write_report(
    study: str | None = None,
    storage: str = STORAGE,
    out: str | Path | None = None,
    *,
    form: str = "html",
    force: bool = False,
    knock_out: KnockoutRequest | None = None,
    on_result: Callable[[int, int], None] = lambda done, total: None,
) -> Path | None:
    """Writes the report of a study.

    A file that is there already is replaced if it has the study's name, as an earlier report has.

    Args:
        study: its name; None is the only search of the storage.
        storage: an Optuna URL, or a journal file.
        out: where to; None is the study's name in this folder, "-" standard output.
        form: html, csv (a row a trial, as `studies.load`) or json (all facts).
        force: replace a file of any name.
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
            own = Path(f"{file_name(store.name)}.{form}")
            path = own if out is None else Path(out)
            check_place(path, replace=force or path == own)
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


def check_place(path: Path, replace: bool) -> None:
    """Raises InputError where no file can be written, or one is there that is not to be replaced."""
    if not path.parent.is_dir():
        raise InputError(f"--out {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise InputError(f"--out {path}: it is a folder; name a file in it")
    if path.exists() and not replace:
        raise InputError(f"--out {path}: the file exists; name another, or add --force")


def _put(path: Path, text: str) -> None:
    """Writes the whole file or nothing."""
    try:
        write_text(path, text)
    except InputError as error:
        raise InputError(f"--out {error}") from None

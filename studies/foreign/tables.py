"""Reading earlier evaluations: from a CSV file, or from another study."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path

from nas.architecture.genome import Genome
from nas.architecture.space import SearchSpace
from nas.errors import InputError, brief, unknown
from nas.files.safe import read_limited
from studies.foreign.imported import Earlier
from studies.foreign.optuna_trials import check_scores
from studies.store.names import COLUMNS, own_score
from studies.store.store import Store

MOST_BYTES = 256 << 20
NOTATION = "notation"
QUALITIES = ("accuracy", "loss")
"""Scores of which an evaluation has one at least."""


def read_table(
    path: Path, space: SearchSpace, objectives: Iterable[str], own: Mapping[str, str]
) -> tuple[list[Earlier], list[str]]:
    """The evaluations of a CSV file with a column `notation`, and accuracy, loss or both.

    What a search did not train to the end (`status`) is left out.

    Args:
        objectives: names that further columns may have.
        own: the objective (`min:bpc`) of every score of the search's own, by its name, which is its
            column's. Where there are some, the file has one of them, in place of accuracy or loss.

    Returns:
        The evaluations, one for each pattern, and why rows were left out, a reason each.

    Raises:
        InputError: a column or pattern that is not known, with its line, or no column of scores.
    """
    try:
        text = read_limited(path, MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a CSV file in UTF-8") from None
    rows = csv.DictReader(io.StringIO(text))
    columns = list(rows.fieldnames or ())
    names = {**{name: name for name in objectives if name not in ("params", "macs")}, **own}
    scores = [column for column in names if column in columns]
    qualities = [column for column in own or QUALITIES if column in columns]
    if NOTATION not in columns or not qualities:
        needed = " or ".join(own) if own else "accuracy (or loss)"
        raise InputError(
            f"{path}: it needs the columns {NOTATION} and {needed}, and has "
            f"{', '.join(columns)[:200] or 'none'}"
        )
    allowed = {*COLUMNS, *objectives, *own, *(gene.name for gene in space.genes)}
    for name in columns:
        if name not in allowed:
            raise unknown("column", name, [NOTATION, *objectives, *own], place=str(path))
    found: list[Earlier] = []
    out: list[str] = []
    try:
        for row in rows:
            where = f"{path}, line {rows.line_num}"
            if (row.get("status") or "ok") != "ok" or not row[NOTATION]:
                out.append("not trained to the end")
                continue
            try:
                genome = Genome.parse(row[NOTATION])
                values = {name: _number(row[name], name) for name in scores if row[name]}
                check_scores(values, [qualities[0], *values])
                values = {names[column]: value for column, value in values.items()}
            except InputError as error:
                raise InputError(f"{where}: {error}") from None
            _keep(Earlier(genome, values), space, where, found, out)
    except csv.Error as error:
        raise InputError(f"{path}, line {rows.line_num}: {error}") from None
    return _merged(found), out


def read_study(
    store: Store, space: SearchSpace, objectives: Sequence[str]
) -> tuple[list[Earlier], list[str]]:
    """The same of a search: its trials that were trained to the end."""
    found: list[Earlier] = []
    out: list[str] = []
    own = own_score(objectives[0])
    for trial in store.trials():
        if not trial.ok:
            out.append("not trained to the end")
            continue
        scores = {} if own else {"accuracy": trial.attrs["accuracy"]}
        if losses := trial.attrs.get("scored_losses"):
            scores["loss"] = losses[-1]
        scores |= {
            name: value
            for name, value in zip(objectives, trial.values or (), strict=False)
            if name not in ("params", "macs")
        }
        known = {name: value for name, value in scores.items() if isfinite(value)}
        where = f"study {store.name}, trial {trial.number}"
        _keep(Earlier(trial.genome, known), space, where, found, out)
    return _merged(found), out


def _keep(
    one: Earlier, space: SearchSpace, where: str, found: list[Earlier], out: list[str]
) -> None:
    """Adds an evaluation, or why it is left out: a reference outside the space is no error."""
    if len(one.genome) != space.skeleton.layers:
        raise InputError(
            f"{where}: the pattern has {len(one.genome)} layers, space {space.name} "
            f"{space.skeleton.layers} (--space)"
        )
    if one.genome in space:
        found.append(one)
    else:
        out.append(f"outside space {space.name}")


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{name} {brief(text)}: it must be a number") from None


def _merged(found: Sequence[Earlier]) -> list[Earlier]:
    """One evaluation for each pattern: the means, where it was evaluated several times."""
    by_key: dict[str, list[Earlier]] = {}
    for one in found:
        by_key.setdefault(one.genome.key, []).append(one)
    merged = []
    for alike in by_key.values():
        names = [name for name in alike[0].scores if all(name in one.scores for one in alike)]
        means = {n: sum(one.scores[n] for one in alike) / len(alike) for n in names}
        merged.append(Earlier(alike[0].genome, means))
    return merged

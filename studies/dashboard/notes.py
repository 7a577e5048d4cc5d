"""Notes of studies in Markdown, as the Optuna Dashboard shows them.

A note ends with a hash of itself, in a line that Markdown does not show, so that a note that a
person has edited is known, and left alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.storages import BaseStorage
from optuna_dashboard._note import get_note_from_system_attrs, save_note_with_version

from nas.tasks.classification import CLASSIFICATION
from nas.tasks.table import TASKS
from studies.formatting import short, tuning_rows
from studies.notebook.study import Study

SEAL = "\n\n[skipnas]: # "
KEPT = "*Kept up to date by `nas dashboard`, until you edit it.*"

HIDDEN = (
    "Contenders, finalists and knock-outs are studies beside this one, which this list leaves out: "
    "`nas dashboard --all` shows them."
)


def search_note(study: Study, pictures: Mapping[int, str]) -> str:
    """Goal, best pattern, tables, and the command that goes on.

    Args:
        pictures: address of a trial's picture by its number.
    """
    parts = [f"## {_plain(study.name)}", _facts(study.facts())]
    best = study.best
    if best:
        parts.append(f"**{_plain(study.verdict)}**")
        what = _plain(study.score.name)
        parts.append(
            f"### Best pattern: trial {best.number}, validation {what} {study.scored(best)}"
        )
        if best.number in pictures:
            parts.append(f"![The pattern of trial {best.number}]({pictures[best.number]})")
        parts.append(f"`{short(str(best.genome))}`")
    header, rows = study.table()
    if rows:
        parts.append(f"### {study.table_title}")
        parts.append(_table(header, rows))
    if study.tuned:
        parts.append(f"### {_plain(study.tuning_title)}")
        parts.append(_table(*tuning_rows(study.tuned, study.score)))
    if study.finalists:
        parts.append(f"### Finalists: test {_plain(study.score.name)} over fresh seeds")
        parts.append(_table(*study.finalists_table()))
    if study.going_on:
        parts.append(f"### Go on\n\n{_fenced(study.going_on)}")
    if study.finalists or any(trial.again is not None for trial in study.trials):
        parts.append(HIDDEN)
    return "\n\n".join([*parts, KEPT])


BESIDE = {
    "contenders_of": (
        "Contenders", "The best patterns of the search", "validation {}. Their means choose the finalists, "
        "and the best",
    ),
    "tuning_of": (
        "Tuning", "The finalists of the search and the references that fit its space, at every "
        "learning rate", "validation {}. The best of each go to the test",
    ),
    "finalists_of": (
        "Finalists", "The best patterns of the search and the given ones", "test {}",
    ),
}  # fmt: skip
"""Studies beside a search that have notes, by the setting that names it: title, patterns, what they are scored on."""


def note_beside(record: Mapping[str, Any], done: int, trials: int, address: str | None) -> str:
    """What a study of contenders, tuning or finalists is, and where its table stands.

    Args:
        record: the study's settings.
        address: of the page with the search's note; None if the search is gone.
    """
    kind = next(key for key in BESIDE if key in record)
    title, patterns, part = BESIDE[kind]
    task = TASKS.get(str(record["proxy"].get("task")), CLASSIFICATION)
    score = "score" if "evaluate" in record else task.label
    parts = [
        f"## {title} of {_plain(record[kind])}",
        f"{patterns}, trained for {_plain(record['proxy']['epochs'])} epochs over fresh seeds; a trial "
        f"is one training, its value the {score} on the {part.format(task.examples)}. "
        f"{done} of {trials} trainings are done.",
    ]
    if address:
        parts.append(f"Their table stands in the [note of the search]({address}).")
    return "\n\n".join([*parts, KEPT])


def renew_note(storage: BaseStorage, study_id: int, body: str) -> bool:
    """Writes a study's note, unless a person has edited the one that is there.

    The note's version stays as it is: a raised one would make the dashboard refuse what a person is
    typing in the meantime.

    Returns:
        Whether it was written; False also where it says the same already.
    """
    note = get_note_from_system_attrs(storage.get_study_system_attrs(study_id), None)
    new = sealed(body)
    if note["body"] == new or (note["version"] and not _ours(note["body"])):
        return False
    save_note_with_version(storage, study_id, None, max(1, note["version"]), new)
    return True


def sealed(body: str) -> str:
    """The body with its hash."""
    return f"{body}{SEAL}({hashlib.blake2b(body.encode(), digest_size=8).hexdigest()})"


def _ours(note: str) -> bool:
    """Whether it is as this program left it."""
    body, seal, _ = note.rpartition(SEAL)
    return bool(seal) and note == sealed(body)


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"- **{word}** {_plain(sentence)}" for word, sentence in facts)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    sides = ["---", *["---:"] * (len(header) - 1)]
    if header[-1] == "pattern":
        sides[-1] = "---"
        rows = [[*map(_plain, row[:-1]), f"`{row[-1]}`"] for row in rows]
    else:
        rows = [list(map(_plain, row)) for row in rows]
    header = list(map(_plain, header))
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, sides, *rows])


def _fenced(text: str) -> str:
    """A block of code, whatever is in the text: the dashboard would show HTML after its end."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _plain(text: object) -> str:
    """Without what Markdown would take for more than text."""
    line = " ".join(str(text).splitlines())
    return "".join(f"\\{c}" if c in "\\`*_[]<>#|&~$" else c for c in line)

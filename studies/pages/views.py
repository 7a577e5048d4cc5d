"""What the pages show of a storage's searches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from optuna.storages import BaseStorage

from nas.architecture.genome import Genome
from nas.architecture.layers import start_said
from nas.architecture.plan import plan
from nas.drawing.glyph import glyph
from nas.drawing.svg import plan_svg
from nas.errors import InputError
from studies.catalogue.listing import Listed, list_searches
from studies.formatting import Score
from studies.knockouts.recorded import Knockout, recorded_knockout
from studies.notebook.study import Study
from studies.store.store import Store
from studies.store.trial import Trial, role_of, status_of

SHOWN = 500
"""Trials in the table; of more, the best, and those that run."""
SCORED = ("ok", "pruned", "diverged")
"""How a training ends that has a score."""
LEGIBLE = 0.6
"""The share of its width below which a drawing scrolls."""


@dataclass(frozen=True)
class Line:
    """A search in the list."""

    number: int
    """Optuna's, which stays when it is renamed."""
    listed: Listed
    glyph: str

    @property
    def score(self) -> Score:
        return Score.of(self.listed.objectives)


def lines(storage: BaseStorage) -> list[Line]:
    """All searches, the newest first."""
    found = []
    for one in list_searches(storage):
        number = storage.get_study_id_from_name(one.name)
        found.append(Line(number, one, _glyph(one.best.best_genome) if one.best else ""))
    return found


@dataclass(frozen=True)
class Row:
    """A trial in the table."""

    trial: Trial
    status: str
    role: str
    accuracy: float | None
    """On validation images, as far as it was trained."""
    glyph: str


@dataclass(frozen=True)
class Shown:
    """A search on its page."""

    study: Study
    done: int
    total: int
    rows: Sequence[Row]
    left_out: int
    drawing: str
    knockout: Knockout | None

    @classmethod
    def of(cls, store: Store, url: str) -> Shown:
        """The search of a store.

        Raises:
            InputError: not a search's, or it needs a plugin that is not loaded.
        """
        study = Study.read(store, url)
        best, trials = study.best, study.trials
        done = sum(trial.state.is_finished() for trial in trials)
        rows = [row_of(trial, study) for trial in _chosen(trials)]
        return cls(
            study, done, max(study.budget, done), rows, len(trials) - len(rows),
            drawing_of(best.best_genome, study) if best else "",
            recorded_knockout(store, best, trials) if best else None,
        )  # fmt: skip


def _chosen(trials: Sequence[Trial]) -> list[Trial]:
    """At most SHOWN of them, by number."""

    def order(trial: Trial) -> tuple[bool, float]:
        scored = status_of(trial) in SCORED
        return trial.state.is_finished(), -trial.attrs["accuracy"] if scored else inf

    best = sorted(trials, key=order)
    return sorted(best[:SHOWN], key=lambda trial: trial.number)


def row_of(trial: Trial, study: Study) -> Row:
    status = status_of(trial).replace("unfinished", "running")
    accuracy = trial.attrs.get("accuracy") if status in SCORED else None
    if accuracy is None and trial.curve:
        accuracy = study.score.sign * trial.curve[max(trial.curve)]
    return Row(trial, status, role_of(trial), accuracy, _glyph(trial.genome, study.space.starts))


def drawing_of(genome: Genome, study: Study) -> str:
    return plan_svg(plan(genome, study.space.skeleton), least=LEGIBLE)


@dataclass(frozen=True)
class Beside:
    """Two trials of a search side by side."""

    rows: tuple[Row, Row]
    drawings: tuple[str, str]
    layers: Sequence[tuple[int, str, str]]
    """Those that differ: (layer, of the first, of the second)."""


def beside(study: Study, numbers: Sequence[int]) -> Beside:
    """Two trials, by number.

    Raises:
        InputError: not two, or no such trial.
    """
    known = {trial.number: trial for trial in study.trials}
    if len(numbers) != 2:
        raise InputError(f"{len(numbers)} trials are marked; two can be held side by side")
    for number in numbers:
        if number not in known:
            raise InputError(f"trial {number}: study {study.name!r} has {len(known)}, from 0")
    first, second = (known[number] for number in numbers)
    pairs = zip(first.genome.layers, second.genome.layers, strict=True)
    return Beside(
        (row_of(first, study), row_of(second, study)),
        (drawing_of(first.genome, study), drawing_of(second.genome, study)),
        [(i, str(a), str(b)) for i, (a, b) in enumerate(pairs, 1) if a != b],
    )


def _glyph(genome: Genome, distances: Iterable[int] = ()) -> str:
    used = {skip.distance for layer in genome.layers for skip in layer.skips}
    return glyph(genome, [*{*distances, *used}])


def losses(found: Knockout | None) -> list[dict[str, Any]]:
    """A row for every skip of the best pattern: what it is worth."""
    return [
        {"skip": f"layer {x.layer}, {start_said(x.distance)}", "cut": x.cut, "retrained": x.retrained,
         "why": x.why}
        for x in (found.losses if found else ())
    ]  # fmt: skip

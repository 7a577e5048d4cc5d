"""A recorded search as an object that shows itself: in notebooks, and to the dashboard's notes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.architecture.layers import start_text
from nas.architecture.plan import plan
from nas.architecture.space import SearchSpace
from nas.drawing.html import scrolling, table_html
from nas.drawing.svg import plan_svg, shape_text
from nas.errors import InputError
from nas.tasks.table import find_task
from studies.finals.finalists import Finalist, recorded_finalists
from studies.finals.tuning import Tuned, recorded_tuning
from studies.formatting import OUTPUTS, Score, count, finalist_rows, short, tuning_rows, without
from studies.notebook.course import course_svg
from studies.search.choice import recorded_front
from studies.search.objectives import OBJECTIVES
from studies.search.settings import asked_evaluations, recorded_space
from studies.search.verdict import recorded_verdict
from studies.store.names import COMMAND, FINALISTS, own_score, search_names
from studies.store.store import Store
from studies.store.trial import Trial, best_trials, status_of
from studies.store.url import STORAGE, shown

if TYPE_CHECKING:
    import pandas as pd

SHOWN_FRONT = 8


@dataclass(frozen=True, repr=False)
class Study:
    """A recorded search, as it was when it was read. Nothing here changes the storage."""

    name: str
    storage: str
    """The URL."""
    settings: Mapping[str, Any]
    command: str
    """What asked for it last: `nas search …`; empty for studies that did not record it."""
    budget: int
    """Evaluations that it was asked for last."""
    space: SearchSpace
    trials: tuple[Trial, ...]
    """By number."""
    finalists: tuple[Finalist, ...]
    """Empty until all of them are trained."""
    tuned: tuple[Tuned, ...] = ()
    """Finalists and references on validation images, where they were tuned."""
    front: frozenset[int] = frozenset()
    """Numbers on the Pareto front, where there are several objectives."""
    verdict: str = ""
    """What the search comes to, in a sentence or two."""

    @classmethod
    def read(cls, store: Store, storage: str) -> Study:
        """The search of a store.

        Raises:
            InputError: not a search (but its finalists), or it needs a plugin that is not loaded.
        """
        notes = store.notes()
        record = store.searched()
        space = recorded_space(record)
        finalists = recorded_finalists(store, store.beside(FINALISTS), space.skeleton)
        trials = store.ranked()
        several = len(record["objectives"]) > 1
        front = recorded_front(record, space, trials) if several else []
        return cls(
            store.name, storage, record, notes.get(COMMAND) or "", asked_evaluations(notes), space,
            tuple(trials), tuple(finalists), tuple(recorded_tuning(notes)), frozenset(trial.number for trial in front),
            recorded_verdict(record, notes, space, trials, finalists).sentence,
        )  # fmt: skip

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A row a trial, as `studies.load` gives it."""
        from studies.notebook.frame import load

        return load(self.name, self.storage)

    @property
    def best(self) -> Trial | None:
        """The best that the search found, by `Trial.rank`; None if nothing could be trained yet."""
        return next(iter(best_trials(self.trials, self.space, 1)), None)

    @property
    def objectives(self) -> list[str]:
        return list(self.settings["objectives"])

    @property
    def score(self) -> Score:
        """What it ranks by, in words."""
        return Score.of_study(self.settings)

    @property
    def tuning_title(self) -> str:
        what = f"validation {self.score.name}"
        return f"Finalists and references: {what}, each at its best learning rate"

    @property
    def going_on(self) -> str:
        """The command that continues it, with twice the evaluations where all are done."""
        done = sum(trial.state.is_finished() for trial in self.trials)
        if not self.command or done < self.budget:
            return self.command
        more = 2 * max(done, self.budget)
        words = without(shlex.split(self.command), "--evaluations")
        return shlex.join([*words, "--evaluations", str(more)])

    def facts(self) -> list[tuple[str, str]]:
        """(word, sentence): what was searched, how, and how far it is."""
        space, settings = self.space, self.settings
        proxy, skeleton = space.proxy, space.skeleton
        images = "all" if proxy.images is None else f"{proxy.images:,}"
        goals = [
            f"{(own_score(name) or (name,))[0]} ({OBJECTIVES[name].about}; "
            f"{'larger' if OBJECTIVES[name].maximise else 'smaller'} is better)"
            for name in self.objectives
        ]
        how = {"population": "", "lag": "", "seed": "", "pruner": "pruner ", "screen": "screen "}
        details = [
            f"{label or f'{key} '}{settings[key]}" for key, label in how.items() if key in settings
        ]
        if "inherit" in settings:
            details.append("weights inherited from the first parent")
        return [
            ("space", f"{space.name}: {space.skeleton.layers} layers, distances "
             f"{', '.join(map(start_text, space.starts))}, merges {', '.join(space.merges)}, strengths "
             f"{', '.join(f'{s:g}' for s in space.strengths)}; {count(space.distinct)} genomes"),
            ("data", f"{settings['data']['name']}, {shape_text(space.skeleton.input_shape)}, "
             f"{skeleton.classes} {OUTPUTS[skeleton.outputs]}"),
            ("strategy", f"{settings['strategy']}: {', '.join(details)}"),
            ("objective" if len(goals) == 1 else "objectives", ", ".join(goals)),
            ("proxy", f"{proxy.epochs} epochs, {images} {find_task(proxy.task).examples}, batch {proxy.batch}"),
            ("trials", self.progress()),
        ]  # fmt: skip

    def progress(self) -> str:
        """How many trials there are, and how they ended."""
        done = sum(trial.state.is_finished() for trial in self.trials)
        ends: dict[str, int] = {}
        for trial in self.trials:
            name = status_of(trial).replace("unfinished", "running")
            if name != "ok":
                ends[name] = ends.get(name, 0) + 1
        more = "".join(f", {number} {name}" for name, number in sorted(ends.items()))
        return f"{done} of {max(self.budget, done)} evaluated{more}"

    @property
    def table_title(self) -> str:
        if not self.front:
            return "The best, and the given patterns"
        some = f", the {SHOWN_FRONT} {self.score.most} of {len(self.front)}"
        return f"Pareto front{some * (len(self.front) > SHOWN_FRONT)}; the given patterns"

    def table(self, best: int = 5) -> tuple[list[str], list[list[str]]]:
        """(header, rows of text): the best trials, or the Pareto front, and the given patterns.

        Args:
            best: how many of the best, where there is one objective.
        """
        given = [trial for trial in self.trials if trial.ok and trial.attrs["role"]]
        found = best_trials(self.trials, self.space, best)
        if self.front:
            on_it = [t for t in self.trials if t.number in self.front]
            found = sorted(on_it, key=lambda t: -t.attrs["accuracy"])[:SHOWN_FRONT]
        first = () if not self.score.own else self.objectives[:1]
        shown = ("accuracy", "params", "macs", *first)
        more = [name for name in self.objectives if name not in shown]
        extra = [(own_score(name) or (name,))[0] for name in more]
        header = ["trial", f"validation {self.score.name}", *extra, "parameters", "MACs", "pattern"]
        ranked = sorted([*found, *given], key=lambda t: -t.attrs["accuracy"])
        rows = [self._row(trial, more) for trial in ranked]
        if any(trial.again is not None for trial in ranked):
            header.insert(2, "over fresh seeds")
            for trial, row in zip(ranked, rows, strict=True):
                row.insert(2, "" if trial.again is None else self.score.show(trial.again))
        return header, rows

    def _row(self, trial: Trial, more: Sequence[str]) -> list[str]:
        attrs, values = trial.attrs, dict(zip(self.objectives, trial.values or (), strict=False))
        name = f"{trial.number}" + (f" ({attrs['role']})" if attrs["role"] else "")
        extra = [OBJECTIVES[name].show(values[name]) if name in values else "" for name in more]
        sizes = count(attrs["params"]), count(attrs["macs"])
        return [name, self.score.show(attrs["accuracy"]), *extra, *sizes, short(str(trial.genome))]

    def finalists_table(self) -> tuple[list[str], list[list[str]]]:
        """(header, rows of text): test scores over fresh seeds, the best first."""
        rows = [cells for _, cells in finalist_rows(self.finalists, self.score)]
        return list(rows[0]), [list(row.values()) for row in rows]

    def course(self) -> str:
        """Accuracies by trial as an SVG drawing; empty for fewer than two."""
        scores = {t.number: t.attrs["accuracy"] for t in self.trials if t.ok}
        given = {t.attrs["role"]: t.attrs["accuracy"] for t in self.trials if t.ok}
        named = {name: score for name, score in given.items() if name}
        return course_svg(scores, named, self.score)

    def scored(self, trial: Trial) -> str:
        """A trial's score, and its mean over fresh seeds where it was a contender."""
        return self.score.scored(trial.attrs["accuracy"], trial.again)

    def __repr__(self) -> str:
        best = self.best
        found = f", best trial {best.number} with {self.scored(best)}" if best else ""
        return f"<Study {self.name}: {self.progress()}{found}>"

    def _repr_html_(self) -> str:
        """Goal, course, best pattern and table, for notebooks."""
        facts = "<br>".join(f"<b>{w}</b> {escape(s)}" for w, s in self.facts())
        parts = [f"<h3>{escape(self.name)}</h3><p>{facts}</p>", scrolling(self.course())]
        best = self.best
        if best:
            parts.append(f"<p>{escape(self.verdict)}</p>")
            parts.append(
                f"<p><b>best: trial {best.number}</b>, validation {escape(self.score.name)} "
                f"{self.scored(best)}<br><code>{escape(str(best.genome))}</code></p>"
            )
            parts.append(scrolling(plan_svg(plan(best.genome, self.space.skeleton))))
        header, rows = self.table()
        if rows:
            parts.append(f"<p><b>{self.table_title}</b></p>")
            parts.append(scrolling(table_html(header, rows, "l" + "r" * (len(header) - 2) + "l")))
        if self.tuned:
            parts.append(f"<p><b>{escape(self.tuning_title)}</b></p>")
            parts.append(scrolling(table_html(*tuning_rows(self.tuned, self.score))))
        if self.finalists:
            parts.append(
                f"<p><b>Finalists: test {escape(self.score.name)} over fresh seeds</b></p>"
            )
            parts.append(scrolling(table_html(*self.finalists_table())))
        if self.going_on:
            parts.append(f"<p>Go on: <code>{escape(self.going_on)}</code></p>")
        return "".join(parts)


def open_study(
    name: str | None = None, storage: str = STORAGE, plugins: Sequence[Path] = ()
) -> Study:
    """A recorded search, read-only; without a name the newest one.

    Args:
        plugins: files with the merges of the study's own.

    Raises:
        InputError: no such storage or study (with the names there are), or a missing plugin.
    """
    from search_spaces import load_plugins
    from studies.store.storages import existing_storage

    load_plugins(plugins)
    opened = existing_storage(storage)
    if name is None:
        searches = search_names(opened)
        if not searches:
            raise InputError(
                f"--storage {shown(storage)}: there are no studies of nas search in it"
            )
        name = searches[-1]
    return Study.read(Store.load_search(opened, name), storage)

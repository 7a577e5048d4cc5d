"""What a person or a script sees of a search: live progress, plain lines, JSON lines, tables."""

from __future__ import annotations

import shlex
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from nas.data.description import sentences
from nas.drawing.figure import draw, save
from studies.analysis.health import health_of
from studies.cli.tables import drawing, finalists_table, front_table, tuning_table
from studies.cli.terminal import tell
from studies.formatting import TASK_SCORES, Score, count, duration, listed, without
from studies.search.choice import POINTS, named_point
from studies.search.loop import Event
from studies.search.request import SearchRequest
from studies.search.run import Result, Watcher
from studies.search.settings import SearchSettings
from studies.store.database.patience import WAIT_SECONDS
from studies.store.store import Store
from studies.store.trial import Trial, best_trials
from studies.store.url import shown, storage_words


class ConsoleWatcher(Watcher):
    """Progress on a terminal, a line now and then elsewhere, and the tables at the end."""

    def __init__(self, console: Console, request: SearchRequest, quiet: bool, picture: str | None):
        self.console, self.request, self.quiet, self.picture = console, request, quiet, picture
        self.progress: Progress | None = None
        self.best = "-"
        self.pruned = 0
        self.clock = time.monotonic()

    def prepared(self, settings: SearchSettings) -> None:
        if self.quiet:
            return
        table = settings.table
        told = [
            f"Table {table.name} answers, and nothing is trained: {len(table):,} patterns, "
            f"{len(table.seeds)} seeds each."
        ] if table else sentences(settings.data)  # fmt: skip
        tell(self.console, told)

    def started(
        self, settings: SearchSettings, store: Store, done: int, total: int, workers: int
    ) -> None:
        self.total, self.done, self.before = total, done, done
        self.clock = time.monotonic()
        self.settings, self.store, self.score = settings, store, Score.of_study(store.settings)
        for trial in best_trials(store.trials(), settings.space, 1):
            self.best = f"{self.score.show(trial.attrs['accuracy'])} (trial {trial.number})"
        if self.quiet:
            return
        space, data = settings.space, settings.data
        self.console.print(
            f"Searching [bold]{space.name}[/] ({len(space.genes)} genes, {count(space.distinct)} "
            f"genomes) on [bold]{data.name}[/] with {settings.strategy}"
            f"{', weights inherited' if settings.inherit else ''}; {workers} worker"
            f"{'s' if workers > 1 else ''} on {settings.device['type']}, {space.proxy.precision}."
        )
        resumed = f", going on after {done} trials" if done else ""
        self.console.print(
            f"Study {store.name} in {shown(self.request.storage)}{resumed}.",
            soft_wrap=True,
            markup=False,
        )
        self._bar("evaluations", self.total, self.done)

    def _bar(self, what: str, total: int, done: int) -> None:
        self.stop()
        if self.quiet or not self.console.is_terminal:
            return
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=self.console,
        )
        self.task = self.progress.add_task(what, total=total, completed=done, note="")
        self.progress.start()

    def evaluated(self, event: Event) -> None:
        self.done += 1
        if event.best:
            self.best = f"{self.score.show(event.evaluation.accuracy)} (trial {event.number})"
        self.pruned += event.evaluation.status == "pruned"
        self._tell()
        status = event.evaluation.status
        if status == "failed" or (status not in ("ok", "pruned") and not self.quiet):
            line = f"trial {event.number} {status}: {event.evaluation.why}"
            self.console.print(Text(line, "yellow"))

    def elsewhere(self, trial: Trial, best: bool) -> None:
        if best:
            self.best = f"{self.score.show(trial.attrs['accuracy'])} (trial {trial.number})"
        self.done += 1
        self._tell()

    def skipped(self, why: str) -> None:
        self.console.print(Text(f"{why[0].upper()}{why[1:]}.", "yellow"), soft_wrap=True)

    def _tell(self) -> None:
        minutes = (time.monotonic() - self.clock) / 60
        rate = (self.done - self.before) / max(minutes, 1e-9)
        left = max(0, self.total - self.done) / max(rate, 1e-9) * 60
        pruned = f"{self.pruned} pruned · " if self.pruned else ""
        note = f"{'best' if self.score.own else 'highest'} {self.best} · {pruned}{rate:.0f}/min · {left:.0f} s left"
        if self.progress:
            self.progress.update(self.task, completed=self.done, note=note)
        elif not self.quiet and (self.done % max(1, self.total // 10) == 0):
            self.console.print(f"{self.done}/{self.total} {note}", soft_wrap=True)

    def contenders(self, done: int, total: int) -> None:
        self._trainings("contenders", done, total)

    def tuning(self, done: int, total: int) -> None:
        self._trainings("finalists and references", done, total)

    def finals(self, done: int, total: int) -> None:
        self._trainings("tests", done, total)

    def _trainings(self, what: str, done: int, total: int) -> None:
        if self.quiet:
            return
        if self.progress is None or self.progress.tasks[0].description != what:
            self._bar(what, total, done)
            if self.progress is None and done == 0:
                self.console.print(f"Training {what} ({total} trainings) …")
        if self.progress:
            self.progress.update(self.task, completed=done)
        elif done and done % max(1, total // 4) == 0:
            self.console.print(f"{what} {done}/{total}")

    def away(self, why: str) -> None:
        line = (
            f"The database does not answer ({why}); waiting up to {WAIT_SECONDS / 60:.0f} minutes."
        )
        self.console.print(Text(shown(line), "yellow"), soft_wrap=True)

    def back(self, seconds: float) -> None:
        line = f"The database is back after {duration(seconds)}; the search goes on."
        self.console.print(Text(line, "yellow"), soft_wrap=True)

    def stop(self) -> None:
        if self.progress:
            self.progress.stop()
            self.progress = None

    def ended(self, result: Result) -> None:
        self.stop()
        skeleton = result.settings.space.skeleton
        outcome = result.outcome
        finished = sum(t.state.is_finished() for t in result.trials)
        if outcome.why:
            self.console.print(f"Ended early: {outcome.why}.")
        elif outcome.reason == "interrupted":
            self.console.print(f"Stopped after {finished} evaluations.")
            return
        elif outcome.reason == "clock":
            self.console.print(f"The time is up after {finished} evaluations.")
        if result.best is None:
            self.console.print("No candidate of the space could be trained.")
            return
        trial = result.best
        if not self.quiet:
            self.console.print()
            self.console.print(drawing(trial.genome, skeleton))
        self.console.print(
            f"Best of {finished}, chosen by validation {self.score.examples}: trial {trial.number}, "
            f"{self.score.name} {self.score.scored(trial.attrs['accuracy'], trial.again)}"
            f"{' (its ancestors trained too)' if 'inherited_from' in trial.attrs else ''}",
        )
        self.console.print(Text(f"  {trial.best_genome}", "bold"), soft_wrap=True)
        if result.front:
            self.console.print(front_table(result.front, result.settings.objectives, self.score))
            for point, number in points_of(result).items():
                self.console.print(
                    f"best:{result.study}/{point} is trial {number}", soft_wrap=True, markup=False
                )
        if result.tuned and not self.quiet:
            self.console.print(tuning_table(result.tuned, self.score))
        if result.finalists:
            self.console.print(finalists_table(result.finalists, self.score))
            self._outside(result)
        if not self.quiet:
            self.console.print()
        style = "yellow" if result.verdict.outcome in ("chance", "nothing") else "bold"
        self.console.print(Text(result.verdict.sentence, style))
        for sentence in health_of(self.store):
            self.console.print(Text(f"Check: {sentence}", "yellow"), soft_wrap=True)
        if not self.quiet:
            self._next(result)

    def _outside(self, result: Result) -> None:
        """Names the given patterns of the table that no candidate could have been."""
        admitted = result.settings.admitted
        names = [row.name for row in result.finalists if not admitted(row.genome)]
        if names:
            outside = "outside the search's limits, and only a reference"
            self.console.print(f"{listed(names)}: {outside}.", style="dim")

    def _next(self, result: Result) -> None:
        assert result.best is not None
        genome, space = result.best.genome, result.settings.space
        if self.picture:
            title = f"{result.study}, trial {result.best.number}"
            path = save(
                draw(genome, space.skeleton, title),
                self.picture.replace("{study}", result.study),
            )
            self.console.print(f"Picture: {path}", soft_wrap=True)
        arguments = [shown(argument) for argument in sys.argv[1:]]
        more = max(self.request.evaluations, len(result.trials))
        more *= 1 if result.outcome.reason == "clock" else 2
        storage = storage_words(result.storage)
        plugins = [part for path in self.request.plugins for part in ("--plugin", str(path))]
        best = f"best:{result.study}"
        commands = {
            "all studies, live": ["nas", "dashboard", *storage],
            "this study on a page": ["nas", "report", result.study, *storage, *plugins],
            "train the best to the end": ["nas", "train", best, *storage, *plugins],
            "the pattern's table": ["nas", "show", best, *storage, *plugins],
            "go on": ["nas", *without(arguments, "--evaluations"), "--evaluations", str(more)],
        }
        self.console.print("Next:")
        for what, command in commands.items():
            line = Text(f"  {shlex.join(command)}  ").append(f"# {what}", "dim")
            self.console.print(line, soft_wrap=True)


def points_of(result: Result) -> dict[str, int]:
    """Numbers of the points of a search's front that have names."""
    goals = result.settings.objectives
    task = TASK_SCORES.get(goals[0])
    names = (task.score if task else POINTS[0], *POINTS[1:])
    return {name: named_point(result.front, goals, name).number for name in names}


class WorkerWatcher(ConsoleWatcher):
    """A search's progress as one sees it who helps with it."""

    def _next(self, result: Result) -> None:
        """The search itself says how to go on."""


class JobProgress:
    """A bar with the time left on a terminal, a line for every tenth of the jobs elsewhere."""

    def __init__(self, console: Console, quiet: bool, jobs: str = "trainings") -> None:
        self.console, self.quiet, self.jobs = console, quiet, jobs
        self.clock, self.before = 0.0, 0
        self.total: int | None = None
        self.progress = Progress(
            TextColumn("{task.fields[note]:28.28}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=quiet or not console.is_terminal,
        )
        self.task = self.progress.add_task("", total=None, note="", left="")

    def __enter__(self) -> JobProgress:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def update(self, done: int, total: int, key: str, share: float | None = None) -> None:
        """After every job. Another total is other jobs, whose time is counted anew.

        Args:
            share: of the work that there was at the first call; by default all jobs are equal.
        """
        if total != self.total:
            self.clock, self.before, self.total = time.monotonic(), done, total
        if share is None:
            share = (done - self.before) / max(1, total - self.before)
        seconds = (time.monotonic() - self.clock) * (1 - share) / share if share else None
        left = "" if seconds is None or done == total else f"{duration(seconds)} left"
        self.progress.update(self.task, completed=done, total=total, note=key, left=left)
        if self.progress.disable and not self.quiet and done % max(1, total // 10) == 0:
            line = " · ".join(part for part in (f"{done}/{total} {self.jobs}", key, left) if part)
            self.console.print(line, soft_wrap=True, highlight=False)

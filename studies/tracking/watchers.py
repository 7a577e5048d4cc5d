"""Trackers beside whoever watches a search or a long training."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.architecture.space import SearchSpace
from nas.drawing.figure import draw, save
from nas.errors import InputError
from nas.retraining.retrain import Fitted, TrainingWatcher
from nas.retraining.settings import RetrainSettings
from nas.saving.network_file import WEIGHTS
from nas.tasks.table import find_task
from nas.training.curves import Curves
from nas.training.optimizer import learning_rate
from studies.formatting import Score
from studies.report.page import flat
from studies.report.write import file_name, write_report
from studies.retraining.request import FOLDER
from studies.search.loop import Event
from studies.search.run import Result, Watcher
from studies.search.settings import SearchSettings
from studies.store.store import Store
from studies.store.trial import Trial, role_of, status_of
from studies.tracking.find import find_trackers
from studies.tracking.sender import Sender, to_stderr
from studies.tracking.tracker import End, Finished, Run, Tracker

WAIT_SECONDS = 30.0
"""How long the end of a search waits for trackers that are behind."""


class TrackedSearch(Watcher):
    """Tells trackers of a search, beside another watcher.

    Args:
        trackers: objects over `Tracker`, or names as `nas search --track` takes them.
        warn: told once of a tracker that cannot be reached.

    Raises:
        InputError: an unknown name, or a package that is not installed.
    """

    def __init__(
        self,
        trackers: Sequence[Tracker | str],
        watcher: Watcher | None = None,
        warn: Callable[[str], None] = to_stderr,
    ) -> None:
        names = [one for one in trackers if isinstance(one, str)]
        own = [one for one in trackers if isinstance(one, Tracker)]
        self.sender = Sender([*own, *find_trackers(names)], warn)
        self.watcher, self.warn = watcher or Watcher(), warn
        for name in ("prepared", "skipped", "contenders", "tuning", "finals", "away", "back"):
            setattr(self, name, getattr(self.watcher, name))  # theirs alone

    def started(
        self, settings: SearchSettings, store: Store, done: int, total: int, workers: int
    ) -> None:
        self.space, self.metrics = settings.space, settings.metrics
        self.score = Score.of(settings.objectives)
        trials = tuple(self._finished(t) for t in store.trials() if t.state.is_finished())
        run = Run("search", store.name, dict(flat(store.settings)), None, trials, self.score.key)
        self.sender.tell("started", run)
        self.watcher.started(settings, store, done, total, workers)

    def evaluated(self, event: Event) -> None:
        found, known = event.evaluation, event.evaluation.status != "failed"
        scores = dict(zip(self.metrics, event.values if known else (), strict=False))
        sizes = {"params": found.params, "macs": found.macs, "seconds": found.seconds}
        trial = Finished(
            event.number, str(event.genome), event.role, found.status,
            {**sizes, **found.scores, **scores}, self._curve(found.accuracies), genes_of(event.genome, self.space), event.best,
        )  # fmt: skip
        self.sender.tell("trial", trial)
        self.watcher.evaluated(event)

    def elsewhere(self, trial: Trial, best: bool) -> None:
        found = self._finished(trial, best)
        self.sender.tell("trial", found)
        self.watcher.elsewhere(trial, best)

    def stop(self) -> None:
        self.watcher.stop()

    def ended(self, result: Result) -> None:
        self.watcher.ended(result)
        score = self.score
        scores = {
            f"test {score.name}, {row.name}": score.sign * row.mean
            for row in result.finalists
            if row.n
        }
        if result.best:
            scores[f"validation {score.name}, best"] = score.sign * result.best.attrs["accuracy"]
        with tempfile.TemporaryDirectory(prefix="skipnas-") as folder:
            made = self._artefacts(result, Path(folder))
            end = End(result.outcome.reason, result.verdict.sentence, scores, made)
            self.sender.tell("ended", end)
            self.sender.flush(WAIT_SECONDS)

    def _artefacts(self, result: Result, folder: Path) -> dict[str, Path]:
        """The best pattern's picture, the report, and networks that nas train made of the best."""
        found: dict[str, Path] = {}
        if result.best is None:
            return found
        name, best = file_name(result.study), result.best
        try:
            title = f"{result.study}, trial {best.number}"
            skeleton = result.settings.space.skeleton
            found["picture"] = save(draw(best.genome, skeleton, title), folder / f"{name}.png")
        except InputError as error:  # too many layers for a picture
            self.warn(f"trackers get no picture: {error}")
        report = write_report(result.study, result.storage, out=folder / f"{name}.html", force=True)
        if report:
            found["report"] = report
        for trained in sorted(FOLDER.glob(f"{name}-trial{best.number}-*/{WEIGHTS}")):
            found["network"] = trained
        return found

    def _finished(self, trial: Trial, best: bool = False) -> Finished:
        attrs = trial.attrs
        scores = {name: attrs[name] for name in ("params", "macs", "seconds") if name in attrs}
        scores |= attrs.get("scores", {})
        scores |= zip(self.metrics, trial.values or (), strict=False)
        return Finished(
            trial.number, str(trial.genome), role_of(trial), status_of(trial), scores,
            self._curve(attrs.get("accuracies") or ()), genes_of(trial.genome, self.space), best,
        )  # fmt: skip

    def _curve(self, accuracies: Sequence[float]) -> tuple[float, ...]:
        """By epoch, with the score's own sign."""
        return tuple(self.score.sign * one for one in accuracies)


def genes_of(genome: Any, space: SearchSpace) -> dict[str, Any]:
    """Choices by gene; none for a pattern outside the space."""
    return space.params_of(genome) if genome in space else {}


class TrackedTraining(TrainingWatcher):
    """Tells trackers of a long training, beside another watcher; `ended` is to be called after it."""

    def __init__(
        self,
        trackers: Sequence[Tracker | str],
        name: str,
        watch: TrainingWatcher | None = None,
        warn: Callable[[str], None] = to_stderr,
    ) -> None:
        own = [one for one in trackers if isinstance(one, Tracker)]
        names = [one for one in trackers if isinstance(one, str)]
        self.sender = Sender([*own, *find_trackers(names)], warn)
        self.name, self.watch = name, watch or TrainingWatcher()

    def started(self, settings: RetrainSettings, folder: Path, curves: Curves, steps: int) -> None:
        self.settings, self.steps = settings, steps
        run = Run("training", self.name, dict(flat(settings.record())), folder)
        self.sender.tell("started", run)
        for epoch in range(1, len(curves.losses) + 1):
            self._tell(curves, epoch)
        self.watch.started(settings, folder, curves, steps)

    def step(self, done: int) -> None:
        self.watch.step(done)

    def epoch(self, curves: Curves) -> None:
        self._tell(curves, len(curves.losses))
        self.watch.epoch(curves)

    def ended(self, fitted: Fitted) -> None:
        """Tells how it ended, with the network, and waits until all is told."""
        task, scores = fitted.task, {"test": fitted.test, "validation": fitted.validation}
        known = {
            f"{part} {task.label}": task.sign * score
            for part, score in scores.items()
            if score is not None
        }
        made = {"network": fitted.weights, "picture": fitted.folder / "curves.png"}
        made = {name: path for name, path in made.items() if path.is_file()}
        status = "diverged" if fitted.curves.diverged else "ok"
        end = End(status, fitted.curves.diverged or f"epoch {fitted.chosen} was kept", known, made)
        self.sender.tell("ended", end)
        self.sender.flush(WAIT_SECONDS)

    def _tell(self, curves: Curves, epoch: int) -> None:
        values = _of_epoch(curves, epoch, self.settings, self.steps)
        self.sender.tell("epoch", epoch, values)


def _of_epoch(
    curves: Curves, epoch: int, settings: RetrainSettings, steps: int
) -> Mapping[str, float]:
    first, last = curves.gradients[epoch - 1]
    proxy, task = settings.proxy, find_task(settings.proxy.task)
    return {
        "loss/training": curves.losses[epoch - 1],
        f"{task.label}/validation": task.sign * curves.accuracies[epoch - 1],
        "learning rate": learning_rate(proxy, epoch * steps - 1, proxy.epochs * steps),
        "gradient norm/first layer": first,
        "gradient norm/last layer": last,
    }

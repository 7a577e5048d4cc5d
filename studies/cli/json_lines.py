"""JSON lines, for scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.files.settings import finite
from nas.retraining.retrain import Fitted, TrainingWatcher
from nas.retraining.settings import RetrainSettings
from nas.tasks.table import find_task
from nas.training.curves import Curves
from studies.analysis.health import health_of
from studies.formatting import Score
from studies.search.loop import Event
from studies.search.request import SearchRequest
from studies.search.run import Result, Watcher, described
from studies.search.settings import SearchSettings
from studies.store.database.patience import WAIT_SECONDS
from studies.store.store import Store
from studies.store.url import shown


class JsonWatcher(Watcher):
    """One JSON object a line on standard output: started, evaluated, skipped, away, back, finalist, ended.

    Scores of the user's own are there by their names, in the place of accuracy.
    """

    def __init__(self, request: SearchRequest) -> None:
        self.request = request

    def started(
        self, settings: SearchSettings, store: Store, done: int, total: int, workers: int
    ) -> None:
        self.store, self.score = store, Score.of(settings.objectives)
        line(
            "started",
            study=store.name,
            storage=shown(self.request.storage),
            done=done,
            workers=workers,
            data=described(settings),
        )

    def evaluated(self, event: Event) -> None:
        e = event.evaluation
        scores: Mapping[str, float | None] = e.scores or {
            self.score.key: None if self.score.own else e.accuracy
        }
        line(
            "evaluated", number=event.number, notation=str(event.genome), status=e.status,
            **scores, values=event.values, params=e.params, macs=e.macs,
            seconds=round(e.seconds, 3), role=event.role, best=event.best, why=e.why,
        )  # fmt: skip

    def away(self, why: str) -> None:
        line("away", why=why, seconds=WAIT_SECONDS)

    def back(self, seconds: float) -> None:
        line("back", seconds=round(seconds, 3))

    def skipped(self, why: str) -> None:
        line("skipped", why=why)

    def ended(self, result: Result) -> None:
        for row in result.finalists:
            told = {
                "name": row.name, "notation": str(row.genome), "accuracies": [*row.accuracies],
                "params": row.params, "macs": row.macs, "difference": row.difference, "p": row.p,
                "ahead": row.ahead, "ahead_p": row.ahead_p,
            }  # fmt: skip
            line("finalist", **self.score.named(told))
        best = result.best
        line(
            "ended", reason=result.outcome.reason, trials=len(result.trials),
            best=best.number if best else None, notation=str(best.genome) if best else None,
            checks=health_of(self.store), **asdict(result.verdict),
        )  # fmt: skip


class TrainingJsonWatcher(TrainingWatcher):
    """One JSON object a line: started, epoch, ended."""

    def started(self, settings: RetrainSettings, folder: Path, curves: Curves, steps: int) -> None:
        self.task = find_task(settings.proxy.task)
        line("started", folder=str(folder), epochs_done=len(curves.losses), **settings.record())

    def epoch(self, curves: Curves) -> None:
        line(
            "epoch", epoch=len(curves.losses), loss=curves.losses[-1],
            **{f"validation_{self.task.score}": self.task.signed(curves.accuracies[-1])},
        )  # fmt: skip


def end_line(fitted: Fitted) -> None:
    """The last line of JSON."""
    task = fitted.task
    scores = {"validation": fitted.validation, "test": fitted.test}
    line(
        "ended", status="diverged" if fitted.curves.diverged else "ok",
        why=fitted.curves.diverged, epochs=len(fitted.curves.losses),
        stopped_early=fitted.curves.stopped, chosen_epoch=fitted.chosen,
        **{f"{part}_{task.score}": task.signed(value) for part, value in scores.items()},
        seconds=round(fitted.seconds, 3), before=fitted.before, weights=str(fitted.weights),
    )  # fmt: skip


def line(event: str, **values: Any) -> None:
    print(json.dumps(finite({"event": event, **values})), flush=True)

"""MLflow: an experiment for each study, with a run for the search and one within it for each trial.

Where to is MLflow's own affair: its environment variables, or its default.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nas.errors import InputError
from studies.tracking.tracker import End, Finished, Run, Tracker

if TYPE_CHECKING:
    from mlflow import MlflowClient

LONGEST = 500
"""Characters of a parameter or tag: what the oldest servers take."""
AT_ONCE = 100
"""Parameters in a request, which MLflow limits."""
PARENT, NUMBER, NAME = "mlflow.parentRunId", "skipnas.trial", "mlflow.runName"
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""What is asked of MLflow where its user has said nothing: to give up after seconds."""


class MlflowTracker(Tracker):
    """A search that goes on goes on in its run; trials that are there are not logged again.

    Raises:
        InputError: MLflow is not installed.
    """

    def __init__(self) -> None:
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of its own tables
        try:
            import mlflow  # noqa: F401
        except ImportError:
            raise InputError("--track mlflow: pip install mlflow-skinny") from None

    def started(self, run: Run) -> None:
        from mlflow import MlflowClient

        self.score = run.score
        self.client: MlflowClient = MlflowClient()
        known = self.client.get_experiment_by_name(run.name)
        self.experiment = known.experiment_id if known else self.client.create_experiment(run.name)
        runs = self.client.search_runs([self.experiment], f"tags.`{NAME}` = '{run.kind}'")
        self.run = runs[0].info.run_id if runs else self._made(run)
        self.client.update_run(self.run, status="RUNNING")
        self.logged = self._logged() if runs else set[str]()
        for trial in run.trials:
            self.trial(trial)

    def _made(self, run: Run) -> str:
        made = self.client.create_run(self.experiment, tags={NAME: run.kind}, run_name=run.kind)
        self._params(made.info.run_id, run.settings)
        return made.info.run_id

    def _logged(self) -> set[str]:
        """Numbers of the trials that are there."""
        found, token = set(), None
        while True:
            page = self.client.search_runs(
                [self.experiment], f"tags.`{PARENT}` = '{self.run}'", page_token=token
            )
            found |= {one.data.tags[NUMBER] for one in page if one.info.status != "RUNNING"}
            token = page.token
            if not token:
                return found

    def trial(self, trial: Finished) -> None:
        if str(trial.number) in self.logged:
            return
        name = f"trial {trial.number}" + (f" ({trial.role})" if trial.role else "")
        tags = {PARENT: self.run, NUMBER: str(trial.number), NAME: name, "status": trial.status}
        run = self.client.create_run(self.experiment, tags=tags, run_name=name).info.run_id
        self._params(run, {"notation": trial.notation, "role": trial.role, **trial.genes})
        self._metrics(run, [(name, score, 0) for name, score in trial.scores.items()])
        self._metrics(run, [("curve", score, epoch) for epoch, score in enumerate(trial.curve, 1)])
        if trial.best and self.score in trial.scores:
            best = f"best {self.score}", trial.scores[self.score], trial.number
            self._metrics(self.run, [best])
        failed = trial.status in ("failed", "out of memory")
        self.client.set_terminated(run, "FAILED" if failed else "FINISHED")

    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        self._metrics(self.run, [(name, value, epoch) for name, value in values.items()])

    def ended(self, end: End) -> None:
        self._metrics(self.run, [(_plain(name), score, 0) for name, score in end.scores.items()])
        self.client.set_tag(self.run, "ended", end.status)
        self.client.set_tag(self.run, "mlflow.note.content", end.sentence)
        for path in end.artefacts.values():
            self.client.log_artifact(self.run, str(path))
        self.client.set_terminated(self.run)

    def _params(self, run: str, values: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(name, str(value)[:LONGEST]) for name, value in values.items()]
        for first in range(0, len(params), AT_ONCE):
            self.client.log_batch(run, params=params[first : first + AT_ONCE])

    def _metrics(self, run: str, values: list[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric
        from mlflow.utils.time import get_current_time_millis

        now = get_current_time_millis()
        metrics = [Metric(_plain(name), float(v), now, step) for name, v, step in values]
        for first in range(0, len(metrics), AT_ONCE):
            self.client.log_batch(run, metrics[first : first + AT_ONCE])


def _plain(name: str) -> str:
    """As MLflow allows names."""
    return "".join(c if c.isalnum() or c in "_-. /" else " " for c in name)

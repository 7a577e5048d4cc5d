"""Ask and tell: a search whose candidates a loop of the user's own evaluates.

    with AskTell("digits9", "mine", objectives="max:f1") as search:
        for _ in range(60):
            trial = search.ask()
            search.tell(trial, my_f1(compile_network(trial.genome, search.space.skeleton)))

It is `studies.search.loop` with the user in the place of the workers, so what holds for a search holds
here: trial k follows from the settings, the proposals before k and the results before k - lag, whenever
and in whatever order those are told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from nas.architecture.space import SearchSpace
from nas.data.description import description
from nas.errors import InputError, brief
from nas.evaluation.jobs import Epoch, EvaluationJob
from nas.strategies.problem import Exhausted
from nas.workers.protocol import Finished, Job, Pool
from studies.notebook.study import Study
from studies.notebook.told import evaluation_of, loop_settings, scores_of
from studies.search.loop import Event, Search
from studies.search.request import SearchRequest, check_request
from studies.search.run import versions
from studies.store.claims import BEAT_SECONDS, POLL_SECONDS
from studies.store.names import COMMAND, DATA, VERSIONS
from studies.store.storages import open_storage, quiet, storage_errors
from studies.store.store import Store
from studies.store.trial import Trial
from studies.store.url import STORAGE

ENDLESS = 10**7
"""Evaluations: the loop says when it is enough."""


class AskTell:
    """A search that gives out candidates and is told their scores. Use it in a `with`, or `close` it.

    Args:
        space: a name, a TOML file, or a space itself.
        study: its name; None follows from the settings. One that is there goes on.
        storage: an Optuna URL, or a journal file.
        objectives: `accuracy`, `max:f1`, `min:perplexity,params` …; None is accuracy (and params for
            strategies that have several).
        data: what the loop trains on, if that is one of our sets, a folder or a file; recorded with the
            study, and the space fitted to it.
        start: a baseline or a notation, whose mutants are the first population.
        plugins: files with merges, strategies and the like of one's own.

    Raises:
        InputError: something is wrong, or the study was made with other settings.
    """

    def __init__(
        self,
        space: str | SearchSpace,
        study: str | None = None,
        storage: str = STORAGE,
        *,
        objectives: str | None = None,
        strategy: str = "regularized",
        seed: int = 0,
        lag: int = 8,
        population: int = 16,
        pruner: str = "none",
        max_params: int | None = None,
        max_macs: int | None = None,
        start: str | None = None,
        data: str | None = None,
        data_dir: Path | None = None,
        plugins: Sequence[Path] = (),
    ) -> None:
        request = SearchRequest(
            space=space, study=study, storage=storage, objectives=objectives, strategy=strategy,
            seed=seed, lag=lag, population=population, pruner=pruner, max_params=max_params,
            max_macs=max_macs, start=start, data=data, data_dir=data_dir,
            plugins=tuple(map(Path, plugins)), evaluations=ENDLESS,
        )  # fmt: skip
        check_request(request)
        self.settings = settings = loop_settings(request)
        self.storage, self._goal = storage, request
        self._asked: dict[int, float] = {}
        """When each was, by number, in seconds of the monotonic clock."""
        self._stopped: set[int] = set()
        """Numbers whose last report was answered by the pruner."""
        self._recorded = False
        self._lock, self._ended = threading.RLock(), threading.Event()
        self._open = ExitStack()
        with storage_errors(storage), quiet():
            opened = open_storage(storage)
            name = study or settings.default_name
            self.store = Store.open(
                opened, name, settings.record(), settings.maximise, settings.metrics
            )
            self._open.enter_context(self.store.joined(storage))
            self.store.note(VERSIONS, versions())
            self.store.note(COMMAND, "")
            if data:
                folder = str(data_dir.expanduser().resolve()) if data_dir else None
                self.store.note(DATA, description(settings.data) | {"data_dir": folder})
            self._hands = _Hands()
            self._search = Search(settings, self.store, self._hands, self._note)
            self._search.follow(tell=False)
        threading.Thread(target=self._beat, daemon=True).start()

    def __enter__(self) -> AskTell:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leaves the study; what was asked and not told is asked again by whoever goes on with it."""
        self._ended.set()
        with self._lock:
            self._open.close()

    @property
    def space(self) -> SearchSpace:
        """Fitted to the data, where those were named."""
        return self.settings.space

    @property
    def seed(self) -> int:
        return self.settings.seed

    @property
    def study(self) -> Study:
        """The study as it is now, also when it is closed here."""
        with self._lock, storage_errors(self.storage):
            return Study.read(self.store, self.storage)

    def __len__(self) -> int:
        """Trials that have been told, here or elsewhere."""
        with self._lock, storage_errors(self.storage):
            return sum(trial.state.is_finished() for trial in self.store.trials())

    def ask(self) -> Trial:
        """The next candidate; `number` and `genome` are what a loop needs of it.

        Waits for results that other processes owe.

        Raises:
            InputError: it has to see results that are not told yet here.
            Exhausted: nothing new is left.
        """
        while True:
            with self._calling():
                self._hands.idle = 1
                self._search.look()
                ended = self._search.begin(self._goal, None)
                self._hands.idle = 0
                job, self._hands.job = self._hands.job, None
                if job:
                    self._asked[job.number] = time.monotonic()
                    return self.store.trials()[job.number]
                if ended:
                    raise Exhausted(ended.why)
                self._check_told()
            time.sleep(POLL_SECONDS)

    def report(self, trial: Trial | int, epoch: int, score: Any) -> bool:
        """Records the score after an epoch (from 1), which `pruner` judges.

        Returns:
            Whether the candidate is weak, and its training may end: `tell` then records it as pruned.

        Raises:
            InputError: the trial is not open here, or the score is no finite number.
        """
        with self._calling():
            number = self._open_number("report", trial)
            what = f"report: trial {number} was told for epoch {brief(epoch)}"
            if type(epoch) is not int or epoch < 1:
                raise InputError(f"{what}; epochs are whole numbers from 1")
            value = scores_of(self.settings.objectives).one(score, what)
            self._hands.reply = False
            self._search.epoch(Epoch(number, epoch, value))
            (self._stopped.add if self._hands.reply else self._stopped.discard)(number)
            return self._hands.reply

    def tell(
        self,
        trial: Trial | int,
        score: Any = None,
        *,
        curve: Sequence[Any] | None = None,
        failed: str | None = None,
    ) -> bool:
        """Records the result of a candidate.

        Args:
            score: a number, all scores by name where there are several, or an Evaluation.
            curve: scores after epochs 1, 2, …, where they were not reported one by one.
            failed: why there is no score, if there is none.

        Returns:
            Whether it was recorded: not if this process was taken for dead, and another has the trial.

        Raises:
            InputError: the trial is not open here, or the score is not what the objectives need.
        """
        with self._calling():
            number = self._open_number("tell", trial)
            if failed is not None and score is not None:
                raise InputError(f"tell: trial {number} has a score and failed; it is one of them")
            if failed is not None:
                result = Finished(number, None, str(failed) or "failed")
            else:
                for epoch, one in enumerate(curve or (), 1):
                    self.report(number, epoch, one)
                if curve is not None:
                    self._stopped.discard(number)
                run = self._search.records.running[number]
                evaluation = evaluation_of(
                    score, run.genome, self.settings, f"tell: trial {number} was told",
                    curve=run.curve, pruned=number in self._stopped,
                    seconds=time.monotonic() - self._asked[number],
                )  # fmt: skip
                result = Finished(number, evaluation)
            self._recorded = False
            self._search.end(result, begin=False)
            self._stopped.discard(number)
            del self._asked[number]
            return self._recorded

    def _note(self, _: Event) -> None:
        self._recorded = True

    @contextmanager
    def _calling(self) -> Iterator[None]:
        if self._ended.is_set():
            raise InputError(f"study {self.store.name!r} is closed here; AskTell opens it again")
        with self._lock, storage_errors(self.storage):
            yield

    def _beat(self) -> None:
        """Says that this process is alive while the loop trains."""
        while not self._ended.wait(BEAT_SECONDS):
            with self._lock, suppress(Exception):  # the loop's own call says what is wrong
                self.store.renew()

    def _open_number(self, call: str, trial: Trial | int) -> int:
        number = trial.number if isinstance(trial, Trial) else trial
        if number not in self._asked:
            asked = ", ".join(map(str, sorted(self._asked))) or "none"
            raise InputError(
                f"{call}: trial {brief(number)} is not open; those asked here and not told are {asked}"
            )
        return number

    def _check_told(self) -> None:
        """Raises InputError where the next trial waits for what this loop has not told."""
        records, lag = self._search.records, self.settings.lag
        k = records.waiting[0] if records.waiting else len(records)
        owed = sorted(number for number in self._asked if number < k - lag)
        if owed:
            raise InputError(
                f"ask: trial {k} sees the results of trials 0 to {k - lag - 1} (lag {lag}), and "
                f"{', '.join(map(str, owed))} {'is' if len(owed) == 1 else 'are'} not told yet"
            )


class _Hands(Pool):
    """The pool of an own loop: who asks takes one job, and reports by calls."""

    idle = 0
    job: EvaluationJob | None = None
    reply = False

    def reports(self, timeout: float | None = None) -> Iterator[Any]:
        """None that wait: they come by calls."""
        return iter(())

    def submit(self, job: Job) -> None:
        assert isinstance(job, EvaluationJob)
        self.job, self.idle = job, 0

    def answer(self, number: int, reply: Any) -> None:
        self.reply = bool(reply)

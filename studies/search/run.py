"""A whole search as one call: data, space, study, workers, loop, finalists."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from nas.architecture.genome import Genome
from nas.data.description import description
from nas.errors import InputError
from nas.evaluation.inheritance import WeightFolder
from nas.evaluation.jobs import EvaluationContext
from nas.plugins import check_loaded
from nas.tasks.table import find_task
from nas.workers.protocol import Pool
from studies.finals.contenders import run_contenders
from studies.finals.finalists import Finalist, run_finalists
from studies.finals.trainings import fresh_seeds
from studies.finals.tuning import FIRST_SEED as TUNING_SEED
from studies.finals.tuning import Tuned, best_reference, recorded_tuning, references_of, run_tuning
from studies.foreign.imported import imported_digest
from studies.search.choice import front_of, spread
from studies.search.given import given_patterns
from studies.search.loop import Event, Outcome, Search
from studies.search.machines import Means, connection, open_pool
from studies.search.request import SearchRequest, check_request, goal_of, prepare_settings
from studies.search.settings import SearchSettings
from studies.search.verdict import Verdict, verdict
from studies.store.database.patience import Patience
from studies.store.names import (
    COMMAND,
    DATA,
    ENDED,
    EVALUATE,
    GOAL,
    HEEDS_PART,
    VERSIONS,
    study_names,
)
from studies.store.storages import existing_storage, open_storage, storage_errors, weights_folder
from studies.store.store import Store
from studies.store.trial import Trial, best_trials

MakePool = Callable[
    [Means, EvaluationContext, Mapping[str, str], int], AbstractContextManager[tuple[Pool, int]]
]
POPULATIONS = 4
"""Populations of trained weights that are kept, and as many more as the lag."""


class Watcher:
    """Who watches a search; every method may be overridden."""

    def prepared(self, settings: SearchSettings) -> None:
        """The data are read and the study is open; no worker has been started yet."""

    def started(
        self, settings: SearchSettings, store: Store, done: int, total: int, workers: int
    ) -> None: ...

    def evaluated(self, event: Event) -> None: ...

    def elsewhere(self, trial: Trial, best: bool) -> None:
        """A trial that another process has evaluated; whether it is the most accurate so far."""

    def skipped(self, why: str) -> None:
        """Something that another program put into the study cannot be used; a sentence."""

    def contenders(self, done: int, total: int) -> None: ...

    def tuning(self, done: int, total: int) -> None: ...

    def finals(self, done: int, total: int) -> None: ...

    def ended(self, result: Result) -> None: ...

    def away(self, why: str) -> None:
        """The database does not answer; it is waited for (`studies.store.database.patience`)."""

    def back(self, seconds: float) -> None:
        """It answers again, after so long."""

    def stop(self) -> None:
        """Also where it ends by an error."""


@dataclass(frozen=True)
class Result:
    """What a search found."""

    study: str
    storage: str
    settings: SearchSettings
    outcome: Outcome
    trials: list[Trial]
    best: Trial | None
    """The best by the proxy (`Trial.rank`), None if nothing could be trained."""
    tuned: list[Tuned]
    """Finalists and references at their best learning rates, on validation images."""
    finalists: list[Finalist]
    front: list[Trial]
    """The Pareto front where there are several objectives (`choice.front_of`)."""
    verdict: Verdict


def run_search(
    request: SearchRequest,
    watcher: Watcher | None = None,
    stop: Callable[[], bool] = lambda: False,
    make_pool: MakePool = open_pool,
) -> Result:
    """Runs or continues a search, beside other processes that work on the same study.

    Args:
        stop: asked again and again; what runs is finished, and nothing starts, when it is true.
        make_pool: opens the workers, as `open_pool` does.

    Raises:
        InputError: something in the request is wrong; nothing is recorded then.
    """
    check_request(request)
    watcher = watcher or Watcher()
    with storage_errors(request.storage), connection(request):
        try:
            settings, devices = prepare_settings(request)
        except InputError:
            _check_plugins(request)
            raise
        storage = open_storage(request.storage, Patience(watcher.away, watcher.back))
        name = request.study or _own_name(settings, study_names(storage))
        digest = imported_digest(storage, name, settings.space, settings.objectives)
        settings = replace(settings, imported=digest)
        store = Store.open(storage, name, settings.record(), settings.maximise, settings.metrics)
        with store.joined(request.storage):
            wanted = max(request.evaluations, len(store.trials()))
            store.note(COMMAND, replace(request, evaluations=wanted, max_seconds=None).command)
            store.note(GOAL, goal_of(replace(request, evaluations=wanted), settings))
            folder = str(request.data_dir.expanduser().resolve()) if request.data_dir else None
            if settings.evaluate:
                store.note(EVALUATE, settings.evaluate.place)
            store.note(DATA, described(settings) | {"data_dir": folder})
            watcher.prepared(settings)
            return work(request, settings, devices, store, watcher, stop, make_pool=make_pool)


def described(settings: SearchSettings) -> dict[str, Any]:
    """What is known of the data, as the task takes them; of a table's no more than the name."""
    if settings.table:
        return {"name": settings.data.name}
    return description(settings.data, find_task(settings.space.proxy.task))


def _check_plugins(request: SearchRequest) -> None:
    """Raises InputError where the study that a request names was made with a plugin that is not loaded."""
    store = None
    with suppress(InputError):
        store = request.study and Store.load(existing_storage(request.storage), request.study)
    if store:
        check_loaded(store.settings.get("plugins", ()), f"study {store.name!r}")


def _own_name(settings: SearchSettings, names: Sequence[str]) -> str:
    """The default name, or one that an earlier version gave to the study of these settings."""
    own = (settings.default_name, *settings.earlier_names)
    return next((name for name in own if name in names), own[0])


def work(
    request: SearchRequest,
    settings: SearchSettings,
    devices: tuple[str, ...],
    store: Store,
    watcher: Watcher,
    stop: Callable[[], bool],
    leads: bool = True,
    make_pool: MakePool = open_pool,
) -> Result:
    """Evaluates in a study that this process has joined, until its goal is reached.

    Args:
        leads: whether finalists are trained also where the time is up before that.
    """
    weights = _weights(request.storage, store.name, settings) if settings.inherit else None
    if weights:
        weights.tidy()
    store.note(VERSIONS, versions())
    context = EvaluationContext(
        settings.space.skeleton, settings.data, devices, settings.fast, tuple(settings.plugins),
        weights, own=settings.evaluate, table=settings.table,
    )  # fmt: skip
    done = sum(trial.state.is_finished() for trial in store.trials())
    with ExitStack() as stack:
        stack.callback(watcher.stop)
        workers, count = stack.enter_context(
            make_pool(request, context, settings.device, settings.lag)
        )
        watcher.started(settings, store, done, max(request.evaluations, done), count)
        search = Search(
            settings, store, workers, watcher.evaluated, watcher.elsewhere, watcher.skipped
        )
        outcome = search.run(request, stop)
        finalists: list[Finalist] = []
        own = leads or outcome.reason != "clock"
        if own and not stop() and not settings.table:  # whose seeds are not fresh
            finalists = _finals(request, settings, store, workers, watcher, stop)
        trials = store.ranked()
    if stop():
        outcome = replace(outcome, reason="interrupted")
    store.note(ENDED, asdict(outcome))
    best = next(iter(best_trials(trials, settings.space, 1)), None)
    front: list[Trial] = []
    if len(settings.objectives) > 1:
        front = front_of(trials, settings.space, settings.objectives, settings.admitted)
    result = Result(
        store.name, request.storage, settings, outcome, trials, best,
        recorded_tuning(store.notes()), finalists, front,
        verdict(
            best, trials, finalists, described(settings), settings.objectives, settings.admitted
        ),
    )  # fmt: skip
    watcher.ended(result)
    return result


def _weights(url: str, study: str, settings: SearchSettings) -> WeightFolder:
    """Room for the candidates that can soon be parents, also where old ones are (the best of all).

    Raises:
        InputError: no folder can be made.
    """
    limit = POPULATIONS * settings.population + settings.lag
    origin = json.dumps(settings.record(), sort_keys=True)
    folder = WeightFolder(weights_folder(url, study), origin, limit)
    folder.prepare()
    return folder


def _finals(
    request: SearchRequest,
    settings: SearchSettings,
    store: Store,
    workers: Pool,
    watcher: Watcher,
    stop: Callable[[], bool],
) -> list[Finalist]:
    space = settings.space
    if request.finalists and request.contenders:
        count, seeds = request.contenders, request.contender_seeds
        least = request.finalists
        if (
            len(settings.objectives) > 1
        ):  # a front has no better half: half as many, four times as long
            count, seeds, least = (count + 1) // 2, 4 * seeds, count
        best = chosen(store.trials(), settings, max(count, request.finalists))
        if best:
            run_contenders(
                best, space.skeleton, space.proxy, settings.seed, seeds, least, store, request.storage, workers, watcher.contenders, stop,
            )  # fmt: skip
    raced = [replace(trial, tuned=None) for trial in store.ranked()]  # not by an earlier tuning
    best = chosen(raced, settings, request.finalists)
    if not best or stop():
        return []
    entries = {f"trial {trial.number}": trial.genome for trial in best} | given_patterns(settings)
    reference = None
    if request.tuning_seeds:
        tuned = run_tuning(
            entries | references_of(space), space.learning_rates, space.skeleton, space.final_proxy,
            fresh_seeds(settings.seed, request.tuning_seeds, TUNING_SEED), store, request.storage,
            workers, watcher.tuning, stop,
        )  # fmt: skip
        if not tuned:
            return []
        entries, reference = to_test(tuned, settings)
    if settings.evaluate and not any(t.attrs.get(HEEDS_PART) for t in store.trials()):
        return []  # what it would return were no test scores; the verdict says so
    return run_finalists(
        list(entries.items()), space.skeleton, space.final_proxy,
        fresh_seeds(settings.seed, request.finalist_seeds), store, request.storage, workers,
        watcher.finals, stop, reference,
    )  # fmt: skip


def to_test(
    tuned: Sequence[Tuned], settings: SearchSettings
) -> tuple[dict[str, Genome], str | None]:
    """What sees the test images, each at its best learning rate, and the best reference's name.

    That is the best finalist (with several objectives, all), the residual pattern, the best reference,
    and what the search started from.
    """
    found = [one for one in tuned if one.name.startswith("trial")]
    if len(settings.objectives) == 1:
        found = found[:1]
    best = best_reference(tuned)
    names = {"residual", "start", best.name if best else ""}
    found += [one for one in tuned if one.name in names]
    return {one.name: one.genome for one in found}, best.name if best else None


def chosen(trials: Sequence[Trial], settings: SearchSettings, count: int) -> list[Trial]:
    """The candidates to train again: the best within the limits, or points over their front."""
    if len(settings.objectives) > 1:
        front = front_of(trials, settings.space, settings.objectives, settings.admitted)
        return spread(front, settings.objectives, count)
    best = best_trials(trials, settings.space)
    return [trial for trial in best if settings.admitted(trial.genome)][:count]


def versions() -> dict[str, str]:
    """Of what results depend on."""
    from importlib.metadata import version

    names = ("skipnas", "torch", "torchvision", "optuna", "deap", "numpy", "scikit-learn")
    return {"python": platform.python_version()} | {name: version(name) for name in names}

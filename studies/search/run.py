"""A whole search as one call: data, space, study, workers, loop, finalists."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields, replace
from math import inf
from pathlib import Path
from typing import Any

from nas.data.load import SOURCES, load_data
from nas.errors import InputError, unknown
from nas.evaluation.inheritance import WeightFolder
from nas.evaluation.jobs import EvaluationBench
from nas.strategies.propose import Limits
from nas.workers.process_pool import Pool
from search_spaces import load_plugins
from studies.cli.options import STORAGE
from studies.finals.contenders import run_contenders
from studies.finals.finalists import (
    FINALISTS,
    Finalist,
    beside_settings,
    finalists_name,
    fresh_seeds,
    run_finalists,
)
from studies.samplers.pruners import PRUNERS
from studies.samplers.strategies import MULTI_OBJECTIVE, PARETO, check_parents, strategy_names
from studies.search.given import best_trials, given_patterns
from studies.search.loop import Event, Outcome, Search
from studies.search.machines import Means, connection, find_machine, open_pool
from studies.search.objectives import check_objectives
from studies.search.screen import Screen
from studies.search.settings import SearchSettings
from studies.search.spaces import check_resolution, find_space, starting_point
from studies.store.opening import open_storage, storage_errors
from studies.store.storages import weights_folder
from studies.store.store import COMMAND, GOAL, VERSIONS, Store, Trial
from studies.store.url import shown

POPULATIONS = 4
"""Populations of trained weights that are kept, and as many more as the lag."""


RANGES: dict[str, tuple[float, float]] = {
    "evaluations": (1, 10**7),
    "lag": (1, 10**5),
    "population": (2, 10**5),
    "contenders": (0, 10**4),
    "contender_seeds": (1, 10**4),
    "finalists": (0, 10**4),
    "finalist_seeds": (1, 10**4),
    "seed": (0, inf),
    "split_seed": (0, 2**32 - 1),
    "max_params": (1, inf),
    "max_macs": (1, inf),
    "max_seconds": (0, inf),
}
"""Least and largest value of the options that are numbers."""


GOALS = ("evaluations", "contenders", "contender_seeds", "finalists", "finalist_seeds")
"""Fields of a request that say how far a study is to come."""


@dataclass(frozen=True)
class Request(Means):
    """What `nas search` can be asked; every field is an option of it."""

    space: str = "digits9"
    """A name in SPACES, or a TOML file."""
    data: str | None = None
    """A named set, a folder or an .npz file; None is the space's usual data."""
    data_dir: Path | None = None
    split_seed: int = 0
    start: str | None = None
    """A baseline, on whose skeleton the search runs, or a notation of the space."""
    strategy: str = "regularized"
    evaluations: int = 100
    max_seconds: float | None = None
    seed: int = 0
    pruner: str = "none"
    screen: str | None = None
    """SCORE:N, such as synflow:4: of N candidates drawn for a trial, the best by the score."""
    inherit: bool = False
    """Whether a child starts from its first parent's weights."""
    objectives: str | None = None
    """Comma-separated; None is accuracy, and accuracy,params for NSGA-II and NSGA-III."""
    max_params: int | None = None
    max_macs: int | None = None
    population: int = 16
    fast: bool = False
    study: str | None = None
    storage: str = STORAGE
    lag: int = 8
    contenders: int = 12
    """Best candidates that are trained again to choose the finalists, of which there are no more."""
    contender_seeds: int = 4
    finalists: int = 3
    finalist_seeds: int = 16
    plugins: tuple[Path, ...] = ()

    @property
    def command(self) -> str:
        """The command that asks for this: all options that are not the defaults, no password."""
        words = ["nas", "search"]
        means = {option.name for option in fields(Means)}
        for option in sorted(fields(self), key=lambda option: option.name in means):
            value = getattr(self, option.name)
            name = {"start": "from", "plugins": "plugin"}.get(option.name, option.name)
            flag = f"--{name.replace('_', '-')}"
            if value is True:
                words.append(flag)
            elif value != option.default:
                for one in value if isinstance(value, tuple) else (value,):
                    words += [flag, shown(one) if option.name == "storage" else str(one)]
        return shlex.join(words)


class View:
    """Who watches a search; every method may be overridden."""

    def started(
        self, settings: SearchSettings, store: Store, done: int, total: int, workers: int
    ) -> None: ...

    def evaluated(self, event: Event) -> None: ...

    def elsewhere(self, trial: Trial, best: bool) -> None:
        """A trial that another process has evaluated; whether it is the most accurate so far."""

    def contenders(self, done: int, total: int) -> None: ...

    def finals(self, done: int, total: int) -> None: ...

    def ended(self, result: Result) -> None: ...

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
    finalists: list[Finalist]
    front: list[Trial]
    """The Pareto front where there are several objectives, most accurate first."""


def run_search(
    request: Request, view: View | None = None, stop: Callable[[], bool] = lambda: False
) -> Result:
    """Runs or continues a search, beside other processes that work on the same study.

    Args:
        stop: asked again and again; what runs is finished, and nothing starts, when it is true.

    Raises:
        InputError: something in the request is wrong; nothing is recorded then.
    """
    check_request(request)
    with storage_errors(request.storage), connection(request):
        settings, devices = prepare_settings(request)
        storage = open_storage(request.storage)
        store = Store.open(
            storage, request.study or settings.default_name, settings.record(),
            settings.maximise, settings.objectives,
        )  # fmt: skip
        with store.joined(request.storage):
            wanted = max(request.evaluations, len(store.trials()))
            store.note(COMMAND, replace(request, evaluations=wanted, max_seconds=None).command)
            store.note(GOAL, goal_of(replace(request, evaluations=wanted), settings))
            return work(request, settings, devices, store, view or View(), stop)


def goal_of(request: Request, settings: SearchSettings) -> dict[str, Any]:
    """What a study is to come to; it is no part of what decides its results."""
    goal = {name: getattr(request, name) for name in GOALS}
    return goal | {"final": asdict(settings.space.final) if settings.space.final else None}


def work(
    request: Request,
    settings: SearchSettings,
    devices: tuple[str, ...],
    store: Store,
    view: View,
    stop: Callable[[], bool],
    leads: bool = True,
) -> Result:
    """Evaluates in a study that this process has joined, until its goal is reached.

    Args:
        leads: whether finalists are trained also where the time is up before that.
    """
    weights = _weights(request.storage, store.name, settings) if settings.inherit else None
    if weights:
        weights.tidy()
    store.note(VERSIONS, _versions())
    bench = EvaluationBench(
        settings.space.skeleton, settings.data, devices, settings.fast, tuple(settings.plugins),
        weights,
    )  # fmt: skip
    done = sum(trial.state.is_finished() for trial in store.trials())
    with ExitStack() as stack:
        stack.callback(view.stop)
        workers, count = stack.enter_context(
            open_pool(request, bench, settings.device, settings.lag)
        )
        view.started(settings, store, done, max(request.evaluations, done), count)
        search = Search(settings, store, workers, view.evaluated, view.elsewhere)
        outcome = search.run(request.evaluations, request.max_seconds, stop)
        numbers = set(store.front()) if len(settings.objectives) > 1 else set()
        finalists: list[Finalist] = []
        if not stop() and (leads or outcome.reason != "clock"):
            finalists = _finals(request, settings, store, workers, view, stop)
        trials = store.ranked()
    if stop():
        outcome = replace(outcome, reason="interrupted")
    best = best_trials(trials, settings.space, 1)
    front = sorted(
        (trial for trial in trials if trial.ok and trial.number in numbers),
        key=lambda t: -t.attrs["accuracy"],
    )
    result = Result(
        store.name, request.storage, settings, outcome, trials,
        best[0] if best else None, finalists, front,
    )  # fmt: skip
    view.ended(result)
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


def prepare_settings(request: Request) -> tuple[SearchSettings, tuple[str, ...]]:
    """The settings of a request and the devices that its workers use."""
    plugins = load_plugins(request.plugins)
    space, start = starting_point(find_space(request.space), request.start)
    if request.strategy not in strategy_names():
        raise unknown("strategy", request.strategy, strategy_names(), place="--strategy")
    default = "accuracy,params" if request.strategy in PARETO else "accuracy"
    objectives = check_objectives(
        (request.objectives or default).split(","), request.strategy,
        several=request.strategy in MULTI_OBJECTIVE,
    )  # fmt: skip
    if request.pruner not in PRUNERS:
        raise unknown("pruner", request.pruner, PRUNERS, place="--pruner")
    if request.pruner != "none" and len(objectives) > 1:
        raise InputError(
            f"--pruner {request.pruner}: it judges by accuracy alone, "
            f"but the objectives are {','.join(objectives)}"
        )
    screen = Screen.parse(request.screen) if request.screen is not None else None
    if request.inherit:
        check_parents(request.strategy)
    find = find_machine(request)
    side = min(space.skeleton.input_shape[1:])
    if request.data is None and space.data not in SOURCES:
        raise InputError(
            f"space {space.name} is usually searched on {space.data}, which this program does not "
            "have; name a folder of images by class with --data"
        )
    data = load_data(request.data or space.data, request.data_dir, request.split_seed, side)
    space = space.for_data(data.shape, len(data.classes))
    found = find(space.skeleton, (space.proxy, space.final_proxy))
    space = replace(space, proxy=found.proxies[0], final=found.proxies[1])
    check_resolution(space)
    limits = Limits(request.max_params, request.max_macs)
    limits.check(space)
    settings = SearchSettings(
        space, data, request.strategy, objectives, request.seed, request.lag, limits,
        found.kind, request.fast, request.population, request.pruner, start, plugins,
        screen, request.inherit,
    )  # fmt: skip
    return settings, found.devices


def check_request(request: Request) -> None:
    """Raises InputError for numbers that are out of their range."""
    for name, (least, most) in RANGES.items():
        value = getattr(request, name)
        if value is not None and not least <= value <= most:
            option, what = f"--{name.replace('_', '-')}", "at least" if value < least else "at most"
            raise InputError(
                f"{option} {value:g}: it must be {what} {least if value < least else most:g}"
            )
    request.check(request.lag)


def _finals(
    request: Request,
    settings: SearchSettings,
    store: Store,
    workers: Pool,
    view: View,
    stop: Callable[[], bool],
) -> list[Finalist]:
    if request.finalists and request.contenders:
        best = _best(store.trials(), settings, max(request.contenders, request.finalists))
        if best:
            run_contenders(
                best, settings, request.contender_seeds, store, request.storage, workers,
                view.contenders, stop,
            )  # fmt: skip
    best = _best(store.ranked(), settings, request.finalists)
    if not best or stop():
        return []
    patterns = given_patterns(settings)
    entries = [(f"trial {trial.number}", trial.genome) for trial in best] + list(patterns.items())
    proxy = settings.space.final_proxy
    finals = Store.open(
        store.storage, finalists_name(store.name),
        beside_settings(settings, proxy, "finalists", store.name), [True], ["test accuracy"],
    )  # fmt: skip
    seeds = fresh_seeds(settings.seed, request.finalist_seeds)
    named = [[name, str(genome)] for name, genome in entries]
    store.note(FINALISTS, {"entries": named, "seeds": seeds})
    with finals.joined(request.storage):
        return run_finalists(entries, settings, proxy, seeds, finals, workers, view.finals, stop)


def _best(trials: Sequence[Trial], settings: SearchSettings, count: int) -> list[Trial]:
    best = best_trials(trials, settings.space, count)
    return [trial for trial in best if settings.limits.admit(trial.genome, settings.space)]


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    names = ("skipnas", "torch", "torchvision", "optuna", "deap", "numpy", "scikit-learn")
    return {"python": platform.python_version()} | {name: version(name) for name in names}

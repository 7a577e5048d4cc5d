"""What a search is asked to do, checked, and made into its settings."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import inf
from pathlib import Path
from typing import Any

from nas.architecture.genome import Genome
from nas.architecture.plan import check_merges
from nas.architecture.space import SearchSpace
from nas.data.dataset import Data
from nas.data.fitting import check_task
from nas.data.load import SOURCES, load_data
from nas.errors import InputError, unknown
from nas.evaluation.own_file import OwnTraining
from nas.own_model import named_model
from nas.strategies.problem import Limits
from nas.tables.table import Table
from nas.tasks.table import find_task
from search_spaces import load_plugins
from studies.formatting import ACCURACY
from studies.samplers.pruners import PRUNERS
from studies.samplers.strategies import STRATEGIES, find_strategy, has_parents
from studies.search.machines import Means, find_machine
from studies.search.objectives import OBJECTIVES, check_objectives, own_objectives
from studies.search.screen import Screen
from studies.search.settings import EVALUATIONS, SearchSettings
from studies.search.spaces import check_resolution, find_space, on_model, plugins_of, starting_point
from studies.store.names import own_score
from studies.store.url import STORAGE, shown


def number(default: Any, least: float, most: float = inf, goal: bool = False) -> Any:
    """A field that is a number within a range.

    Args:
        goal: whether it says how far a study is to come, which whoever helps with it has to know.
    """
    return field(default=default, metadata={"range": (least, most), "goal": goal})


@dataclass(frozen=True)
class SearchRequest(Means):
    """What `nas search` can be asked; every field is an option of it."""

    space: str | SearchSpace = "digits27"
    """A name in SPACES, or a TOML file; from Python also a space itself."""
    data: str | None = None
    """A named set, a folder or an .npz file; None is the space's usual data."""
    data_dir: Path | None = None
    split_seed: int = number(0, 0, 2**32 - 1)
    model: str | None = None
    """my_model.py:make, a function that makes a model of the user's own, or a name in MODELS: the search
    runs on its blocks, with the space's distances, merges, strengths and trainings."""
    blocks: str | None = None
    """Where the model's blocks are in it; comma-separated."""
    start: str | None = None
    """A baseline, on whose skeleton the search runs, or a notation of the space."""
    strategy: str = "regularized"
    evaluations: int = number(EVALUATIONS, 1, 10**7, goal=True)
    patience: int | None = number(None, 1, 10**7, goal=True)
    """Evaluations without a better one after which the search ends."""
    target: float | None = number(None, 0, goal=True)
    """Score of the first objective that ends the search once its best has reached it."""
    max_seconds: float | None = number(None, 0)
    seed: int = number(0, 0)
    pruner: str = "none"
    screen: str | None = None
    """SCORE:N, such as synflow:4: of N candidates drawn for a trial, the best by the score."""
    inherit: bool = False
    """Whether a child starts from its first parent's weights."""
    objectives: str | None = None
    """Comma-separated; None is accuracy, and accuracy,params for NSGA-II and NSGA-III."""
    max_params: int | None = number(None, 1)
    max_macs: int | None = number(None, 1)
    population: int = number(16, 2, 10**5)
    fast: bool = False
    study: str | None = None
    storage: str = STORAGE
    lag: int = number(8, 1, 10**5)
    contenders: int = number(12, 0, 10**4, goal=True)
    """Best candidates that are trained again to choose the finalists, of which there are no more."""
    contender_seeds: int = number(2, 1, 10**4, goal=True)
    """Of the first round of their race; the better half goes on with as many again."""
    finalists: int = number(3, 0, 10**4, goal=True)
    tuning_seeds: int = number(2, 0, 10**4, goal=True)
    """Fresh seeds for finalists and references at each learning rate; 0 leaves tuning out."""
    finalist_seeds: int = number(24, 1, 10**4, goal=True)
    plugins: tuple[Path, ...] = ()
    evaluate: str | None = None
    """FILE.py:FUNCTION, a training of the user's own."""
    table: str | None = None
    """A table's name or file, in which the space's trainings are looked up."""

    def __post_init__(self) -> None:
        """Puts the model's file among the plugins, which workers load and the study records."""
        file = named_model(self.model)[1] if self.model else None
        if file and file not in self.plugins:
            object.__setattr__(self, "plugins", (*self.plugins, file))

    @property
    def command(self) -> str:
        """The command that asks for this: all options that are not the defaults, no password.

        None asks for a space that has no name; it is empty then.
        """
        if not isinstance(self.space, str):
            return ""
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


OF_TABLES = (
    "space", "data", "data_dir", "split_seed", "model", "blocks", "evaluate", "inherit", "screen", "fast",
)  # fmt: skip
"""Fields that a table decides, or that need a training."""
NOT_IN_TABLES = ("gradient-ratio",)
"""Objectives beside those that are measured."""
GOALS = tuple(option.name for option in fields(SearchRequest) if option.metadata.get("goal"))
"""Fields of a request that say how far a study is to come."""


def goal_of(request: SearchRequest, settings: SearchSettings) -> dict[str, Any]:
    """What a study is to come to; it is no part of what decides its results."""
    goal = {name: getattr(request, name) for name in GOALS}
    return goal | {"final": settings.space.final.record() if settings.space.final else None}


@dataclass(frozen=True)
class Asked:
    """What the words of a request mean, before any data or machine has been looked at."""

    space: SearchSpace
    start: Genome | None
    objectives: tuple[str, ...]
    limits: Limits
    screen: Screen | None
    plugins: Mapping[Path, str]
    evaluate: OwnTraining | None
    data: Data | None = None
    """Where they had to be looked at: those on which the shapes of a model's blocks were found."""

    @classmethod
    def of(cls, request: SearchRequest, told: bool = False) -> Asked:
        """Loads the plugins of a request and reads its words.

        Args:
            told: whether scores come from a loop of the user's own, which may have its own names and data.

        Raises:
            InputError: an unknown name, or options that do not go together.
        """
        plugins = load_plugins(request.plugins) | plugins_of(request.space)
        space, data = find_space(request.space), None
        if request.model:
            data = _data(request, space)
            space = on_model(space, request.model, request.blocks, data)
        elif request.blocks:
            raise InputError(f"--blocks {request.blocks}: it goes with --model")
        space, start = starting_point(space, request.start)
        check_merges(space.merges, space.skeleton)
        strategy, task = find_strategy(request.strategy), find_task(space.proxy.task)
        evaluate = OwnTraining.find(request.evaluate) if request.evaluate else None
        names: Sequence[str] = request.objectives.split(",") if request.objectives else ()
        if evaluate:
            names = own_objectives(
                names, evaluate.scores, strategy.default_objectives, str(request.evaluate)
            )
        elif task.score != ACCURACY.name and not told:
            ways = {task.score: task.way}
            names = own_objectives(names, ways, strategy.default_objectives, f"task {task.name}")
        names = names or strategy.default_objectives
        scored = told or task.score != ACCURACY.name
        own = bool(evaluate) or (scored and own_score(names[0]) is not None)
        objectives = check_objectives(names, request.strategy, strategy.several, own)
        if request.pruner not in PRUNERS:
            raise unknown("pruner", request.pruner, PRUNERS, place="--pruner")
        if request.pruner != "none" and len(objectives) > 1:
            raise InputError(
                f"--pruner {request.pruner}: it judges by accuracy alone, "
                f"but the objectives are {','.join(objectives)}"
            )
        if request.target is not None and objectives[0] == "accuracy" and request.target > 1:
            raise InputError(
                f"--target {request.target:g}: accuracy is a share from 0 to 1, such as 0.95"
            )
        screen = Screen.parse(request.screen) if request.screen is not None else None
        if request.inherit and evaluate:
            raise InputError("--inherit: a training of your own (--evaluate) inherits no weights")
        if request.inherit and not strategy.parents:
            able = ", ".join(filter(has_parents, STRATEGIES))
            raise InputError(
                f"--inherit: the candidates of strategy {request.strategy} have no parents; "
                f"those of {able} have"
            )
        usual = space.data in SOURCES or Path(space.data).exists()
        if request.data is None and not usual and not told:
            raise InputError(
                f"space {space.name} is usually searched on {space.data}, which this program does "
                "not have; name a folder of pictures by class with --data"
            )
        limits = Limits(request.max_params, request.max_macs)
        return cls(space, start, objectives, limits, screen, plugins, evaluate, data)


def _data(request: SearchRequest, space: SearchSpace) -> Data:
    """The images of a request, of the size that its space has."""
    side, task = space.skeleton.side, find_task(space.proxy.task)
    return load_data(request.data or space.data, request.data_dir, request.split_seed, side, task)


def prepare_settings(request: SearchRequest) -> tuple[SearchSettings, tuple[str, ...]]:
    """The settings of a request on this machine, and the devices that its workers use."""
    if request.table:
        return _on_table(request, Table(request.table)), ("cpu",)
    asked = Asked.of(request)
    find, space = find_machine(request), asked.space
    data = asked.data or _data(request, space)
    check_task(find_task(space.proxy.task), data)
    space = space.for_data(data.shape, len(data.classes))
    check_merges(space.merges, space.skeleton)
    found = find(space.skeleton, (space.proxy, space.final_proxy))
    space = replace(space, proxy=found.proxies[0], final=found.proxies[1])
    check_resolution(space)
    asked.limits.check(space)
    settings = SearchSettings(
        space, data, request.strategy, asked.objectives, request.seed, request.lag, asked.limits,
        found.kind, request.fast, request.population, request.pruner, asked.start, asked.plugins,
        asked.screen, request.inherit, evaluate=asked.evaluate,
    )  # fmt: skip
    return settings, found.devices


def _on_table(request: SearchRequest, table: Table) -> SearchSettings:
    """The settings of a search in a table: its space, data and machine are the table's.

    Raises:
        InputError: the table is not complete, or cannot answer what is asked.
    """
    for option in fields(request):
        if option.name in OF_TABLES and getattr(request, option.name) != option.default:
            flag = option.name.replace("_", "-")
            raise InputError(f"--{flag}: does not go with --table, where nothing is trained")
    table.check_complete()
    asked = Asked.of(replace(request, space=table.space, data=table.data.name))
    if asked.space.skeleton != table.space.skeleton:
        raise InputError(f"--from {request.start}: has another skeleton than table {table.name}")
    for name in asked.objectives:
        if name in NOT_IN_TABLES or OBJECTIVES[name].measured:
            raise InputError(f"--objectives {name}: is not in tables")
    asked.limits.check(table.space)
    return SearchSettings(
        table.space, table.data, request.strategy, asked.objectives, request.seed, request.lag,
        asked.limits, table.device, table.header.fast, request.population, request.pruner, asked.start,
        asked.plugins, table=table,
    )  # fmt: skip


def check_request(request: SearchRequest) -> None:
    """Raises InputError for numbers that are out of their range."""
    for one in fields(request):
        least, most = one.metadata.get("range", (-inf, inf))
        value = getattr(request, one.name)
        if "range" in one.metadata and value is not None and not least <= value <= most:
            option = f"--{one.name.replace('_', '-')}"
            what = "at least" if value < least else "at most"
            raise InputError(
                f"{option} {value:g}: it must be {what} {least if value < least else most:g}"
            )
    request.check(request.lag)

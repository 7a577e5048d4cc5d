"""Names of tables for help texts, read when a help is shown: no command loads a table to start."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

DEFINITIONS = Path(__file__).parents[1] / "definitions"
"""Folder of the study definitions that come with this package."""


def definition_names() -> list[str]:
    return sorted(path.stem for path in DEFINITIONS.glob("*.toml"))


def _data() -> Iterable[str]:
    from nas.data.load import SOURCES

    return SOURCES


def _strategies() -> Iterable[str]:
    from studies.samplers.strategies import STRATEGIES

    return STRATEGIES


def _pruners() -> Iterable[str]:
    from studies.samplers.pruners import PRUNERS

    return PRUNERS


def _objectives() -> Iterable[str]:
    from studies.search.objectives import OBJECTIVES

    return (name for name in OBJECTIVES if name != "accuracy")


def _default_objectives() -> Iterable[str]:
    """`nsga2, nsga3: accuracy,params`: the strategies that do not have accuracy alone."""
    from studies.samplers.strategies import STRATEGIES, find_strategy

    strategies: dict[str, list[str]] = {}
    for name in STRATEGIES:
        objectives = ",".join(find_strategy(name).default_objectives)
        strategies.setdefault(objectives, []).append(name)
    del strategies["accuracy"]
    return ["; ".join(f"{', '.join(names)}: {goals}" for goals, names in strategies.items())]


def _scores() -> Iterable[str]:
    from nas.predictors.zero_cost import SCORES

    return SCORES


def _augments() -> Iterable[str]:
    from nas.proxy import CHOICES

    return CHOICES["augment"]


def _precisions() -> Iterable[str]:
    from nas.proxy import CHOICES

    return CHOICES["precision"]


def _tasks() -> Iterable[str]:
    from nas.tasks.table import TASKS

    return TASKS


def _trackers() -> Iterable[str]:
    from studies.tracking.find import TRACKERS

    return TRACKERS


NAMES: dict[str, Callable[[], Iterable[str]]] = {
    "definitions": definition_names,
    "data": _data,
    "strategies": _strategies,
    "pruners": _pruners,
    "objectives": _objectives,
    "default_objectives": _default_objectives,
    "scores": _scores,
    "augments": _augments,
    "precisions": _precisions,
    "tasks": _tasks,
    "trackers": _trackers,
}
"""What `{strategies}` and the like stand for in a help text."""


def with_names(text: str) -> str:
    """The text with names in the place of the words in braces that are in NAMES."""

    def names(found: re.Match[str]) -> str:
        listed = NAMES.get(found[1])
        return ", ".join(listed()) if listed else found[0]

    return re.sub(r"\{(\w+)\}", names, text)

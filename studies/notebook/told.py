"""What an own loop tells: its settings, which need no machine, and scores as evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nas.architecture.genome import Genome
from nas.architecture.parts import Shape
from nas.architecture.plan import plan
from nas.data.dataset import Data
from nas.data.load import load_data
from nas.data.preprocessing import Preprocessing
from nas.errors import InputError
from nas.evaluation.own_scores import Scores
from nas.evaluation.result import Evaluation
from nas.tasks.table import find_task
from studies.search.request import Asked, SearchRequest
from studies.search.settings import SearchSettings
from studies.search.spaces import check_resolution
from studies.store.names import OWN_LOOP, own_score

NO_DATA = "own data"
"""Name of the data of an own loop that names none."""
COUNTED = ("params", "macs")
"""Objectives that follow from the plan."""


def loop_settings(request: SearchRequest) -> SearchSettings:
    """The settings of an own loop: nothing of this machine is among them.

    Raises:
        InputError: an unknown name, or options that do not go together.
    """
    asked = Asked.of(request, told=True)
    space = asked.space
    if request.data:
        side, task = space.skeleton.side, find_task(space.proxy.task)
        data = load_data(request.data, request.data_dir, request.split_seed, side, task)
        space = space.for_data(data.shape, len(data.classes))
        check_resolution(space)
    else:
        data = _no_data(space.skeleton.input_shape)
    asked.limits.check(space)
    return SearchSettings(
        space, data, request.strategy, asked.objectives, request.seed, request.lag, asked.limits,
        {"type": OWN_LOOP}, population=request.population, pruner=request.pruner, start=asked.start,
        plugins=asked.plugins,
    )  # fmt: skip


def _no_data(shape: Shape) -> Data:
    """Of a loop that has its own, of which nothing is known here; its inputs need not be pictures."""
    none = np.zeros(0, np.int64)
    images = np.zeros((0, *shape), np.uint8)
    made = Preprocessing(*shape) if len(shape) == 3 else None
    return Data(NO_DATA, images, none, (), none, none, none, 0, "", made)


def scores_of(objectives: Sequence[str]) -> Scores:
    """What has to be told: all objectives but those that follow from the plan.

    Raises:
        InputError: an objective can be told by an Evaluation alone.
    """
    ways = {}
    for name in objectives:
        own = own_score(name)
        if own:
            ways[own[0]] = "max" if own[1] > 0 else "min"
        elif name == "accuracy":
            ways[name] = "max"
        elif name not in COUNTED:
            raise InputError(
                f"objective {name} comes with an Evaluation: tell one, or name a score of your own, "
                f"such as min:{name}"
            )
    return Scores(ways)


def evaluation_of(
    told: Any,
    genome: Genome,
    settings: SearchSettings,
    what: str,
    *,
    curve: Mapping[int, float],
    pruned: bool,
    seconds: float,
) -> Evaluation:
    """The evaluation of a candidate from what was told.

    Args:
        told: a number, scores by name, or an Evaluation.
        what: begins an error, such as `tell: trial 3 was told`.
        curve: scores by epoch that were reported.
        pruned: whether it was advised to end it.
        seconds: since it was asked.

    Raises:
        InputError: it is not what the objectives need.
    """
    own, status = own_score(settings.objectives[0]), "pruned" if pruned else "ok"
    if isinstance(told, Evaluation):
        if told.genome != genome:
            raise InputError(f"{what} the evaluation of {told.genome}")
        if own and told.status in ("ok", "pruned"):
            scores = scores_of(settings.objectives).all(told.scores, what)
            told = replace(told, scores=scores, accuracy=own[1] * scores[own[0]])
        elif told.scores:
            name = next(iter(told.scores))
            raise InputError(f"{what} {name}; objectives='max:{name}' or 'min:{name}' asks for it")
        return replace(told, status=status) if told.status == "ok" else told
    wanted = scores_of(settings.objectives)
    scores = wanted.all(told, what)
    if not own and not 0 <= scores["accuracy"] <= 1:
        raise InputError(
            f"{what} accuracy {scores['accuracy']:g}; it is from 0 to 1 (objectives='max:NAME' has a "
            "score of your own)"
        )
    last = wanted.sign * scores[wanted.first]
    reported = tuple(wanted.sign * one for _, one in sorted(curve.items())) or (last,)
    planned = plan(genome, settings.space.skeleton)
    return Evaluation(
        genome, settings.seed, status, f"after epoch {len(reported)}" if pruned else "", last,
        reported, (), (), planned.params, planned.macs, seconds, None, scores=scores if own else {},
    )  # fmt: skip

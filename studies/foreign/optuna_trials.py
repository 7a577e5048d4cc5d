"""What trials mean that another program put into a study by Optuna's own calls.

`study.enqueue_trial` makes one that waits, with parameters that it is to have; `study.tell` and
`study.add_trial` make one that is complete. Parameters are the space's genes; the user attribute
`pattern` may give a notation in their place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from random import Random
from typing import Any

from nas.architecture.genome import Genome
from nas.architecture.plan import plan
from nas.architecture.space import Gene, SearchSpace
from nas.errors import InputError, brief, unknown
from nas.strategies.problem import Limits, PastTrial
from studies.store.trial import Foreign

FIXED = "fixed_params"
"""Optuna's key of the parameters that a trial was enqueued with."""
ENQUEUED = "enqueued"
"""Begins the role of a pattern that was enqueued; its trial's number follows."""
PATTERN = "pattern"
"""The user attribute that gives a notation, also of a pattern outside the space."""


def enqueued_genome(trial: Foreign, space: SearchSpace, rng: Random) -> Genome:
    """The pattern of a trial that waits; genes that it leaves open are drawn, as Optuna would.

    Raises:
        InputError: it is none of this space's skeleton.
    """
    return _genome(trial, space, rng)


def told_trial(
    trial: Foreign, space: SearchSpace, objectives: Sequence[str], limits: Limits
) -> PastTrial:
    """A complete trial as later proposals see it.

    Raises:
        InputError: its parameters are not the space's genes, or its values no scores of the search.
    """
    genome = _genome(trial, space, None)
    values = trial.values or ()
    check_scores(dict(zip(objectives, values, strict=False)), objectives)
    inside = genome in space and limits.admit(genome, space)
    return PastTrial(trial.number, genome, tuple(values), inside, inside)


def check_scores(scores: Mapping[str, float], objectives: Sequence[str]) -> None:
    """Raises InputError where a score is missing or cannot be."""
    for name in objectives:
        if name not in scores:
            raise InputError(f"it has no {name}")
        if not isfinite(scores[name]) or (name == "accuracy" and not 0 <= scores[name] <= 1):
            allowed = "a share from 0 to 1" if name == "accuracy" else "a finite number"
            raise InputError(f"{name} {scores[name]:g}: it must be {allowed}")


def _genome(trial: Foreign, space: SearchSpace, rng: Random | None) -> Genome:
    notation = trial.attrs.get(PATTERN)
    if notation is not None:
        genome = Genome.parse(notation)
        if len(genome) != space.skeleton.layers:
            raise InputError(
                f"its pattern has {len(genome)} layers, space {space.name} {space.skeleton.layers}"
            )
        plan(genome, space.skeleton)
        return genome
    given = {**(trial.memory.get(FIXED) or {}), **trial.genes}
    names = [gene.name for gene in space.genes]
    for name in given:
        if name not in names:
            raise unknown("gene", name, names)
    return space.decode([_choice(gene, given, rng) for gene in space.genes])


def _choice(gene: Gene, given: Mapping[str, Any], rng: Random | None) -> int:
    """The index of what a gene is to be; drawn where it is left open."""
    if gene.name in given:
        if given[gene.name] not in gene.choices:
            allowed = ", ".join(map(str, gene.choices))
            raise InputError(f"{gene.name} {brief(given[gene.name])}: allowed: {allowed}")
        return gene.choices.index(given[gene.name])
    if rng is None:
        raise InputError(f"it has no value of gene {gene.name}")
    return rng.randrange(len(gene.choices))

"""What a strategy sees and gives: the problem, past trials, limits and proposals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from nas.architecture.genome import Genome
from nas.architecture.layers import Layer
from nas.architecture.plan import Plan, plan
from nas.architecture.space import SearchSpace
from nas.errors import InputError


class Exhausted(Exception):  # noqa: N818
    """No new genome is left (or was found) within the space and its limits."""


@dataclass(frozen=True)
class Limits:
    """What a candidate may cost; None is no limit."""

    max_params: int | None = None
    max_macs: int | None = None

    def admit(self, genome: Genome, space: SearchSpace) -> bool:
        if self.max_params is None and self.max_macs is None:
            return True
        return self.allow(plan(genome, space.skeleton))

    def allow(self, planned: Plan) -> bool:
        """Whether a network of this plan costs no more."""
        return (self.max_params is None or planned.params <= self.max_params) and (
            self.max_macs is None or planned.macs <= self.max_macs
        )

    def check(self, space: SearchSpace) -> None:
        """Raises InputError if not even the plain pattern is within the limits."""
        plain = plan(Genome.plain(space.skeleton.layers), space.skeleton)
        for name, limit, least in (
            ("--max-params", self.max_params, plain.params),
            ("--max-macs", self.max_macs, plain.macs),
        ):
            if limit is not None and limit < least:
                raise InputError(
                    f"{name} {limit} is below the plain pattern's {least}, which no skip makes less"
                )

    def repair(self, genome: Genome, space: SearchSpace, rng: Random) -> Genome:
        """Makes layers plain, in random order, until the genome is within the limits.

        A space whose skips are always there has no plain layers; its genomes stay as they are.
        """
        if space.always:
            return genome
        layers = list(space.searched(genome).layers)
        order = [i for i, layer in enumerate(layers) if layer.skips]
        rng.shuffle(order)
        while order and not self.admit(space.whole(layers), space):
            layers[order.pop()] = Layer()
        return space.whole(layers, genome.learning_rate)


@dataclass(frozen=True)
class Proposal:
    genome: Genome
    parents: tuple[int, ...] = ()
    """Numbers of the trials it was made from."""
    memory: Mapping[str, Any] = field(default_factory=dict)
    """What the strategy wants to find in the history, as JSON values."""
    duplicates: int = 0
    """Candidates drawn before this one that the history has already; they are not trained again."""
    planned: Plan | None = None
    """On the skeleton of the space; added by `Problem.assess`."""
    inside: bool = False
    """Whether it lies in the space; added by `Problem.assess`."""
    admitted: bool = False
    """Whether it is also within the limits; added by `Problem.assess`."""


@dataclass(frozen=True)
class Problem:
    """What a strategy needs to know besides the history."""

    space: SearchSpace
    weights: tuple[float, ...]
    """Of every objective: 1 is to be maximised, -1 minimised."""
    limits: Limits = Limits()
    population: int = 16
    """Individuals that can be parents at a time; as many random ones come first."""
    tournament: int = 4
    start: Genome | None = None
    """The genome whose mutants are the first population; None for random genomes."""

    def assess(self, proposal: Proposal) -> Proposal:
        """The proposal with its plan, and whether it lies in the space and within the limits."""
        planned = plan(proposal.genome, self.space.skeleton)
        inside = proposal.genome in self.space
        admitted = inside and self.limits.allow(planned)
        return replace(proposal, planned=planned, inside=inside, admitted=admitted)


@dataclass(frozen=True)
class PastTrial:
    """One trial as a proposal sees it."""

    number: int
    genome: Genome
    values: tuple[float, ...] | None
    """The objectives' values; None where they are not there yet or must not be seen."""
    inside: bool
    """Whether it lies in the space and within the limits."""
    parent: bool
    """Whether it may be a parent: it is inside and completed."""
    curve: Mapping[int, float] = field(default_factory=dict)
    """Accuracy by epoch, where there is one objective and it may be seen."""
    pruned: bool = False
    memory: Mapping[str, Any] = field(default_factory=dict)
    """What the strategy kept with it when it was proposed."""
    judged: Mapping[str, Any] = field(default_factory=dict)
    """What the pruner kept with it."""

    @property
    def hidden(self) -> PastTrial:
        """The record without its results."""
        return PastTrial(self.number, self.genome, None, self.inside, False, memory=self.memory)

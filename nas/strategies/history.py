"""What a proposal sees of the trials before it, and who of them lives on (DEAP compares and sorts).

A history grows with its search. What the strategies ask of it is kept from proposal to proposal, and
is the same as if it were made anew from all trials.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
from deap import base, tools

from nas.architecture.genome import Genome


@dataclass(frozen=True)
class Record:
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
    def hidden(self) -> Record:
        """The record without its results."""
        return Record(self.number, self.genome, None, self.inside, False, memory=self.memory)


class Individual:
    """A record with the fitness that DEAP's operators read."""

    def __init__(self, record: Record, fitness: base.Fitness) -> None:
        self.number, self.genome, self.fitness = record.number, record.genome, fitness


class History(Sequence[Record]):
    """Trials from 0 on, without gaps.

    Args:
        weights: of every objective, 1 if it is maximised, -1 if it is minimised.
    """

    def __init__(self, weights: Sequence[float], records: Iterable[Record] = ()) -> None:
        self._records: list[Record] = []
        self.keys: set[str] = set()
        """Keys of all genomes."""
        self.inside = 0
        """Number of records that lie in the space and within the limits."""
        self.revealed = 0
        """Number of records from 0 on whose results can be seen."""
        self.parents = Population(weights)
        self.propose(records)
        self.reveal(self._records)

    def propose(self, records: Iterable[Record]) -> None:
        """Adds the next records."""
        for record in records:
            self._records.append(record)
            self.keys.add(record.genome.key)
            self.inside += record.inside

    def reveal(self, records: Iterable[Record]) -> None:
        """Puts the next records, from `revealed` on, in the place of those without results."""
        for record in records:
            self._records[self.revealed] = record
            self.revealed += 1
            if record.parent and record.values is not None:
                self.parents.add(record)

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> Record: ...

    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...

    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        return self._records[index]


class Population(list[Individual]):
    """All that may be parents, the eldest first, and the selections from them."""

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self._kind = type("Fitness", (base.Fitness,), {"weights": tuple(weights)})
        self._best: dict[int, tuple[int, list[Individual]]] = {}
        self._bands: dict[int, _Band] = {}
        self._ranks: dict[int, tuple[int, dict[Individual, int]]] = {}

    def add(self, record: Record) -> None:
        self.append(Individual(record, self._kind(record.values)))

    def youngest(self, count: int) -> list[Individual]:
        return self[-count:]

    def best(self, count: int) -> list[Individual]:
        """The best first, the elder before its equals; nobody comes back who was not among them."""
        known, best = self._best.get(count, (0, []))
        if known < len(self):
            best = tools.selBest([*best, *self[known:]], count)
            self._best[count] = len(self), best
        return best

    def survivors(self, count: int) -> dict[Individual, int]:
        """The survivors of NSGA-II (Deb et al. 2002) with the number of their front, from 0.

        Their `fitness.crowding_dist` is set.
        """
        known, ranks = self._ranks.get(count, (0, {}))
        if known < len(self):
            band = self._bands.setdefault(count, _Band(count))
            for individual in self[known:]:
                band.add(individual)
            chosen = tools.selNSGA2(band.fronts(), count)
            rank_of = {
                individual: rank
                for rank, front in enumerate(tools.sortNondominated(chosen, len(chosen)))
                for individual in front
            }
            ranks = {individual: rank_of[individual] for individual in chosen}
            self._ranks[count] = len(self), ranks
        return ranks


class _Band:
    """The individuals that fewer than `count` others dominate, the eldest first.

    The first fronts that hold `count` together lie within it: whoever lies behind them is dominated
    by one of each front before, and by all that dominate those. Who is out stays out as others
    come. All that dominate a member are members, so fronts among the members are fronts among all.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.members: list[Individual] = []
        self.points = np.empty((0, 0))
        self.dominators = np.empty(0, int)

    def add(self, individual: Individual) -> None:
        point = np.array(individual.fitness.wvalues)
        points = self.points.reshape(-1, len(point))
        less, more = (points < point).any(1), (points > point).any(1)
        above = np.count_nonzero(more & ~less)
        if above >= self.count:
            return
        dominators = self.dominators + (less & ~more)
        stay = dominators < self.count
        if not stay.all():
            self.members = [one for one, stays in zip(self.members, stay, strict=True) if stays]
        self.members.append(individual)
        self.points = np.vstack([points[stay], point])
        self.dominators = np.append(dominators[stay], above)

    def fronts(self) -> list[Individual]:
        """The first fronts that hold `count` individuals together, the eldest first."""
        left, chosen = np.arange(len(self.members)), np.empty(0, int)
        while len(left) and len(chosen) < self.count:
            points = self.points[left]
            less = np.any(points[:, None] < points, axis=2)
            dominated = (less & ~less.T).any(1)
            chosen, left = np.append(chosen, left[~dominated]), left[dominated]
        return [self.members[index] for index in np.sort(chosen)]

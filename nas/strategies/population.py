"""The population of a search. DEAP is imported here alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from deap import base, tools

from nas.strategies.problem import PastTrial


class Individual:
    """A record with the fitness that DEAP's operators read."""

    def __init__(self, record: PastTrial, fitness: base.Fitness) -> None:
        self.number, self.genome, self.fitness = record.number, record.genome, fitness


class Population(list[Individual]):
    """All that may be parents, the eldest first, and the selections from them."""

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self._kind = type("Fitness", (base.Fitness,), {"weights": tuple(weights)})
        self._best: dict[int, tuple[int, list[Individual]]] = {}
        self._bands: dict[int, _Band] = {}
        self._ranks: dict[int, tuple[int, dict[Individual, int]]] = {}

    def add(self, record: PastTrial) -> None:
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

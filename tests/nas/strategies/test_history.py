"""A history that grows gives what DEAP gives on all trials at once."""

import random

import pytest
from deap import base, tools

from nas import SearchSpace, Skeleton, Stage
from nas.strategies import population
from nas.strategies.history import History
from nas.strategies.population import Individual, Population
from nas.strategies.problem import PastTrial, Problem
from nas.strategies.propose import propose

SPACE = SearchSpace(
    Skeleton((1, 8, 8), 10, (Stage(2, 4), Stage(2, 8, 2))), (1, 2, 3), ("add", "concat"), (0.5, 1.0)
)
WEIGHTS = (1.0, -1.0, -1.0)
EVOLUTION = ["mu-plus-lambda", "nsga2", "random", "regularized"]


def records(seed, count, objectives, levels):
    """Random trials, many with equal values where there are few levels; some are no parents."""
    rng = random.Random(seed)
    for number in range(count):
        values = tuple(rng.randrange(levels) / levels for _ in range(objectives))
        genome, parent = SPACE.sample(rng), rng.random() < 0.9
        yield PastTrial(number, genome, values if parent else None, rng.random() < 0.9, parent)


class Whole(Population):
    """The selections as they are written in the papers: DEAP's, on all who may be parents."""

    def youngest(self, count):
        return sorted(self, key=lambda p: p.number)[-count:]

    def best(self, count):
        return tools.selBest(self, count)

    def survivors(self, count):
        chosen = tools.selNSGA2(self, count)
        fronts = tools.sortNondominated(chosen, len(chosen))
        return {p: rank for p in chosen for rank, front in enumerate(fronts) if p in front}


@pytest.mark.parametrize("levels", [2, 7, 1000])
@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("count", [2, 16])
def test_selections_from_a_growing_population_are_deaps_on_all(objectives, levels, count):
    growing = Population(WEIGHTS[:objectives])
    for record in records(f"{objectives} {levels} {count}", 120, objectives, levels):
        if not record.parent:
            continue
        growing.add(record)
        whole = Whole(WEIGHTS[:objectives])
        kind = type("Fitness", (base.Fitness,), {"weights": WEIGHTS[:objectives]})
        whole.extend(Individual(p, kind(p.fitness.values)) for p in growing)
        assert numbers(growing.youngest(count)) == numbers(whole.youngest(count))
        assert numbers(growing.best(count)) == numbers(whole.best(count))
        found, wanted = growing.survivors(count), whole.survivors(count)
        assert numbers(found) == numbers(wanted)
        assert list(found.values()) == list(wanted.values())
        crowding = [p.fitness.crowding_dist for p in found]
        assert crowding == [p.fitness.crowding_dist for p in wanted]


def numbers(individuals):
    return [individual.number for individual in individuals]


@pytest.mark.parametrize("strategy", EVOLUTION)
def test_proposals_from_a_growing_history_are_those_from_all_trials(strategy, monkeypatch):
    problem, lag = Problem(SPACE, WEIGHTS[:2], population=6), 3
    all_records = list(records("proposals", 80, 2, 9))
    growing, grown = History(problem.weights), []
    for k in range(len(all_records)):
        growing.propose(record.hidden for record in all_records[len(growing) : k])
        growing.reveal(all_records[growing.revealed : max(0, k - lag)])
        grown.append(propose(strategy, problem, growing, k, 0))
    monkeypatch.setattr(population, "Population", Whole)
    for k, proposal in enumerate(grown):
        visible = max(0, k - lag)
        seen = all_records[:visible] + [record.hidden for record in all_records[visible:k]]
        assert propose(strategy, problem, seen, k, 0) == proposal


def test_only_those_few_dominate_are_kept():
    """Points on a diagonal: each dominates all before it, so no more than `count` can survive."""
    diagonal = Population((1.0, 1.0))
    rng = random.Random(0)
    for number in range(500):
        diagonal.add(PastTrial(number, SPACE.sample(rng), (number, number), True, True))
        diagonal.survivors(4)
    assert numbers(diagonal.survivors(4)) == [499, 498, 497, 496]

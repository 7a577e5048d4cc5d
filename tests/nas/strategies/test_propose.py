"""Strategies on problems with a known answer, and as pure functions of what they may see."""

import random
from statistics import mean

import pytest
from deap import base

from nas import Genome, InputError, SearchSpace, Skeleton, Stage, plan
from nas.strategies.problem import Exhausted, Limits, PastTrial, Problem, Proposal
from nas.strategies.propose import propose

SPACE = SearchSpace(
    Skeleton((1, 8, 8), 10, (Stage(4, 4), Stage(4, 8, 2))), (1, 2, 3), ("add", "concat"), (0.5, 1.0)
)
OURS = [
    "mu-plus-lambda", "nsga2", "random", "regularized", "local",
    pytest.param("surrogate", marks=pytest.mark.slow),
]  # fmt: skip
TARGET = SPACE.sample(random.Random(99))


def likeness(genome):
    """Share of genes that are as in a hidden target."""
    return mean(a == b for a, b in zip(SPACE.encode(genome), SPACE.encode(TARGET), strict=True))


def values(genome, objectives):
    found = (likeness(genome), float(plan(genome, SPACE.skeleton).params))
    return found[:objectives]


def run(strategy, seed, evaluations=150, objectives=1, lag=8, limits=Limits(), space=SPACE):
    problem = Problem(space, (1.0, -1.0)[:objectives], limits, population=16)
    records = []
    for k in range(evaluations):
        horizon = max(0, k - lag)
        seen = records[:horizon] + [
            PastTrial(r.number, r.genome, None, True, False) for r in records[horizon:]
        ]
        proposal = propose(strategy, problem, seen, k, seed)
        records.append(
            PastTrial(k, proposal.genome, values(proposal.genome, objectives), True, True)
        )
    return records


@pytest.mark.parametrize("strategy", ["regularized", "mu-plus-lambda", "nsga2"])
def test_evolution_beats_random_search_on_a_known_target(strategy):
    evolved = [max(r.values[0] for r in run(strategy, seed)) for seed in range(5)]
    control = [max(r.values[0] for r in run("random", seed)) for seed in range(5)]
    assert mean(evolved) > mean(control) + 0.05


@pytest.mark.slow
def test_nsga2_finds_a_better_front_than_random_search():
    def hypervolume(records):
        """Area dominated, relative to accuracy 0 and the largest parameters seen anywhere."""
        worst = plan(SPACE.decode([1] * len(SPACE.genes)), SPACE.skeleton).params
        area, best = 0.0, 0.0
        for accuracy, params in sorted((r.values for r in records), key=lambda v: (v[1], -v[0])):
            if accuracy > best:
                area += (accuracy - best) * (worst - params) / worst
                best = accuracy
        return area

    evolved = mean(hypervolume(run("nsga2", seed, objectives=2)) for seed in range(4))
    control = mean(hypervolume(run("random", seed, objectives=2)) for seed in range(4))
    assert evolved > control + 0.01


@pytest.mark.parametrize("strategy", OURS)
def test_proposals_are_new_valid_and_repeatable(strategy):
    records = run(strategy, seed=1, evaluations=60)
    assert len({r.genome.key for r in records}) == 60
    assert all(r.genome in SPACE for r in records)
    assert [r.genome for r in run(strategy, seed=1, evaluations=60)] == [r.genome for r in records]
    assert [r.genome for r in run(strategy, seed=2, evaluations=60)] != [r.genome for r in records]


@pytest.mark.parametrize("strategy", OURS)
def test_the_budget_does_not_change_a_proposal(strategy):
    short = [r.genome for r in run(strategy, seed=3, evaluations=40)]
    assert [r.genome for r in run(strategy, seed=3, evaluations=60)][:40] == short


@pytest.mark.parametrize("strategy", OURS)
def test_global_generators_are_not_touched(strategy):
    random.seed(5)
    state = random.getstate()
    run(strategy, seed=0, evaluations=40)
    assert random.getstate() == state


def test_outsiders_are_never_parents():
    history = [PastTrial(0, Genome.parse("gate(1)*8"), (1.0,), False, False)]
    rng = random.Random(0)
    while len(history) < 40:
        genome = SPACE.sample(rng)
        history.append(PastTrial(len(history), genome, (0.1,), True, True))
    for k in range(40, 80):
        proposal = propose("mu-plus-lambda", Problem(SPACE, (1.0,)), history, k, 0)
        assert proposal.parents
        assert 0 not in proposal.parents


def test_limits_hold_for_every_proposal():
    plain = plan(Genome.plain(8), SPACE.skeleton)
    for limits in (Limits(max_params=plain.params + 200), Limits(max_macs=plain.macs + 3000)):
        for strategy in ("regularized", "nsga2", "random", "local"):
            for record in run(strategy, seed=0, evaluations=60, limits=limits):
                assert limits.admit(record.genome, SPACE)


def test_limits_below_the_plain_pattern_are_refused():
    params = plan(Genome.plain(8), SPACE.skeleton).params
    with pytest.raises(InputError, match=f"--max-params 10 is below the plain pattern's {params}"):
        Limits(max_params=10).check(SPACE)


def test_a_small_space_is_searched_to_its_last_genome():
    space = SearchSpace(Skeleton((1, 8, 8), 10, (Stage(3, 4),)), (1, 2), ("add",), (1.0,))
    history = []
    with pytest.raises(Exhausted):
        for k in range(1000):
            genome = propose("regularized", Problem(space, (1.0,)), history, k, 0).genome
            history.append(PastTrial(k, genome, (float(k % 7),), True, True))
    assert len(history) == space.distinct == 32
    assert len({r.genome.key for r in history}) == 32


def test_a_first_population_of_mutants():
    problem = Problem(SPACE, (1.0,), start=TARGET)
    history = []
    for k in range(16):
        genome = propose("regularized", problem, history, k, 0).genome
        history.append(PastTrial(k, genome, None, True, False))
    kept = [
        mean(a == b for a, b in zip(r.genome.layers, TARGET.layers, strict=True)) for r in history
    ]
    assert mean(kept) > 0.5
    assert len({r.genome.key for r in history}) == 16


def test_aging_forgets_an_old_champion():
    """Regularized evolution's parents are among the youngest, however good an old one was."""
    rng = random.Random(1)
    history = [PastTrial(0, TARGET, (1.0,), True, True)]
    while len(history) < 60:
        history.append(PastTrial(len(history), SPACE.sample(rng), (0.1,), True, True))
    parents = {
        p for k in range(60, 90) for p in propose("regularized", Problem(SPACE, (1.0,)), history, k, 0).parents
    }  # fmt: skip
    assert min(parents) >= 60 - 16
    elitist = {
        p for k in range(60, 90) for p in propose("mu-plus-lambda", Problem(SPACE, (1.0,)), history, k, 0).parents
    }  # fmt: skip
    assert 0 in elitist


def test_fitness_compares_as_deap_does():
    kind = type("Fitness", (base.Fitness,), {"weights": (1.0, -1.0)})
    assert kind((0.9, 100.0)).dominates(kind((0.9, 200.0)))
    assert Proposal(TARGET).parents == ()

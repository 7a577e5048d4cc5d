"""Local search and the model of results: on a problem with a known answer, and what they are made of."""

import random
from functools import partial

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from nas import Genome, SearchSpace, Skeleton, Stage, plan
from nas.strategies.encoding import encode, structure
from nas.strategies.gaussian_process import LENGTHS, NOISES, predict
from nas.strategies.problem import Exhausted, Limits, PastTrial, Problem
from nas.strategies.propose import propose
from nas.strategies.surrogate import quantiles

SPACE = SearchSpace(Skeleton((1, 8, 8), 10, (Stage(5, 4),)), (1, 2), ("add", "concat"), (1.0,))
LEARNING = ["local", "surrogate"]
LAG = 4


def alike(genome, target):
    """Number of genes that are as in a target."""
    return sum(a == b for a, b in zip(SPACE.encode(genome), SPACE.encode(target), strict=True))


def run(strategy, seed, count, value, limits=Limits(), space=SPACE):
    problem = Problem(space, (1.0,), limits, population=8)
    trials = []
    for k in range(count):
        seen = [t if t.number < k - LAG else t.hidden for t in trials]
        genome = propose(strategy, problem, seen, k, seed).genome
        trials.append(PastTrial(k, genome, (float(value(genome)),), True, True))
    return trials


@pytest.mark.parametrize("strategy", ["local", pytest.param("surrogate", marks=pytest.mark.slow)])
def test_the_optimum_is_found_long_before_random_search_finds_it(strategy):
    """One genome of 7,203 is the best, which 80 random ones have among them in 1 of 90 searches."""
    assert SPACE.distinct == 7203
    found = 0
    for seed in range(5):
        target = SPACE.sample(random.Random(100 + seed))
        trials = run(strategy, seed, 80, partial(alike, target=target))
        found += target in {trial.genome for trial in trials}
    assert found >= 3


@pytest.mark.parametrize("strategy", LEARNING)
def test_proposals_are_new_within_limits_and_repeatable(strategy):
    limits = Limits(max_params=plan(Genome.plain(5), SPACE.skeleton).params + 50)
    trials = run(strategy, 1, 20, lambda g: len(g.key), limits)
    assert len({t.genome.key for t in trials}) == 20
    assert all(t.genome in SPACE and limits.admit(t.genome, SPACE) for t in trials)
    assert run(strategy, 1, 20, lambda g: len(g.key), limits) == trials
    assert run(strategy, 2, 20, lambda g: len(g.key), limits) != trials


@pytest.mark.parametrize("strategy", LEARNING)
def test_values_that_must_not_be_seen_change_nothing(strategy):
    trials = run(strategy, 3, 24, lambda g: len(g.key))
    problem = Problem(SPACE, (1.0,), population=8)
    seen = [t if t.number < 20 else t.hidden for t in trials]
    assert propose(strategy, problem, seen, 24, 3) == propose(strategy, problem, seen, 24, 3)
    numbers = propose(strategy, problem, seen, 24, 3).parents
    assert all(number < 20 for number in numbers)


@pytest.mark.parametrize("strategy", LEARNING)
def test_a_small_space_is_searched_to_its_last_genome(strategy):
    space = SearchSpace(Skeleton((1, 8, 8), 10, (Stage(3, 4),)), (1, 2), ("add",), (1.0,))
    assert (
        len({t.genome.key for t in run(strategy, 0, 32, lambda g: len(g.key), space=space)}) == 32
    )
    with pytest.raises(Exhausted):
        run(strategy, 0, 33, lambda g: len(g.key), space=space)


@pytest.mark.parametrize("strategy", LEARNING)
def test_less_is_better_where_the_objective_is_minimised(strategy):
    trials = run(strategy, 0, 24, lambda g: len(g.key))
    upside_down = [PastTrial(t.number, t.genome, (-t.values[0],), True, True) for t in trials]
    found = [
        propose(strategy, Problem(SPACE, (weight,), population=8), some, 24, 0)
        for weight, some in ((1.0, trials), (-1.0, upside_down))
    ]
    assert found[0] == found[1]


def test_local_search_leaves_the_best_only_when_its_neighbours_are_known():
    best = Genome.residual(5)
    genomes = list(dict.fromkeys([best, *(SPACE.sample(random.Random(n)) for n in range(12))]))
    trials = [PastTrial(k, g, (float(g == best),), True, True) for k, g in enumerate(genomes)]
    left = {g.key for g in SPACE.neighbours(best)} - {g.key for g in genomes}
    while left:
        proposal = propose("local", Problem(SPACE, (1.0,), population=8), trials, len(trials), 0)
        assert proposal.parents == (0,)
        left.remove(proposal.genome.key)
        trials.append(PastTrial(len(trials), proposal.genome, (0.5,), True, True))
    assert propose("local", Problem(SPACE, (1.0,), population=8), trials, 99, 0).parents != (0,)


def test_structure_of_known_patterns():
    """Closed forms: Veit et al. 2016 count the 2^L ways of a residual network, L/2 branches long."""
    layers = SPACE.skeleton.layers
    plain = structure(Genome.plain(layers), SPACE)[-5:]
    assert plain == pytest.approx([0, layers, layers, 0, 0])
    residual = structure(Genome.residual(layers), SPACE)[-5:]
    variance = np.log(layers + 1)
    assert residual == pytest.approx([layers * np.log(2), 0, layers / 2, variance, variance])
    shares = structure(Genome.parse("add(1) - concat(2) add(1,2) -"), SPACE)[:5]
    assert shares == pytest.approx([2 / 5, 1 / 5, 2 / 5, 2 / 5, 2 / 5])


def test_genomes_with_other_genes_have_other_numbers():
    rng = random.Random(0)
    genomes = {SPACE.sample(rng) for _ in range(300)}
    assert len({tuple(encode(genome, SPACE)[0]) for genome in genomes}) == len(genomes)


def test_sums_of_a_very_deep_pattern_are_finite():
    space = SearchSpace(Skeleton((1, 8, 8), 10, (Stage(3000, 1),)), (1, 2), strengths=(0.5, 1e300))
    deep = Genome.parse("add(1@1e300) add(1@1e300,2@1e300)*2999")
    assert np.isfinite(structure(deep, space)).all()


def test_predictions_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    points, others = rng.normal(size=(30, 4)), rng.normal(size=(7, 4))
    values = np.sin(points[:, 0]) + 0.1 * rng.normal(size=30)
    values -= values.mean()
    mean, deviation = predict([points], values, [others])
    scale = 2 * points.std(0)  # so that all four columns together have mean square 1
    known, asked = points / scale, others / scale
    models = []
    for length in LENGTHS:
        correlations = Matern(length, nu=1.5)(known)
        for noise in NOISES:
            variance = values @ np.linalg.solve(correlations + noise * np.eye(30), values) / 30
            kernel = ConstantKernel(variance) * Matern(length, nu=1.5)
            model = GaussianProcessRegressor(kernel, alpha=variance * noise, optimizer=None)
            models.append(model.fit(known, values))
    best = max(models, key=lambda model: model.log_marginal_likelihood_value_)
    wanted = best.predict(asked, return_std=True)
    np.testing.assert_allclose(mean, wanted[0], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(deviation, wanted[1], rtol=1e-6)


def test_quantiles_go_by_ranks_alone():
    assert quantiles([0.1, 0.5, 0.3]) == pytest.approx([-0.967, 0.967, 0], abs=1e-3)
    assert np.array_equal(quantiles([1, 2, 3, 3]), quantiles([-1e9, 0, 5, 5]))
    assert np.array_equal(quantiles([2.0, 2.0]), [0, 0])

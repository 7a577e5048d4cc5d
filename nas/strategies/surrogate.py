"""A model of the results so far proposes the candidate of which most is to be expected.

As in BANANAS (White et al. 2021) the candidates are mutants of the best patterns; the model is a
Gaussian process over an encoding that knows how a signal passes a pattern.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from random import Random
from statistics import NormalDist

import numpy as np

from nas.architecture.genome import Genome
from nas.strategies.encoding import encode
from nas.strategies.gaussian_process import Array, predict
from nas.strategies.history import History
from nas.strategies.mutations import mutate
from nas.strategies.newcomers import fresh, generator, newcomer
from nas.strategies.problem import PastTrial, Problem, Proposal

BEST = 12
"""Patterns whose mutants are candidates."""
MUTANTS, RANDOM = 64, 16
"""Candidates that the model compares."""
MOST = 400
"""Results of which the model is made, the youngest: its time grows with their third power."""


def surrogate(
    problem: Problem,
    history: Sequence[PastTrial],
    k: int,
    seed: int,
    drawn: Set[str] = frozenset(),
    given: Genome | None = None,
) -> Proposal:
    """Candidate k: of mutants of the best and of random patterns the one whose expected improvement
    is the greatest by the model (Jones et al. 1998); the first population is random."""
    if given:
        return Proposal(given)
    rng = generator(seed, k, len(drawn))
    history = History.of(problem.weights, history)
    known = history.keys | drawn
    told = [record for record in history if record.inside and record.values is not None]
    if history.inside < problem.population or not told:
        return Proposal(newcomer(problem, known, rng))
    candidates = _candidates(problem, history, known, rng)
    if not candidates:
        return Proposal(fresh(problem, known, rng))
    improvements = _improvements(problem, told[-MOST:], [one.genome for one in candidates])
    return candidates[int(np.argmax(improvements))]


def _candidates(problem: Problem, history: History, known: Set[str], rng: Random) -> list[Proposal]:
    """New ones within the limits: mutants of the best, and some random ones."""
    space, limits = problem.space, problem.limits
    best = history.parents.best(BEST)
    drawn = [Proposal(space.sample(rng)) for _ in range(RANDOM)]
    for _ in range(MUTANTS if best else 0):
        parent, times = rng.choice(best), rng.choices((1, 2, 3), (6, 3, 1))[0]
        drawn.append(Proposal(mutate(parent.genome, space, rng, times), (parent.number,)))
    new = dict[str, Proposal]()
    for one in drawn:
        genome = one.genome
        if not limits.admit(genome, space):
            genome = limits.repair(genome, space, rng)
        if genome.key not in known and limits.admit(genome, space):
            new.setdefault(genome.key, Proposal(genome, one.parents))
    return list(new.values())


def _improvements(problem: Problem, told: Sequence[PastTrial], genomes: Sequence[Genome]) -> Array:
    """Of each genome the expected improvement on the best of those with results, which is judged by
    the model as well, since its own result may be luck."""
    from scipy.special import ndtr
    from threadpoolctl import threadpool_limits

    tried = [record.genome for record in told]
    known, asked = (
        [
            np.array(group)
            for group in zip(*(encode(one, problem.space) for one in some), strict=True)
        ]
        for some in (tried, [*tried, *genomes])
    )
    values = [record.values[0] * problem.weights[0] for record in told if record.values]
    with threadpool_limits(1):  # the number of threads changes sums
        mean, deviation = predict(known, quantiles(values), asked)
    gain, spread = mean[len(tried) :] - mean[: len(tried)].max(), deviation[len(tried) :]
    density = np.exp(-((gain / spread) ** 2) / 2) / np.sqrt(2 * np.pi)
    return gain * ndtr(gain / spread) + spread * density


def quantiles(values: Sequence[float]) -> Array:
    """Of the normal distribution by the rank of each value, so that outliers do not matter."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    shares = (np.cumsum(counts) - counts / 2) / len(values)
    found = np.array([NormalDist().inv_cdf(share) for share in shares])[places]
    return found - found.mean()

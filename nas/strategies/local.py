"""Local search: the best pattern so far is improved one gene at a time (White et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence, Set

from nas.architecture.genome import Genome
from nas.strategies.history import History
from nas.strategies.newcomers import fresh, generator, newcomer
from nas.strategies.problem import PastTrial, Problem, Proposal


def climb(
    problem: Problem,
    history: Sequence[PastTrial],
    k: int,
    seed: int,
    drawn: Set[str] = frozenset(),
    given: Genome | None = None,
) -> Proposal:
    """Candidate k of local search: an unknown neighbour, in random order, of the best there is.

    The step to a better neighbour is taken as soon as its value is seen. Where all neighbours of the
    best are known, the next best is the start; the first population is random.
    """
    if given:
        return Proposal(given)
    rng = generator(seed, k, len(drawn))
    history = History.of(problem.weights, history)
    known = history.keys | drawn
    if history.inside >= problem.population:
        best_first = sorted(history.parents, key=lambda one: one.fitness.wvalues, reverse=True)
        for start in best_first:
            for genome in problem.space.neighbours(start.genome, rng):
                if genome.key not in known and problem.limits.admit(genome, problem.space):
                    return Proposal(genome, (start.number,))
        return Proposal(fresh(problem, known, rng))
    return Proposal(newcomer(problem, known, rng))

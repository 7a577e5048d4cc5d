"""How a search's best should be trained again: not at all, all of them alike, or in a race.

For every search seed the most accurate candidates are trained from eight seeds that the search did not
use. Policies are replayed on orders of these seeds that are drawn at random: a policy chooses by the
first ones, at most six, and the last two say how good the choice was. What was trained is kept in a
folder, so a second call goes on where the first one stopped.

    python tests/benchmarks/racing.py [--space digits27] [--evaluations 150] [--seeds 20] [--folder racing]
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
from scipy import stats

from nas.evaluation.jobs import EvaluationContext, EvaluationJob, evaluate_job
from nas.workers.process_pool import Workers
from nas.workers.protocol import Finished
from studies.finals.contenders import FIRST_SEED, rounds
from studies.finals.trainings import fresh_seeds
from studies.search.request import SearchRequest, prepare_settings
from studies.search.run import run_search
from studies.store.trial import best_trials

CANDIDATES, SEEDS, JUDGES, ORDERS = 24, 8, 2, 400


def train_again(request: SearchRequest) -> np.ndarray:
    """Validation accuracies of a search's best from fresh seeds, (candidates, seeds), best first."""
    result = run_search(request)
    space = prepare_settings(request)[0].space
    best = best_trials(result.trials, space, CANDIDATES)
    seeds = fresh_seeds(request.seed, SEEDS, FIRST_SEED)
    jobs = [
        EvaluationJob(i * SEEDS + j, trial.genome, space.proxy, seed, "validation")
        for i, trial in enumerate(best)
        for j, seed in enumerate(seeds)
    ]
    found = np.zeros(len(jobs))
    context = EvaluationContext(space.skeleton, result.settings.data, ("cpu",))
    with Workers(evaluate_job, context, os.cpu_count() or 1) as workers:
        for report in workers.run(jobs):
            if isinstance(report, Finished):
                found[report.number] = report.result.accuracy
    return found.reshape(-1, SEEDS)


def alike(candidates: int, seeds: int) -> Callable[[np.ndarray], tuple[int, int]]:
    """The same seeds for all; gives the chosen one and the trainings."""
    return lambda scores: (
        int(scores[:candidates, :seeds].mean(axis=1).argmax()) if seeds else 0,
        candidates * seeds,
    )


def halving(candidates: int, seeds: int, left: int) -> Callable[[np.ndarray], tuple[int, int]]:
    """The worse half is dropped after every round, until `left` are left; they have the most seeds."""

    def policy(scores: np.ndarray) -> tuple[int, int]:
        alive, cost, before = np.arange(candidates), 0, 0
        for count, each in rounds(candidates, seeds, left):
            alive = alive[:count]
            cost += count * (each - before)
            before = each
            means = scores[alive, :each].mean(axis=1)
            alive = alive[np.argsort(-means, kind="stable")]
        return int(alive[0]), cost

    return policy


def paired(candidates: int, budget: int, level: float) -> Callable[[np.ndarray], tuple[int, int]]:
    """From two seeds on, whoever is behind the leader beyond `level` in a test paired by seed is dropped.

    The test's deviation is pooled over all who are left, because two seeds alone do not have one.
    """

    def policy(scores: np.ndarray) -> tuple[int, int]:
        alive, cost, each = np.arange(candidates), 2 * candidates, 2
        while True:
            found = scores[alive, :each]
            means = found.mean(axis=1)
            behind = means.max() - means
            residuals = found - found.mean(axis=0) - means[:, None] + means.mean()
            freedom = max(1, (len(alive) - 1) * (each - 1))
            spread = np.sqrt(2 * (residuals**2).sum() / freedom / each)
            alive = alive[behind <= stats.t.ppf(1 - level, freedom) * spread]
            if len(alive) == 1 or cost + len(alive) > budget or each == SEEDS - JUDGES:
                means = scores[alive, :each].mean(axis=1)
                return int(alive[means.argmax()]), cost
            cost, each = cost + len(alive), each + 1

    return policy


POLICIES = {
    "the most accurate by the search itself": alike(1, 0),
    "24 candidates, two seeds each": alike(24, 2),
    "12 candidates, four seeds each": alike(12, 4),
    "race: 24 candidates, one seed; 12 two; 6 four": halving(24, 1, 3),
    "race: 12 candidates, two seeds; 6 four (the default)": halving(12, 2, 3),
    "race: 12 candidates, dropped by a paired test (p < 0.1)": paired(12, 48, 0.1),
}
BASE = "12 candidates, four seeds each"


def replay(scores: np.ndarray) -> dict[str, tuple[float, float]]:
    """(accuracy of the choice by the seeds that no policy saw, trainings) of each policy, on average."""
    random = np.random.default_rng(0)
    orders = [random.permutation(SEEDS) for _ in range(ORDERS)]
    found = {}
    for name, policy in POLICIES.items():
        each = []
        for order in orders:
            chosen, cost = policy(scores[:, order])
            each.append((scores[chosen, order[-JUDGES:]].mean(), cost))
        found[name] = tuple(np.mean(each, axis=0))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--space", default="digits27")
    parser.add_argument("--data")
    parser.add_argument("--evaluations", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=Path("racing"))
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    arguments.folder.mkdir(exist_ok=True)
    replayed = []
    for seed in range(arguments.seeds):
        file = arguments.folder / f"{seed}.npy"
        if not file.exists():
            request = SearchRequest(
                space=arguments.space, data=arguments.data, evaluations=arguments.evaluations,
                seed=seed, contenders=0, finalists=0, device="cpu",
                storage=f"sqlite:///{arguments.folder}/searches.db",
            )  # fmt: skip
            np.save(file, train_again(request))
        replayed.append(replay(np.load(file)))
        print(f"seed {seed}", flush=True)
    base = np.array([one[BASE][0] for one in replayed])
    for name in POLICIES:
        found, cost = np.array([one[name] for one in replayed]).T
        line = f"{name}: {cost.mean():.0f} trainings, {100 * found.mean():.2f} %"
        if name != BASE:
            gain = found - base
            low, high = stats.t.interval(0.95, len(gain) - 1, gain.mean(), stats.sem(gain))
            p = stats.ttest_1samp(gain, 0).pvalue
            line += (
                f"; {100 * gain.mean():+.2f} ({100 * low:+.2f} to {100 * high:+.2f}), p = {p:.3f}"
            )
        print(line)


if __name__ == "__main__":
    main()

"""What training a search's best again is worth: the lead on test images of the one that is chosen.

For every search seed the most accurate candidates are trained as finalists, scored on the test images,
and compared with the residual pattern over the same seeds, the best by the search's own score beside
the best over fresh seeds.

    python tests/benchmarks/contenders.py [--space digits9] [--evaluations 100] [--seeds 10]
"""

import argparse
import os
import tempfile
import time

import numpy as np
import optuna
from scipy import stats

from nas import Genome
from nas.evaluation.jobs import EvaluationContext, EvaluationJob, evaluate_job
from nas.workers.process_pool import Workers
from nas.workers.protocol import Finished
from studies.finals.contenders import FIRST_SEED
from studies.finals.trainings import fresh_seeds
from studies.search.request import SearchRequest, prepare_settings
from studies.search.run import run_search
from studies.store.trial import best_trials


def scores(genomes, proxy, seeds, part, workers):
    """Accuracies, (genomes, seeds)."""
    jobs = [
        EvaluationJob(i * len(seeds) + j, genome, proxy, seed, part)
        for i, genome in enumerate(genomes)
        for j, seed in enumerate(seeds)
    ]
    found = np.zeros(len(jobs))
    for report in workers.run(jobs):
        if isinstance(report, Finished):
            found[report.number] = report.result.accuracy
    return found.reshape(len(genomes), len(seeds))


def measure(request, contenders, seeds):
    """Leads of all contenders on the test images, their own scores' order, their means, seconds."""
    result = run_search(request)
    space = prepare_settings(request)[0].space
    best = best_trials(result.trials, space, contenders)
    genomes = [trial.genome for trial in best]
    context = EvaluationContext(space.skeleton, result.settings.data, ("cpu",))
    again = fresh_seeds(request.seed, seeds, FIRST_SEED)
    final = fresh_seeds(request.seed, 16)
    with Workers(evaluate_job, context, os.cpu_count() or 1) as workers:
        started = time.perf_counter()
        means = scores(genomes, space.proxy, again, "validation", workers).mean(axis=1)
        seconds = time.perf_counter() - started
        residual = Genome.residual(space.skeleton.layers)
        test = scores([*genomes, residual], space.final_proxy, final, "test", workers)
    return (test[:-1] - test[-1]).mean(axis=1), means, seconds


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--space", default="digits9")
    parser.add_argument("--data")
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--contenders", type=int, default=SearchRequest.contenders)
    parser.add_argument("--contender-seeds", type=int, default=SearchRequest.contender_seeds)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    own, chosen, rhos = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.seeds):
            request = SearchRequest(
                space=arguments.space, data=arguments.data, evaluations=arguments.evaluations,
                seed=seed, finalists=0, device="cpu", storage=f"sqlite:///{folder}/a.db",
            )  # fmt: skip
            leads, means, seconds = measure(
                request, arguments.contenders, arguments.contender_seeds
            )
            order = np.argsort(-means, kind="stable")
            own.append(leads[:3])
            chosen.append(leads[order[:3]])
            rhos.append(stats.spearmanr(means, leads).statistic)
            print(
                f"seed {seed}: lead of the best by its own score {100 * leads[0]:+.2f}, over fresh "
                f"seeds {100 * leads[order[0]]:+.2f} points; {seconds:.1f} s for the choice",
                flush=True,
            )
    for what, place in (("the best", slice(1)), ("the best three", slice(3))):
        one, two = (np.array([x[place].mean() for x in xs]) for xs in (own, chosen))
        gain = two - one
        low, high = stats.t.interval(0.95, len(gain) - 1, gain.mean(), stats.sem(gain))
        print(
            f"{what}: {100 * one.mean():+.2f} by own score, {100 * two.mean():+.2f} over fresh seeds; "
            f"gain {100 * gain.mean():+.2f}, 95 % interval {100 * low:+.2f} to {100 * high:+.2f}, "
            f"p = {stats.ttest_1samp(gain, 0).pvalue:.3f}"
        )
    print(f"rank correlation of their means with their leads: {np.mean(rhos):.2f}")


if __name__ == "__main__":
    main()

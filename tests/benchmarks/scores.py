"""How well scores at initialisation rank what training then reaches, on random genomes.

Every genome is trained over several seeds; its accuracy is their mean. The scores are those of seed
0, as a screen has them. `best of 4` is what a screen of 4 gains over training any of them, in
points of accuracy; the last row is a score that knows the accuracy.

    python tests/benchmarks/scores.py [--space digits9] [--data digits] [--genomes 60] [--seeds 3]
"""

import argparse
import random
from itertools import combinations
from math import comb

import numpy as np
from rich.console import Console
from rich.table import Table

from nas import score
from nas.devices.machine import default_count
from nas.evaluation.jobs import EvaluationContext, EvaluationJob, evaluate_job
from nas.predictors.zero_cost import SCORES
from nas.statistics import RESAMPLES, correlate, spearman
from nas.workers.process_pool import Workers
from nas.workers.protocol import Finished
from studies.search.request import SearchRequest, prepare_settings

DRAWN = 4


def trained(settings, devices, genomes, seeds, count):
    """Validation accuracy (genomes, seeds), 0 where a training diverged."""
    context = EvaluationContext(settings.space.skeleton, settings.data, devices)
    cells = [(g, seed) for g in range(len(genomes)) for seed in range(seeds)]
    jobs = [EvaluationJob(i, genomes[g], settings.space.proxy, s) for i, (g, s) in enumerate(cells)]
    accuracies = np.zeros((len(genomes), seeds))
    with Workers(evaluate_job, context, count) as workers:
        for report in workers.run(jobs):
            if isinstance(report, Finished):
                accuracies[cells[report.number]] = report.result.accuracy
    return accuracies


def gain(scores, accuracies):
    """(…) expected accuracy of the best-scored of 4 random genomes less that of any, in points."""
    n = scores.shape[-1]
    ranked = np.take_along_axis(accuracies, scores.argsort(-1), -1)
    best = np.array([comb(rank, DRAWN - 1) for rank in range(n)]) / comb(n, DRAWN)
    return 100 * (ranked @ best - accuracies.mean(-1))


def text(value, bounds, digits=2):
    if value is None:
        return "–"
    low, high = bounds
    return f"{value:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--space", default="digits9")
    parser.add_argument("--data")
    parser.add_argument("--genomes", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int)
    arguments = parser.parse_args()
    settings, devices = prepare_settings(
        SearchRequest(space=arguments.space, data=arguments.data, device="cpu")
    )
    space, rng = settings.space, random.Random(0)
    genomes = [space.sample(rng) for _ in range(arguments.genomes)]
    count = arguments.workers or default_count(devices)
    by_seed = trained(settings, devices, genomes, arguments.seeds, count)
    accuracies = by_seed.mean(1)
    skips = [sum(len(layer.skips) for layer in g.layers) for g in genomes]
    columns = {
        name: [
            score(g, space.skeleton, space.proxy, 0, settings.data, name, "cpu") for g in genomes
        ]
        for name in SCORES
    }
    table = Table(
        title=f"{space.name} on {settings.data.name}: {len(genomes)} random genomes, accuracy over "
        f"{arguments.seeds} seeds; 95 % bootstrap intervals",
        title_justify="left",
    )
    for name in ("score", "Spearman's ρ", "ρ given skips", f"best of {DRAWN}, points"):
        table.add_column(name, no_wrap=True)
    drawn = np.random.default_rng(0).integers(0, len(genomes), (RESAMPLES, len(genomes)))
    for name, scores in {**columns, "(accuracy)": accuracies}.items():
        found = correlate(scores, accuracies, skips)
        ranked = np.where(np.isfinite(scores), scores, -np.inf)
        gains = np.quantile(gain(ranked[drawn], accuracies[drawn]), (0.025, 0.975))
        table.add_row(
            name, text(found.rho, found.bounds), text(found.partial, found.partial_bounds),
            text(gain(ranked, accuracies), gains),
        )  # fmt: skip
    Console(width=110).print(table)
    pairs = combinations(by_seed.T, 2)
    agreement = [float(spearman(one, other)) for one, other in pairs]
    if agreement:
        print(f"rank correlation of accuracy between two seeds: {np.mean(agreement):+.2f}")
    print(f"accuracy {100 * accuracies.min():.2f} to {100 * accuracies.max():.2f} %; ", end="")
    print(f"{min(skips)} to {max(skips)} skips")


if __name__ == "__main__":
    main()

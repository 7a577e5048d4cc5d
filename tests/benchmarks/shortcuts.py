"""Do shortcuts find better patterns for less training? Searches with and without them, over seeds.

A search's own accuracies cannot answer it: a shortcut changes what they measure (inherited weights
hold the training of all ancestors, and fewer epochs are another proxy). So every search's best
genome is trained again from scratch by the ordinary proxy over fresh seeds, and so is a sample of
its candidates, to see whether the search ranked them as training from scratch does. All scores are
of validation images; the best was selected on the same images, in every variant.

    python tests/benchmarks/shortcuts.py [--seeds 5] [--evaluations 100] [--ranked 40]
"""

import argparse
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from scipy.stats import spearmanr

from nas.architecture.genome import Genome
from nas.devices.machine import default_count
from nas.evaluation.jobs import EvaluationContext, EvaluationJob, evaluate_job
from nas.statistics import interval
from nas.workers.process_pool import Workers
from nas.workers.protocol import Finished
from studies.finals.trainings import fresh_seeds
from studies.search.request import SearchRequest, prepare_settings
from studies.search.run import run_search
from studies.store.trial import best_trials

SHORT = "short.toml"
"""The space with half the epochs."""
VARIANTS = {
    "plain": {},
    "halving": {"pruner": "halving"},
    "inherit": {"inherit": True},
    "inherit, half the epochs": {"inherit": True, "space": SHORT},
    "screen by synflow": {"screen": "synflow:4"},
    "screen by parameters": {"screen": "params:4"},
}
"""Options of `nas search`; the first is what the others are held against."""
AGAIN, SAMPLED = 4, 2
"""Fresh seeds for every search's best, and for every genome of the sample."""


@dataclass(frozen=True)
class Searched:
    """One search; arrays have an entry a trial."""

    best: str
    """Notation of the most accurate candidate."""
    sample: dict[str, float]
    """The search's accuracy by notation, of some that were trained to the end."""
    curve: np.ndarray
    """Accuracy of the best candidate so far; 0 before the first."""
    epochs: np.ndarray
    """Trained so far."""
    seconds: np.ndarray
    """Of training so far, summed over workers."""


def search(request, sampled):
    found = run_search(request)
    space, trials = found.settings.space, found.trials
    candidates = best_trials(trials, space, len(trials))
    sample = random.Random(request.seed).sample(candidates, min(sampled, len(candidates)))
    own = {t.number for t in candidates}
    scores = [t.attrs["accuracy"] if t.number in own else 0.0 for t in trials]
    return Searched(
        str(found.best.genome), {str(t.genome): t.attrs["accuracy"] for t in sample},
        np.maximum.accumulate(scores),
        np.cumsum([len(t.attrs.get("accuracies", ())) for t in trials]),
        np.cumsum([t.attrs.get("seconds", 0.0) for t in trials]),
    )  # fmt: skip


def scratch(wanted, settings, devices, count):
    """Accuracy by (notation, seed), each trained once by the ordinary proxy."""
    jobs = [
        EvaluationJob(number, Genome.parse(notation), settings.space.proxy, seed)
        for number, (notation, seed) in enumerate(wanted)
    ]
    context = EvaluationContext(settings.space.skeleton, settings.data, devices)
    with Workers(evaluate_job, context, count) as workers:
        results = {r.number: r.result for r in workers.run(jobs) if isinstance(r, Finished)}
    return {key: results[number].accuracy for number, key in enumerate(wanted)}


def reached(one, measure, target):
    """What was spent until the best reached the target; infinite where it never did."""
    hit = np.flatnonzero(one.curve >= target)
    return float(measure(one)[hit[0]]) if len(hit) else np.inf


def until(runs, measure, target):
    """Median over searches, and how many reached it."""
    spent = [reached(one, measure, target) for one in runs]
    middle, count = np.sort(spent)[len(spent) // 2], np.isfinite(spent).sum()
    return (
        f"{middle:.0f} ({count}/{len(spent)})"
        if np.isfinite(middle)
        else f"- ({count}/{len(spent)})"
    )


MEASURES = {
    "evaluations": lambda one: np.arange(1, len(one.curve) + 1),
    "epochs": lambda one: one.epochs,
    "seconds": lambda one: one.seconds,
}


def curves(runs):
    """Tables of the best so far, by what was spent, up to what the cheapest search spends."""
    for name, measure in MEASURES.items():
        least = min(measure(one)[-1] for ones in runs.values() for one in ones)
        points = [least * part / 4 for part in (1, 2, 3, 4)]
        print(f"\nbest validation accuracy by {name} (mean over searches; - before all have one)")
        print(f"{'':26}" + "".join(f"{point:9.0f}" for point in points))
        for label, ones in runs.items():
            bests = [[max([0, *o.curve[measure(o) <= p]]) for o in ones] for p in points]
            cells = [f"{100 * np.mean(best):9.2f}" if all(best) else f"{'-':>9}" for best in bests]
            print(f"{label:26}" + "".join(cells))
    target = min(np.mean([one.curve[-1] for one in ones]) for ones in runs.values())
    print(f"\nspent until {100 * target:.2f} %, the weakest's end: median (searches that did)")
    print(f"{'':26}" + "".join(f"{name:>14}" for name in MEASURES) + f"{'epochs in all':>16}")
    for label, ones in runs.items():
        row = "".join(f"{until(ones, measure, target):>14}" for measure in MEASURES.values())
        print(f"{label:26}{row}{np.mean([one.epochs[-1] for one in ones]):16.0f}")


def honest(runs, fresh):
    """Tables of what training from scratch says of every search's best, and of its ranking."""
    print(f"\nthe best from scratch ({AGAIN} fresh seeds), and rank correlation with scratch")
    print(f"{'':26}{'by the search':>15}{'from scratch':>18}{'- first (95 %)':>26}{'rho':>16}")
    first = None
    for label, ones in runs.items():
        ends = [100 * one.curve[-1] for one in ones]
        again = [
            100 * np.mean([fresh[one.best, s] for s in fresh_seeds(seed, AGAIN)])
            for seed, one in enumerate(ones)
        ]
        rhos = [
            spearmanr(
                list(one.sample.values()),
                [np.mean([fresh[n, s] for s in fresh_seeds(seed, SAMPLED)]) for n in one.sample],
            ).statistic
            for seed, one in enumerate(ones)
        ]
        first = again if first is None else first
        deltas = [mine - theirs for mine, theirs in zip(again, first, strict=True)]
        against = ""
        if label != next(iter(runs)) and len(deltas) > 1:
            low, high = interval(deltas)
            against = f"{np.mean(deltas):+.2f} ({low:+.2f} to {high:+.2f})"
        spread = f"{np.mean(again):.2f} ± {np.std(again, ddof=len(again) > 1):.2f}"
        n = sum(len(one.sample) for one in ones)
        rho = f"{np.mean(rhos):.2f} (n={n})"
        print(f"{label:26}{np.mean(ends):15.2f}{spread:>18}{against:>26}{rho:>16}")
    print("rho is the mean over searches of Spearman's, within each search's part of the sample")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--space", default="digits9")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--ranked", type=int, default=40, help="genomes a variant, of all searches")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    basis = SearchRequest(
        space=given.space, evaluations=given.evaluations, finalists=0,
        device=given.device, workers=given.workers,
    )  # fmt: skip
    settings, devices = prepare_settings(basis)
    count = given.workers or default_count(devices)
    epochs, started = settings.space.proxy.epochs, time.perf_counter()
    runs = {label: [] for label in VARIANTS}
    with tempfile.TemporaryDirectory() as folder:
        short = Path(folder) / SHORT
        short.write_text(f'base = "{given.space}"\n[proxy]\nepochs = {max(1, epochs // 2)}\n')
        for seed in range(given.seeds):  # variants side by side, for the machine's moods
            for label, options in VARIANTS.items():
                fields = {**vars(basis), **options, "seed": seed}
                fields["space"] = str(short) if fields["space"] == SHORT else fields["space"]
                fields["storage"] = f"sqlite:///{folder}/nas.db"
                fields["study"] = f"{label} {seed}"
                runs[label].append(search(SearchRequest(**fields), given.ranked // given.seeds))
                spent = time.perf_counter() - started
                print(f"{spent:6.0f} s  {label}, seed {seed}: {runs[label][-1].curve[-1]:.4f}")
    print(f"\n{given.space}, {given.evaluations} evaluations, {given.seeds} seeds, {count} workers")
    curves(runs)
    wanted = [
        (notation, s)
        for ones in runs.values()
        for seed, one in enumerate(ones)
        for notations, n in (([one.best], AGAIN), (one.sample, SAMPLED))
        for notation in notations
        for s in fresh_seeds(seed, n)
    ]
    honest(runs, scratch(list(dict.fromkeys(wanted)), settings, devices, count))
    print(f"\n{time.perf_counter() - started:.0f} s in all")


if __name__ == "__main__":
    main()

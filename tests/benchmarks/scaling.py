"""What to expect from 1 to 1,000 workers: a simulation over recorded evaluations, not a measurement.

Times: proposal k starts when a worker is idle and all results before k - lag are there, as in a search.
Durations are drawn from those that a study recorded; every trial occupies the storage for a while, one
after the other. Workers are alike, none dies, and those that wait
cost the storage nothing.

Quality: the strategies themselves propose, and see results lag trials late. What they search is a random
forest fitted to the study's accuracies: with the noise that the forest leaves, and without any, where
every result can be trusted and seeing it late costs most. How well the forest predicts trials that it
was not fitted to is printed; all that is said about quality holds for a landscape like it.

    python tests/benchmarks/scaling.py --storage sqlite:///nas.db --study NAME [--budget 2000] [--seeds 8]
"""

import argparse
import time
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from pathlib import Path
from random import Random

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import KFold, cross_val_predict

from nas.statistics import interval
from nas.strategies.history import History
from nas.strategies.problem import PastTrial, Problem
from nas.strategies.propose import propose
from studies.search.given import HAND_MADE
from studies.search.settings import recorded_space
from studies.store.storages import existing_storage
from studies.store.store import Store

WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)
SEARCHED = (1, 4, 16, 64, 256, 1000)
"""Numbers of workers, and lags, for which searches are simulated."""
LAGS = {"lag = workers": lambda w: w, "lag = 2 × workers": lambda w: 2 * w, "lag = 8": lambda w: 8}
LONG = 100
"""How much longer evaluations take in the second table of times."""
ROUNDS = 20
"""Trials a worker, at least, in the tables of times: starting and ending count little then."""
ALONE = 100
"""Evaluations of one worker in the time after which qualities are compared."""


@dataclass(frozen=True)
class Timeline:
    """When trials ran; arrays have an entry a trial, in seconds."""

    starts: np.ndarray
    ends: np.ndarray
    workers: int

    @property
    def seconds(self):
        return float(self.ends.max())

    @property
    def utilisation(self):
        """Share of the workers' time in which they evaluate."""
        return float((self.ends - self.starts).sum() / (self.workers * self.seconds))

    @property
    def per_minute(self):
        return 60 * len(self.ends) / self.seconds


def simulate(seconds, workers, lag, overhead=0.0):
    """Trials in order of their numbers, each on the worker that has been idle longest.

    Args:
        seconds: of every evaluation.
        overhead: seconds for which every trial has the storage to itself before it starts.
    """
    idle = [0.0] * workers
    heapify(idle)
    starts, ends = np.zeros(len(seconds)), np.zeros(len(seconds))
    complete = np.zeros(len(seconds) + 1)  # when all results before k are there
    storage = 0.0
    for k, duration in enumerate(seconds):
        ready = max(heappop(idle), complete[max(0, k - lag)])
        storage = starts[k] = max(ready, storage) + overhead
        ends[k] = starts[k] + duration
        complete[k + 1] = max(complete[k], ends[k])
        heappush(idle, ends[k])
    return Timeline(starts, ends, workers)


class Surrogate:
    """Accuracy as a function of genes, fitted to trials, and the noise about it."""

    def __init__(self, space, genomes, accuracies):
        self.space, self.known = space, {}
        self.forest = RandomForestRegressor(
            200, min_samples_leaf=3, max_features=0.3, random_state=0
        )
        features, accuracies = self.features(genomes), np.array(accuracies)
        folds = KFold(10, shuffle=True, random_state=0)
        unseen = cross_val_predict(self.forest, features, accuracies, cv=folds)
        self.rho = spearmanr(unseen, accuracies).statistic
        self.noise = float(np.std(accuracies - unseen))
        self.spread, self.count = float(np.std(accuracies)), len(genomes)
        self.forest.fit(features, accuracies)

    def features(self, genomes):
        """Strengths by layer and distance, and merges one-hot: (genomes, features)."""
        return np.array(
            [
                [
                    value
                    for layer in genome.layers
                    for strength in [{s.distance: s.strength for s in layer.skips}]
                    for value in (
                        *(strength.get(distance, 0.0) for distance in self.space.distances),
                        *(float(layer.merge == merge) for merge in self.space.merges),
                    )
                ]
                for genome in genomes
            ]
        )

    def true(self, genomes):
        """Accuracies without noise."""
        new = list({g.key: g for g in genomes if g.key not in self.known}.values())
        if new:
            values = self.forest.predict(self.features(new))
            self.known.update(zip((g.key for g in new), values, strict=True))
        return [self.known[genome.key] for genome in genomes]


class Replica:
    """A search's proposals: the strategy's own code, and results that it sees lag trials late."""

    def __init__(self, strategy, problem, lag, seed, noise):
        self.strategy, self.problem, self.lag = strategy, problem, lag
        self.seed, self.noise = seed, noise
        layers = problem.space.skeleton.layers
        self.given = [make(layers) for make in HAND_MADE.values()]
        self.records, self.history = [], History(problem.weights)
        self.true = []
        """Accuracies without noise, by trial."""

    def propose(self):
        k, history = len(self.records), self.history
        history.propose(record.hidden for record in self.records[len(history) : k])
        history.reveal(self.records[history.revealed : max(0, k - self.lag)])
        if k < len(self.given):
            return self.given[k]
        return propose(self.strategy, self.problem, history, k, self.seed).genome

    def tell(self, genome, true):
        """The result of the last proposal; a candidate's noise repeats, as an evaluation does."""
        noise = Random(f"{self.seed} {genome.key}").gauss(0, self.noise)
        self.records.append(PastTrial(len(self.records), genome, (true + noise,), True, True))
        self.true.append(true)


def run(replicas, surrogate, budget):
    """All searches side by side, so that the forest predicts for many at once."""
    for _ in range(budget):
        genomes = [replica.propose() for replica in replicas]
        for replica, genome, true in zip(replicas, genomes, surrogate.true(genomes), strict=True):
            replica.tell(genome, true)


def drawn(recorded, count, seed):
    """Durations of `count` evaluations, drawn from the recorded ones."""
    return np.random.default_rng(seed).choice(recorded, count)


def rounded(rate):
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def times(recorded, overhead, budget, factor):
    """Utilisation and throughput by rule for the lag and number of workers; prints the table."""
    mean = factor * np.mean(recorded)
    print(f"\nevaluations of {mean:.2f} s on average, {1000 * overhead:.0f} ms of storage a trial")
    print("| workers |" + "".join(f" {rule} |" for rule in LAGS) + " trials a minute |")
    print("|---|" + "---|" * (len(LAGS) + 1))
    found = {rule: [] for rule in LAGS}
    for workers in WORKERS:
        seconds = factor * drawn(recorded, max(budget, ROUNDS * workers), seed=0)
        lines = {
            rule: simulate(seconds, workers, lag(workers), overhead) for rule, lag in LAGS.items()
        }
        for rule, line in lines.items():
            found[rule].append(line.utilisation)
        cells = "".join(f" {100 * line.utilisation:.0f} % |" for line in lines.values())
        rates = " / ".join(rounded(line.per_minute) for line in lines.values())
        print(f"| {workers} |{cells} {rates} |")
    return found


@dataclass(frozen=True)
class Quality:
    """True accuracy of the best candidate in %: arrays (numbers of workers, seeds)."""

    evaluations: np.ndarray
    """After the whole budget."""
    minutes: np.ndarray
    """After the same time for all, or after the budget where that ends earlier."""


def quality(searches, recorded, overhead, limit):
    """What searches, each a Replica by (workers, seed), had found in all and by `limit` seconds."""
    seeds = sorted({seed for _, seed in searches})
    rows = []
    for workers in SEARCHED:
        for seed in seeds:
            true = 100 * np.array(searches[workers, seed].true)
            line = simulate(drawn(recorded, len(true), seed), workers, workers, overhead)
            rows.append((true.max(), true[line.ends <= limit].max()))
    return Quality(*np.array(rows).reshape(len(SEARCHED), len(seeds), 2).transpose(2, 0, 1))


def figure(used, longer, found, surrogate, labels):
    """Utilisation, and quality, against workers."""
    colours, others = ("#4477aa", "#ee6677", "#228833"), ("#aa3377", "#66ccee", "#444444")
    picture = Figure(figsize=(9.6, 4.8), layout="constrained")
    left, right = picture.subplots(1, 2)
    for (rule, shares), colour in zip(used.items(), colours, strict=True):
        left.plot(WORKERS, 100 * np.array(shares), color=colour, marker="o", ms=3, label=rule)
        slow = 100 * np.array(longer[rule])
        left.plot(WORKERS, slow, color=colour, marker="o", ms=3, ls="--", alpha=0.6)
    left.plot([], [], color="#444444", ls="--", label=f"evaluations {LONG} times as long")
    left.set_ylabel("workers' time spent evaluating (%)")
    left.set_ylim(0, 103)
    left.set_title("Simulated: utilisation", fontsize=9, loc="left")
    styles = {"evaluations": "-", "minutes": "--"}
    for (name, one), colour in zip(found.items(), others, strict=True):
        for measure, style in styles.items():
            values = getattr(one, measure)
            mean, std = values.mean(1), values.std(1, ddof=1)
            label = f"{name}, {labels[measure]}"
            right.plot(SEARCHED, mean, color=colour, ls=style, marker="o", ms=3, label=label)
            if style == "-":
                right.fill_between(SEARCHED, mean - std, mean + std, color=colour, alpha=0.1, lw=0)
    right.set_ylabel("best candidate, accuracy by the surrogate (%)")
    fit = f"surrogate of {surrogate.count:,} trials, ρ = {surrogate.rho:.2f}"
    right.set_title(f"Simulated: quality, lag = workers ({fit})", fontsize=9, loc="left")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"])
        axes.set_xlabel("workers")
        axes.legend(
            fontsize=7, handlelength=3.5, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.14)
        )
        axes.grid(alpha=0.25)
    return picture


def report(found, labels):
    """Prints qualities by workers, and what seeing results late costs."""
    columns = [(name, one, key) for name, one in found.items() for key in labels]
    print("| workers = lag |" + "".join(f" {name}, {labels[key]} |" for name, _, key in columns))
    print("|---|" + "---|" * len(columns))
    for i, workers in enumerate(SEARCHED):
        ends = [getattr(one, key)[i] for _, one, key in columns]
        cells = [f" {np.mean(end):.2f} ± {np.std(end, ddof=1):.2f} |" for end in ends]
        print(f"| {workers} |" + "".join(cells))
    print("\nafter the same evaluations, paired by seed, in points (95 % interval)")
    chance = found["random"].evaluations[0]
    for name, one in found.items():
        ends = one.evaluations
        if name == "random":
            continue
        print(f"{name}: lag 1 less random {difference(ends[0], chance)}")
        for workers, end in zip(SEARCHED[1:], ends[1:], strict=True):
            print(f"{name}: lag {workers} less lag 1 {difference(end, ends[0])}")


def difference(these, those):
    low, high = interval(these - those)
    return f"{np.mean(these - those):+.2f} ({low:+.2f} to {high:+.2f})"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--storage", default="sqlite:///nas.db")
    parser.add_argument("--study", required=True)
    parser.add_argument("--budget", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=8, help="searches for every number of workers")
    parser.add_argument("--overhead", type=float, default=0.008, help="seconds of storage a trial")
    parser.add_argument("--figure", type=Path, help="where the picture goes")
    given = parser.parse_args()
    started = time.perf_counter()
    store = Store.load_search(existing_storage(given.storage), given.study)
    space = recorded_space(store.settings)
    trials = [t for t in store.trials() if t.ok and t.genome in space and not t.attrs["role"]]
    recorded = [trial.attrs["seconds"] for trial in trials]
    print(
        f"{len(trials)} trials of {given.study}: {np.mean(recorded):.2f} ± {np.std(recorded):.2f} s"
    )
    used = times(recorded, given.overhead, given.budget, 1)
    longer = times(recorded, given.overhead, given.budget, LONG)

    surrogate = Surrogate(space, [t.genome for t in trials], [t.attrs["accuracy"] for t in trials])
    print(
        f"\nsurrogate: rank correlation {surrogate.rho:.2f} in 10-fold cross-validation, noise "
        f"{100 * surrogate.noise:.2f} points, accuracies' own spread {100 * surrogate.spread:.2f}, "
        f"spread of 1,000 random genomes without noise "
        f"{100 * np.std(surrogate.true([space.sample(Random(i)) for i in range(1000)])):.2f}"
    )
    problem, seeds = Problem(space, (1.0,)), range(given.seeds)
    cases = [(workers, seed) for workers in SEARCHED for seed in seeds]
    chance = {seed: Replica("random", problem, 1, seed, 0) for seed in seeds}  # sees no result
    searches = {
        label: {case: Replica("regularized", problem, *case, noise) for case in cases}
        for label, noise in (("evolution", surrogate.noise), ("evolution without noise", 0))
    }
    run([*chance.values(), *(r for ones in searches.values() for r in ones.values())],
        surrogate, given.budget)  # fmt: skip
    searches["random"] = {(workers, seed): chance[seed] for workers, seed in cases}
    limit = ALONE * (np.mean(recorded) + given.overhead)
    found = {
        label: quality(ones, recorded, given.overhead, limit) for label, ones in searches.items()
    }
    labels = {
        "evaluations": f"{given.budget:,} evaluations",
        "minutes": f"{limit / 60:.1f} minutes",
    }
    print(f"the best's accuracy without noise in %, mean ± standard deviation, {given.seeds} seeds")
    report(found, labels)
    if given.figure:
        figure(used, longer, found, surrogate, labels).savefig(given.figure, dpi=130)
    print(f"\n{time.perf_counter() - started:.0f} s in all")


if __name__ == "__main__":
    main()

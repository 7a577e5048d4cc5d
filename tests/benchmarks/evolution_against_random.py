"""Best-so-far curves of evolution and of random search over several search seeds, in one picture.

    python tests/benchmarks/evolution_against_random.py --out evolution.png

Searches are recorded in --storage and go on where they stopped. The curve is the validation
accuracy by the proxy of the best candidate so far (hand-made patterns left out); the band is the
standard deviation over search seeds. A search seed also seeds weights and batches, so scores of
one seed are compared with scores of the same seed: the difference is paired.
"""

import argparse

import numpy as np
import optuna
from scipy import stats

from studies.run import Request, run_search


def best_so_far(result):
    scores = [t.attrs["accuracy"] if t.ok and not t.attrs["role"] else 0.0 for t in result.trials]
    return np.maximum.accumulate(scores)


def main():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--space", default="digits9")
    parser.add_argument("--evaluations", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--storage", default="sqlite:///evolution.db")
    parser.add_argument("--strategies", default="regularized,random")
    parser.add_argument("--out", default="evolution.png")
    arguments = parser.parse_args()
    names = arguments.strategies.split(",")
    curves, lines = {}, {}
    for name in names:
        results = [
            run_search(
                Request(
                    space=arguments.space, strategy=name, seed=seed, finalists=0,
                    evaluations=arguments.evaluations, storage=arguments.storage,
                )
            )
            for seed in range(arguments.seeds)
        ]  # fmt: skip
        curves[name] = np.array([best_so_far(result) for result in results])
        for result in results:
            for trial in result.trials:
                if trial.attrs["role"]:
                    lines.setdefault(trial.attrs["role"], []).append(trial.attrs["accuracy"])
    plot(curves, lines, arguments)
    for name, curve in curves.items():
        last = 100 * curve[:, -1]
        print(
            f"{name}: {last.mean():.2f} ± {last.std(ddof=1):.2f} % after {curve.shape[1]} evaluations, n={len(last)}"
        )
    first, second = names[:2]
    delta = 100 * (curves[first][:, -1] - curves[second][:, -1])
    p = stats.ttest_1samp(delta, 0).pvalue
    print(
        f"{first} - {second}: {delta.mean():+.2f} ± {delta.std(ddof=1):.2f}, paired t-test p={p:.3f}"
    )


def plot(curves, lines, arguments):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for (name, curve), colour in zip(
        curves.items(), ("#4477aa", "#ee6677", "#228833", "#aa3377"), strict=False
    ):
        steps, mean, std = (
            np.arange(1, curve.shape[1] + 1),
            100 * curve.mean(0),
            100 * curve.std(0, ddof=1),
        )
        steps, mean, std = steps[3:], mean[3:], std[3:]
        axes.plot(steps, mean, color=colour, label=name)
        axes.fill_between(steps, mean - std, mean + std, color=colour, alpha=0.2, lw=0)
    low = 100 * min(curve[:, 4].mean() - 2 * curve[:, 4].std() for curve in curves.values())
    for (name, scores), style in zip(lines.items(), (":", "--", "-."), strict=False):
        level = 100 * np.mean(scores)
        if level > low:
            axes.axhline(level, color="black", lw=1, ls=style, label=f"{name} pattern")
    axes.set_ylim(bottom=low)
    axes.set_xlabel("evaluations")
    axes.set_ylabel("best validation accuracy so far (%)")
    axes.set_title(
        f"{arguments.space}: mean ± std over {arguments.seeds} search seeds", fontsize=10
    )
    axes.legend(fontsize=8, loc="lower right")
    axes.grid(alpha=0.3)
    figure.savefig(arguments.out, dpi=150)


if __name__ == "__main__":
    main()

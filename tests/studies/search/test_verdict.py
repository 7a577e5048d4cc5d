"""What a search comes to: every outcome, and that all who speak of it say the same."""

from dataclasses import replace

import numpy as np
import pytest
from optuna.trial import TrialState

from nas import Genome
from nas.statistics import interval, paired_p
from studies.finals.finalists import Finalist, compare
from studies.search.verdict import near_chance, verdict
from studies.store.trial import Trial

RESIDUAL, PLAIN, FOUND, OTHER = map(Genome.parse, ("add(1)*4", "-*4", "gate(1)*4", "se(1)*4"))
DATA = {"guessing": {"validation": 0.1, "test": 0.1}, "parts": {"validation": 400}}
SEEDS = np.random.default_rng(0).normal(0, 0.01, 12)


def trial(number, genome, accuracy, role="", values=None, again=None):
    attrs = {"accuracy": accuracy, "status": "ok", "role": role, "params": 10 + number}
    values = values or (accuracy,)
    return Trial(number, genome, TrialState.COMPLETE, values, attrs, {}, {}, {}, again)


TRIALS = [trial(0, PLAIN, 0.5, "plain"), trial(1, RESIDUAL, 0.8, "residual"), trial(2, FOUND, 0.9)]
BEST = TRIALS[2]


def table(gain, seeds=SEEDS, best=None, **more):
    """A table in which the winner is so much better than the residual pattern."""
    base = 0.8 + seeds
    own = base + gain + np.random.default_rng(1).normal(0, 0.002, len(seeds))
    rows = {"trial 2": (FOUND, own), "residual": (RESIDUAL, base), "plain": (PLAIN, base - 0.3)}
    rows |= {name: (OTHER, base + plus) for name, plus in more.items()}
    return compare(
        [Finalist(n, g, tuple(map(float, a)), 100, 100) for n, (g, a) in rows.items()], best
    )


@pytest.mark.parametrize(
    ("best", "finalists", "data", "outcome", "use", "words"),
    [
        (None, [], DATA, "nothing", "", ["could be trained"]),
        (replace(BEST, again=0.12), [], DATA, "chance", "", ["Nothing was learnt", "12.00 %", "10.00 %"]),
        (BEST, [], DATA, "untested", "trial 2", ["+10.00 points ahead", "luck", "--finalists 3"]),
        (trial(2, FOUND, 0.75), [], {}, "untested", "residual", ["use that", "−5.00 points"]),
        (BEST, table(0.03), DATA, "better", "trial 2", ["Use trial 2", "ResNet's pattern (95 % interval", "12 seeds"]),
        (BEST, table(0.03, dense=0.05), DATA, "better", "trial 2", ["The dense pattern, which was given, has 85."]),
        (BEST, table(0.0001), DATA, "undecided", "residual", ["Nothing found is better", "beyond doubt, so use that"]),
        (BEST, table(-0.03), DATA, "worse", "residual", ["Nothing found is as good", "use that"]),
        (BEST, table(0.03, best="se", se=0.02), DATA, "better", "trial 2", ["Use trial 2", "the se pattern, the best reference (95 %"]),
        (BEST, table(0.03, best="se", se=0.03), DATA, "undecided", "se", ["better than the se pattern beyond doubt, so use that", "against ResNet's pattern (95 %"]),
        (BEST, table(0.03, best="rezero", rezero=0.05), DATA, "worse", "rezero", ["as good as ReZero's pattern, so use that", "−2."]),
        (BEST, table(0.03, best="residual"), DATA, "better", "trial 2", ["against ResNet's pattern (95 %"]),
        (BEST, table(0.03, SEEDS[:1]), DATA, "undecided", "residual", ["(1 seed, too few"]),
        (BEST, table(0.03, SEEDS[:2]), DATA, "undecided", "residual", ["(2 seeds, too few"]),
    ],
)  # fmt: skip
def test_every_outcome(best, finalists, data, outcome, use, words):
    found = verdict(best, TRIALS, finalists, data)
    assert (found.outcome, found.use) == (outcome, use), found.sentence
    assert all(word in found.sentence for word in words), found.sentence
    assert not {"nan", "inf"} & set(found.sentence.replace("(", " ").split())


def test_how_sure_is_the_tables_own_figures():
    rows = table(0.03)
    deltas = np.subtract(rows[0].accuracies, rows[1].accuracies)
    low, high = (f"{100 * end:+.2f}" for end in interval(deltas))
    sentence = verdict(BEST, TRIALS, rows, DATA).sentence
    assert f"95 % interval {low} to {high}, p < 0.001, 12 seeds)" in sentence
    assert paired_p(deltas) == rows[0].p < 0.001
    many = compare([*rows, Finalist("trial 9", OTHER, rows[1].accuracies, 1, 1)])
    assert "corrected for 2 finalists" in verdict(BEST, TRIALS, many, DATA).sentence


def test_a_reference_outside_the_limit_is_not_recommended():
    found = verdict(BEST, TRIALS, table(-0.03), DATA, admitted=lambda genome: genome == FOUND)
    assert found.use == "trial 2"
    assert "outside the limit" in found.sentence


def test_near_chance_is_three_deviations():
    assert near_chance(0.5 + 3 * 0.05, 0.5, 100)
    assert not near_chance(0.5 + 3 * 0.05 + 1e-9, 0.5, 100)
    assert near_chance(0.0, 0.1, 0)


def test_of_several_objectives_what_was_tested_is_judged():
    luckiest = trial(3, OTHER, 0.95)
    trials = [*TRIALS, luckiest]
    found = verdict(luckiest, trials, table(0.03), DATA, ("accuracy", "params"))
    assert (found.outcome, found.use) == ("better", "trial 2")
    again = verdict(luckiest, trials, table(0.03), DATA)  # a later best of one objective is not
    assert (again.outcome, again.use) == ("untested", "trial 3")


def test_the_front_is_judged_over_seeds():
    goals = ("accuracy", "params")
    trials = [replace(t, values=(t.attrs["accuracy"], float(100 - 10 * t.number))) for t in TRIALS]
    rows = table(0.03)
    sentence = verdict(trials[2], trials, rows, DATA, goals).sentence
    # Found has the fewest parameters and the best accuracy, so it dominates the box up to its own.
    accuracies = np.array([row.accuracies for row in rows])
    low, span = accuracies.min(), np.ptp(accuracies)
    found = ((accuracies[0] - low) / span).mean()
    given = (0.5 * (accuracies[1] - low) / span).mean()
    assert f"the finalists dominate {100 * found:.1f} %" in sentence
    assert f"the given patterns {100 * given:.1f} % (p < 0.001, 12 seeds)" in sentence
    assert "Over test accuracy and parameters the finalists" in sentence

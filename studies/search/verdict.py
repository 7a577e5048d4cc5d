"""What a search comes to, in one sentence: what to use, by how much, and how sure that is.

Every place that speaks of a search's outcome says this sentence: the terminal, the report, the
dashboard, the notebook.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, sqrt
from typing import Any, Literal

import numpy as np

from nas.architecture.genome import Genome
from nas.architecture.space import SearchSpace
from nas.data.fitting import GUESSED
from nas.files.settings import from_mapping
from nas.statistics import interval, paired_p
from nas.strategies.problem import Limits
from nas.tasks.classification import CLASSIFICATION
from nas.tasks.table import TASKS
from nas.tasks.task import Task
from studies.finals.finalists import Finalist
from studies.formatting import Score, listed, p_value, percent, plural
from studies.search.objectives import OBJECTIVES
from studies.store.names import DATA, HEEDS_PART
from studies.store.trial import Trial, best_trials, role_of

DOUBT = 0.05
"""p-values from here on are called not beyond doubt."""
DEVIATIONS = 3
"""Of guessing's accuracy over as many images, within which an accuracy is near chance."""
Outcome = Literal["better", "undecided", "worse", "untested", "chance", "nothing"]
NAMES = {
    "residual": "ResNet's pattern",
    "rezero": "ReZero's pattern",
    "densenet": "DenseNet's pattern",
    "unet": "the U-Net's pattern",
    "start": "the pattern that the search started from",
}


@dataclass(frozen=True)
class Verdict:
    """What a search comes to."""

    outcome: Outcome
    use: str
    """`trial 17`, a given pattern's name, or nothing."""
    sentence: str


def near_chance(accuracy: float, guessing: float, images: int) -> bool:
    """Whether guessing the most frequent class could have an accuracy on so many images."""
    return accuracy <= guessing + DEVIATIONS * sqrt(guessing * (1 - guessing) / max(images, 1))


def verdict(
    best: Trial | None,
    trials: Sequence[Trial],
    finalists: Sequence[Finalist],
    data: Mapping[str, Any],
    objectives: Sequence[str] = ("accuracy",),
    admitted: Callable[[Genome], bool] = lambda genome: True,
) -> Verdict:
    """The verdict on a search.

    Args:
        best: its best candidate (`Trial.rank`).
        trials: all of it.
        data: what is known of the data (`nas.data.description`); empty for studies that did not note it.
        objectives: the search's; for several the front is judged, too.
        admitted: whether a pattern is within the search's limits.
    """
    if best is None:
        return Verdict("nothing", "", "No candidate of the search could be trained.")
    rows = {row.name: row for row in finalists if row.n}
    name = f"trial {best.number}"
    score = best.attrs["accuracy"] if best.again is None else best.again
    words = Score.of(objectives, task_of(data).examples)
    nothing = _chance(name, score, data, words)
    if nothing:
        return Verdict("chance", "", nothing)
    what = "the best found"
    tested = [trial for trial in trials if f"trial {trial.number}" in rows]
    if name not in rows and tested and len(objectives) > 1:  # these are spread over the front
        name = f"trial {min(tested, key=lambda t: t.rank).number}"
        what = f"of those tested the {words.most} on the validation {words.examples}"
    if name not in rows:
        return _untested(best, name, trials, words)
    given = [row for row in rows.values() if not row.name.startswith("trial")]
    found = _tested(rows[name], what, given, admitted, len(finalists) - len(given), words)
    if len(objectives) > 1:
        found = replace(
            found, sentence=found.sentence + _front(list(rows.values()), trials, objectives)
        )
    return found


def _chance(name: str, score: float, data: Mapping[str, Any], words: Score) -> str:
    """That guessing is as good as a score on the validation part; empty where it is not."""
    guess = guess_of(data, words)
    if guess is None:
        return ""
    longer = f"the patterns say nothing before a longer training (epochs, {words.examples}) gets beyond that."
    if not words.own:
        if not near_chance(score, guess, data.get("parts", {}).get("validation", 0)):
            return ""
        return (
            f"Nothing was learnt: {name}, the best found, recognises {percent(score)} of the "
            f"validation images, and guessing the most frequent class {percent(guess)}; {longer}"
        )
    if score > guess:
        return ""
    return (
        f"Nothing was learnt: {name}, the best found, has {words.reached(score, 'validation')}, and "
        f"{GUESSED[task_of(data).labels]} gives {words.show(guess)}; {longer}"
    )


def task_of(data: Mapping[str, Any]) -> Task:
    """That of which something is known of the data (`nas.data.description`)."""
    return TASKS.get(data.get("task", ""), CLASSIFICATION)


def guess_of(data: Mapping[str, Any], words: Score) -> float | None:
    """The validation score that needs no learning, of which larger is better; None where it is not known."""
    task, guess = task_of(data), data.get("guessing", {}).get("validation")
    return None if guess is None or words.key != task.score else task.sign * guess


def recorded_verdict(
    record: Mapping[str, Any],
    notes: Mapping[str, Any],
    space: SearchSpace,
    trials: Sequence[Trial],
    finalists: Sequence[Finalist],
) -> Verdict:
    """The verdict on a recorded search, from its settings, its notes, and its ranked trials."""
    limits = from_mapping(Limits, record["limits"], "the study's limits")
    return verdict(
        next(iter(best_trials(trials, space, 1)), None), trials, finalists, notes.get(DATA) or {},
        record["objectives"], lambda genome: limits.admit(genome, space),
    )  # fmt: skip


def _untested(best: Trial, name: str, trials: Sequence[Trial], words: Score) -> Verdict:
    """By the short training of the search alone."""
    known = {role_of(t): t.attrs["accuracy"] for t in trials if t.ok and role_of(t)}
    test = f"a test on {words.examples} that the search has not seen (--finalists 3) would tell"
    if words.own and not any(trial.attrs.get(HEEDS_PART) for trial in trials):
        test = "there is no test, as what trains never asks which part of the data to score on (run.part)"
    if "residual" not in known:
        return Verdict("untested", name, f"{name.capitalize()} is the best found; {test}.")
    ahead = best.attrs["accuracy"] - known["residual"]
    if ahead <= 0:
        return Verdict(
            "untested", "residual",
            f"Nothing found is better than {NAMES['residual']}, so use that: by the short training of "
            f"the search {name}, the best found, is at {words.changed(ahead)} from it on the "
            f"validation {words.examples}; {test}{'' if words.own else ' more'}.",
        )  # fmt: skip
    if words.own:
        return Verdict(
            "untested", name,
            f"{name.capitalize()} is better than {NAMES['residual']} on the validation {words.examples}, "
            f"{words.changed(ahead)} in one short training each, which luck alone can give; {test}.",
        )  # fmt: skip
    return Verdict(
        "untested", name,
        f"{name.capitalize()} is {words.changed(ahead)} ahead of {NAMES['residual']} on the validation "
        f"images, by one short training each, which luck alone can give; {test}.",
    )  # fmt: skip


def _tested(
    row: Finalist,
    what: str,
    given: Sequence[Finalist],
    admitted: Callable[[Genome], bool],
    tested: int,
    words: Score,
) -> Verdict:
    """By the test: of the best found, beside ResNet's pattern and the best reference."""
    residual = next((one for one in given if one.name == "residual"), None)
    if residual is None or row.difference is None:
        sentence = f"Use {row.name}: it {_has(row, words)}; "
        return Verdict(
            "untested", row.name, f"{sentence}there is no residual pattern to compare with."
        )
    against = [_Against(row, residual, row.difference, row.p, tested, words)]
    if row.ahead is not None:
        best = next(one for one in given if one.ahead is None)
        against.insert(0, _Against(row, best, row.ahead, row.ahead_p, tested, words))
    bar = against[0]
    told = f"{_has(row, words)}, "
    if all(one.beyond_doubt and one.difference > 0 for one in against):
        within = [one for one in given if admitted(one.genome)]
        leader = max(within, key=lambda one: one.mean, default=None)
        more = ""
        if leader and leader.mean > row.mean:
            given_one = named(leader.name)
            more = f" {given_one[0].upper()}{given_one[1:]}, which was given, has {words.show(leader.mean)} there."
        return Verdict(
            "better", row.name,
            f"Use {row.name}: it {told}{listed([one.words() for one in reversed(against)])}.{more}",
        )  # fmt: skip
    if not admitted(bar.other.genome):
        return Verdict(
            "undecided", row.name,
            f"Use {row.name}, the best within the limit: it {told}{words.changed(bar.difference)} "
            f"against {named(bar.other.name)}, which is outside the limit {bar.sure()}.",
        )  # fmt: skip
    worse = bar.beyond_doubt and bar.difference < 0
    than = named(bar.other.name)
    than = f"as good as {than}" if worse else f"better than {than} beyond doubt"
    how = [f"{words.changed(bar.difference)} against it {bar.sure()}"]
    how += [one.words() for one in against[1:]]
    return Verdict(
        "worse" if worse else "undecided", bar.other.name,
        f"Nothing found is {than}, so use that: {row.name}, {what}, {told}{listed(how)}.",
    )  # fmt: skip


def _has(row: Finalist, words: Score) -> str:
    """What it does in the test."""
    if words.own:
        return f"has {words.reached(row.mean, 'test')}"
    return f"recognises {percent(row.mean)} of the test images"


def named(name: str) -> str:
    """A given pattern in a sentence."""
    return NAMES.get(name, f"the {name} pattern")


@dataclass(frozen=True)
class _Against:
    """The best found beside another pattern of the test."""

    row: Finalist
    other: Finalist
    difference: float
    p: float | None
    tested: int
    """Finalists, for whose number p is corrected."""
    score: Score

    @property
    def beyond_doubt(self) -> bool:
        return self.p is not None and self.p < DOUBT

    def words(self) -> str:
        what = named(self.other.name)
        if self.other.ahead is None and self.row.ahead is not None:
            what += ", the best reference"
        return f"{self.score.changed(self.difference)} against {what} {self.sure()}"

    def sure(self) -> str:
        """`(95 % interval +0.10 to +1.38, p = 0.020, 16 seeds, corrected for 3 finalists)`."""
        pairs = zip(self.row.accuracies, self.other.accuracies, strict=True)
        deltas = [a - b for a, b in pairs if a is not None and b is not None]
        if self.p is None:
            return f"({plural(len(deltas), 'seed')}, too few to speak of chance)"
        low, high = interval(deltas)
        ends = (low, high) if self.score.sign > 0 else (high, low)
        told = " to ".join(map(self.score.change, ends))
        within = f"95 % interval {told}, " if high - low < (inf if self.score.own else 2) else ""
        many = f", corrected for {plural(self.tested, 'finalist')}" if self.tested > 1 else ""
        return f"({within}{p_value(self.p)}, {plural(len(deltas), 'seed')}{many})"


def _front(rows: Sequence[Finalist], trials: Sequence[Trial], objectives: Sequence[str]) -> str:
    """How much of the trade-off the finalists dominate, and how much the given patterns."""
    import moocore

    others = {
        role_of(t) or f"trial {t.number}": t.values[1:]
        for t in trials
        if t.values and len(t.values) == len(objectives)
    }
    rows = [row for row in rows if row.name in others]
    own = np.array([row.name.startswith("trial") for row in rows])
    signs = np.array([1.0 if OBJECTIVES[name].maximise else -1.0 for name in objectives])
    seeds = [one for one in zip(*(row.accuracies for row in rows), strict=True) if None not in one]
    if own.all() or not own.any() or not seeds:
        return ""
    words = Score.of(objectives)
    values = signs * np.array(
        [
            [(words.sign * score, *others[r.name]) for score, r in zip(one, rows, strict=True)]
            for one in seeds
        ]
    )
    low, high = values.min((0, 1)), values.max((0, 1))
    if (low == high).any():
        return ""
    scaled = (values - low) / (high - low)

    def share(one: np.ndarray) -> float:
        return float(moocore.hypervolume(one, ref=0.0, maximise=True))

    found, given = (np.array([share(one[which]) for one in scaled]) for which in (own, ~own))
    p = paired_p(found - given)
    sure = f" ({p_value(p)}, {plural(len(seeds), 'seed')})" if p is not None else ""
    goals = listed([f"test {words.name}", *(OBJECTIVES[name].label for name in objectives[1:])])
    return (
        f" Over {goals} the finalists dominate {100 * found.mean():.1f} % of the space between the worst "
        f"and the best values (hypervolume), the given patterns {100 * given.mean():.1f} %{sure}."
    )

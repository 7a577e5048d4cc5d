"""What a report says in sentences, from its facts alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from nas.architecture.skeletons.families import read_skeleton
from nas.data.fitting import GUESSED
from studies.analysis.facts import Facts, Row
from studies.formatting import Score, duration, large, listed, p_value, percent, plural
from studies.search.objectives import OBJECTIVES
from studies.search.verdict import guess_of, task_of
from studies.store.names import trained_elsewhere
from studies.store.url import storage_words


def question(facts: Facts) -> str:
    """What was searched for, where and how."""
    settings = facts.settings
    space, data = settings["space"], settings["data"]
    layers = read_skeleton(space["skeleton"]).layers
    goals = listed([OBJECTIVES[name].label for name in settings["objectives"]])
    proxy = settings["proxy"]
    score = Score.of_study(settings)
    images = f"all training {score.examples}"
    if proxy["images"] is not None:
        images = f"{proxy['images']} {score.examples}"
    made = ""
    if settings.get("start"):
        made = ", starting from a given pattern"
    inherited = ""
    if "inherit" in settings:
        inherited = ", where a child starts from its first parent's trained weights"
    guess, chance = guess_of(facts.data, score), ""
    if guess is not None:
        chance = (
            f" {GUESSED[task_of(facts.data).labels].capitalize()} would give {score.show(guess)}."
        )
    return (
        f"Which of {layers} layers should be connected by skips, how, and how strongly? "
        f"The space {space['name']} has {large(facts.genomes)} patterns ({facts.genes} genes). "
        f"Strategy {settings['strategy']} searched it on {data['name']} for {goals}{made}, with seed "
        f"{settings['seed']}: {facts.cost.trials} evaluations, each a training of "
        f"{proxy['epochs']} epoch{'s' if proxy['epochs'] > 1 else ''} on {images}{inherited}.{chance}"
    )


def answer(facts: Facts) -> list[str]:
    """The verdict, and how it came about, with its doubts."""
    winner = facts.winner
    if winner is None or winner.accuracy is None:
        return [_nothing(facts)]
    return [facts.verdict.sentence, *_chosen(facts, winner), *_tested(facts, winner)]


def _chosen(facts: Facts, winner: Row) -> Iterator[str]:
    """How the search came to its best."""
    assert winner.accuracy is not None
    cost = facts.cost
    score = Score.of_study(facts.settings)
    most = "best" if score.own else "most accurate"
    found = f"Trial {winner.number} is the {most} of {plural(cost.candidates, 'candidate')}"
    again = ""
    if winner.again is not None:
        found = f"Trial {winner.number} is the best of {plural(cost.candidates, 'candidate')}"
        again = f" ({score.show(winner.again)} over fresh seeds)"
    if cost.trained < cost.candidates:
        found += f" ({cost.trained} of them trained to the end)"
    residual = next((row for row in facts.given if row.role == "residual"), None)
    beside = ""
    if residual and residual.accuracy is not None:
        rates = facts.settings["space"].get("learning_rates")
        at = f" (at {facts.settings['proxy']['learning_rate']:g})" if rates else ""
        beside = f", ResNet's pattern {score.show(residual.accuracy)}{at}"
    mean = next((one.mean for one in facts.tuned if one.name == f"trial {winner.number}"), None)
    tuned = (
        f" By the longer training it was the best finalist, with {score.show(mean)}."
        if mean
        else ""
    )
    does = f"it recognises {percent(winner.accuracy)} of the validation images"
    if score.own:
        does = f"it has {score.reached(winner.accuracy, 'validation')}"
    yield (
        f"{found}: by the short training of the search {does}{again}{beside}. The best of many is flattered by luck.{tuned}"
    )
    if "inherit" in facts.settings:
        yield (
            "Candidates inherited weights, so their scores hold the training of all their "
            "ancestors; the references were trained from scratch."
        )
    if facts.outside:
        yield (
            f"The limits of the search hold for its candidates; {listed(list(facts.outside))} "
            f"{'is' if len(facts.outside) == 1 else 'are'} outside them, and only a reference."
        )


def _nothing(facts: Facts) -> str:
    if facts.cost.statuses.get("unfinished") and not facts.cost.seconds:
        return "Nothing has been evaluated yet."
    if facts.cost.candidates == 0:
        return "No candidate has been evaluated yet, only the hand-made patterns."
    return (
        f"None of {plural(facts.cost.candidates, 'candidate')} could be trained to the end; "
        "the table of trials says why."
    )


def _tested(facts: Facts, winner: Row) -> Iterator[str]:
    finals, name = facts.finals, f"trial {winner.number}"
    if finals is None:
        return
    if not finals.rows:
        yield f"The test of the finalists is under way: {finals.done} of {finals.total} trainings."
        return
    best, score = finals.rows[0], Score.of_study(facts.settings)
    if name not in {row.name for row in finals.rows}:
        yield f"It was not among the finalists; {best.name} leads their table."
    elif best.name.startswith("trial") and best.name != name:
        yield (
            f"On the test {score.examples} {best.name} is ahead of it, with {score.show(best.mean)}; the "
            f"test {score.examples} choose nothing, or their word would be flattered by luck, too."
        )


def tiles(facts: Facts) -> list[tuple[str, str, str]]:
    """(figure, what it is, a note) for the page's head."""
    winner, cost, score = facts.winner, facts.cost, Score.of_study(facts.settings)
    found = []
    if winner and winner.accuracy is not None:
        note = f"trial {winner.number} of {cost.candidates} candidates"
        if winner.again is None:
            found.append((score.show(winner.accuracy), f"best validation {score.name}", note))
        else:
            what = f"validation {score.name} over fresh seeds"
            found.append((score.show(winner.again), what, note))
        rows = {row.name: row for row in facts.finals.rows} if facts.finals else {}
        row = rows.get(f"trial {winner.number}")
        if row and row.n:
            seeds = f"mean of {row.n} fresh seeds" if row.n > 1 else "one fresh seed"
            found.append((score.show(row.mean), f"its test {score.name}", seeds))
            if row.difference is not None:
                chance = (
                    f"{p_value(row.p)} (Holm)" if row.p is not None else "too few seeds for a test"
                )
                what = f"{score.changes} against ResNet's pattern, on test"
                found.append((score.change(row.difference), what, chance))
    given = len(facts.given)
    note = f"{given} of them given patterns" if given else ""
    found.append((str(cost.trials), "evaluations", note))
    found.append((duration(cost.seconds), "of training", "summed over all evaluations"))
    return found


def commands(facts: Facts) -> list[tuple[str, str]]:
    """(command, what it does)."""
    found = []
    if facts.command:
        found.append((facts.command, "searches again, in an empty storage; goes on in this one"))
        if "--evaluations" not in facts.command:
            more = f"{facts.command} --evaluations {2 * facts.cost.trials}"
            found.append((more, "the same study, longer"))
    report = ["nas", "report", facts.study, *storage_words(facts.storage)]
    found.append((shlex.join(report), "this page"))
    if facts.winner and facts.knockout is None and not trained_elsewhere(facts.settings):
        found.append((shlex.join([*report, "--knock-out"]), "with the worth of every skip"))
    return found

"""What a report says in sentences, from its facts alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from studies.analysis.facts import Facts, FinalRow
from studies.formatting import duration, large, listed, p_value, percent, points
from studies.search.objectives import OBJECTIVES

DOUBT = 0.05
"""p-values from here on are called not beyond doubt."""


def question(facts: Facts) -> str:
    """What was searched for, where and how."""
    settings = facts.settings
    space, data = settings["space"], settings["data"]
    layers = sum(stage["layers"] for stage in space["skeleton"]["stages"])
    goals = listed([OBJECTIVES[name].label for name in settings["objectives"]])
    proxy = settings["proxy"]
    images = "all training images" if proxy["images"] is None else f"{proxy['images']} images"
    made = ""
    if settings.get("start"):
        made = ", starting from a given pattern"
    inherited = ""
    if "inherit" in settings:
        inherited = ", where a child starts from its first parent's trained weights"
    return (
        f"Which of {layers} layers should be connected by skips, how, and how strongly? "
        f"The space {space['name']} has {large(facts.genomes)} patterns ({facts.genes} genes). "
        f"Strategy {settings['strategy']} searched it on {data['name']} for {goals}{made}, with seed "
        f"{settings['seed']}: {facts.cost.trials} evaluations, each a training of "
        f"{proxy['epochs']} epoch{'s' if proxy['epochs'] > 1 else ''} on {images}{inherited}."
    )


def answer(facts: Facts) -> list[str]:
    """The outcome in one to four sentences, with its doubts."""
    winner = facts.winner
    if winner is None or winner.accuracy is None:
        return [_nothing(facts)]
    cost = facts.cost
    found = f"Trial {winner.number} is the most accurate of {cost.candidates} candidates"
    again = ""
    if winner.again is not None:
        found = f"Trial {winner.number} is the best of {cost.candidates} candidates"
        again = f" ({percent(winner.again)} over fresh seeds, more than the other contenders)"
    if cost.trained < cost.candidates:
        found += f" ({cost.trained} of them trained to the end)"
    by_role = {row.role: row for row in facts.given}
    residual = by_role.get("residual")
    beside = ""
    if residual and residual.accuracy is not None:
        beside = f", the residual pattern (ResNet's) {percent(residual.accuracy)}"
    sentences = [
        f"{found}: by the short training of the search it recognises {percent(winner.accuracy)} "
        f"of the validation images{again}{beside}. The best of many is flattered by luck."
    ]
    if "inherit" in facts.settings:
        sentences.append(
            "Candidates inherited weights, so their accuracies hold the training of all their "
            "ancestors; the hand-made patterns were trained from scratch."
        )
    return sentences + list(_tested(facts, f"trial {winner.number}"))


def _nothing(facts: Facts) -> str:
    if facts.cost.statuses.get("unfinished") and not facts.cost.seconds:
        return "Nothing has been evaluated yet."
    if facts.cost.candidates == 0:
        return "No candidate has been evaluated yet, only the hand-made patterns."
    return (
        f"None of {facts.cost.candidates} candidates could be trained to the end; "
        "the table of trials says why."
    )


def _tested(facts: Facts, name: str) -> Iterator[str]:
    finals = facts.finals
    if finals is None or (not finals.rows and finals.done == 0):
        yield (
            "No finalists have been tested, so this is the word of the short training alone: "
            "nas search with --finalists 3 tests the best on images that the search has not seen."
        )
        return
    if not finals.rows:
        yield f"The test of the finalists is under way: {finals.done} of {finals.total} trainings."
        return
    rows = {row.name: row for row in finals.rows}
    row = rows.get(name)
    if row is None:
        yield f"It was not among the finalists; {finals.rows[0].name} leads their table."
        return
    yield from _verdict(row, rows.get("residual"))
    best = finals.rows[0]
    if best.name.startswith("trial") and best.name != name:
        yield f"On the test images {best.name} is ahead of it, with {percent(best.mean)}."


def _verdict(row: FinalRow, residual: FinalRow | None) -> Iterator[str]:
    if not row.n:
        yield "As a finalist it could not be trained."
        return
    text = f"Trained longer, from {row.n} fresh seed{'s' if row.n > 1 else ''}, it recognises "
    text += f"{percent(row.mean)} of the test images{_within(row)}"
    if residual is None or not residual.n or row.difference is None:
        yield f"{text}."
        return
    text += f", the residual pattern {percent(residual.mean)}{_within(residual)}: "
    text += f"a difference of {points(row.difference)} points"
    if row.p is None:
        yield f"{text}. One seed says nothing about chance."
        return
    yield f"{text} ({p_value(row.p)}, corrected for the number of finalists)."
    if row.p >= DOUBT:
        yield "The difference is not beyond doubt: chance alone gives such a one too often."
    elif row.difference > 0:
        close = ", if only just" if row.p > DOUBT / 2 else ""
        yield f"Chance alone is an unlikely explanation{close}."
    else:
        yield "It is worse than the residual pattern, beyond what chance explains."


def _within(row: FinalRow) -> str:
    if row.interval is None:
        return ""
    low, high = (f"{100 * end:.2f}" for end in row.interval)
    return f" (95 % interval {low} to {high})"


def tiles(facts: Facts) -> list[tuple[str, str, str]]:
    """(figure, what it is, a note) for the page's head."""
    winner, cost = facts.winner, facts.cost
    found = []
    if winner and winner.accuracy is not None:
        note = f"trial {winner.number} of {cost.candidates} candidates"
        if winner.again is None:
            found.append((percent(winner.accuracy), "best validation accuracy", note))
        else:
            found.append((percent(winner.again), "validation accuracy over fresh seeds", note))
        rows = {row.name: row for row in facts.finals.rows} if facts.finals else {}
        row = rows.get(f"trial {winner.number}")
        if row and row.n:
            seeds = f"mean of {row.n} fresh seeds" if row.n > 1 else "one fresh seed"
            found.append((percent(row.mean), "its test accuracy", seeds))
            if row.difference is not None:
                chance = f"{p_value(row.p)} (Holm)" if row.p is not None else "one seed: no test"
                found.append((points(row.difference), "points above residual, on test", chance))
    given = len(facts.given)
    note = f"{given} of them hand-made patterns" if given else ""
    found.append((str(cost.trials), "evaluations", note))
    found.append((duration(cost.seconds), "of training", "summed over all evaluations"))
    return found


def commands(facts: Facts) -> list[tuple[str, str]]:
    """(command, what it does)."""
    storage = [] if facts.storage == "sqlite:///nas.db" else ["--storage", facts.storage]
    found = []
    if facts.command:
        found.append((facts.command, "searches again, in an empty storage; goes on in this one"))
        if "--evaluations" not in facts.command:
            more = f"{facts.command} --evaluations {2 * facts.cost.trials}"
            found.append((more, "the same study, longer"))
    report = ["nas", "report", facts.study, *storage]
    found.append((shlex.join(report), "this page"))
    if facts.winner and facts.knockout is None:
        found.append((shlex.join([*report, "--knock-out"]), "with the worth of every skip"))
    return found

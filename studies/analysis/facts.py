"""All that a report says, as plain numbers from what a study recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from nas.architecture.genome import Genome
from nas.errors import InputError
from nas.files.settings import finite, from_mapping
from nas.statistics import FEWEST, interval, share_interval
from nas.strategies.problem import Limits
from studies.analysis.cost import Cost, cost_of
from studies.analysis.front import Front, front
from studies.analysis.habits import Habits, habits
from studies.analysis.health import health
from studies.analysis.importance import Importance, importance
from studies.analysis.lineage import Lineage, lineage
from studies.finals.finalists import Finalist, recorded_finalists, trained
from studies.finals.tuning import Tuned, recorded_tuning
from studies.foreign.told import known_from_elsewhere
from studies.formatting import Score
from studies.knockouts.recorded import Knockout, recorded_knockout
from studies.search.settings import recorded_space
from studies.search.verdict import Verdict, recorded_verdict
from studies.store.names import COMMAND, DATA, ENDED, FINALISTS, TABLE, VERSIONS
from studies.store.store import Store
from studies.store.trial import Trial, best_trials, candidates, role_of, status_of
from studies.transfer.run import Transfer, recorded_transfers
from studies.validity.facts import Validity
from studies.validity.study import recorded_validity

Interval = tuple[float, float] | None
"""95 % confidence interval; None for fewer than three values."""


@dataclass(frozen=True)
class Row:
    """One trial."""

    number: int
    role: str
    genome: Genome
    status: str
    """One of `studies.store.trial.STATUSES`."""
    why: str
    accuracy: float | None
    """Validation accuracy after the last epoch that was trained. Here and below, a score of the user's own
    stands in the place of accuracy, as its negative where it is to be minimised."""
    again: float | None
    """Mean over fresh seeds, where it was a contender."""
    params: int
    macs: int
    values: tuple[float, ...] | None
    """By objective."""
    parents: tuple[int, ...]
    seconds: float | None


@dataclass(frozen=True)
class FinalRow:
    """A finalist or a hand-made pattern over fresh seeds, on the test set."""

    name: str
    genome: Genome
    accuracies: tuple[float | None, ...]
    mean: float
    interval: Interval
    std: float | None
    n: int
    params: int
    macs: int
    difference: float | None
    """Mean of the paired differences to the residual pattern."""
    difference_interval: Interval
    """Of that difference alone, not corrected for the number of finalists."""
    p: float | None
    """Corrected for the number of finalists (Holm)."""
    ahead: float | None
    """The same difference to the best reference, where that is another."""
    ahead_p: float | None


@dataclass(frozen=True)
class Finals:
    rows: tuple[FinalRow, ...]
    """The most accurate first; empty while trainings are missing."""
    seeds: tuple[int, ...]
    epochs: int | None
    done: int
    """Trainings that have ended, of `total`."""
    total: int


@dataclass(frozen=True)
class Progress:
    """The best validation accuracy so far, wherever it grew, over the search's own candidates."""

    evaluations: tuple[int, ...]
    numbers: tuple[int, ...]
    accuracies: tuple[float, ...]
    seconds: tuple[float, ...]
    """Training seconds of all trials up to there, summed."""


@dataclass(frozen=True)
class Facts:
    study: str
    storage: str
    settings: dict[str, Any]
    versions: dict[str, str]
    command: str | None
    ended: str
    """Why the search ended before its budget, where it did."""
    genes: int
    genomes: int
    verdict: Verdict
    winner: Row | None
    """The search's best candidate by the proxy (`Trial.rank`)."""
    given: tuple[Row, ...]
    """The hand-made patterns (and what the search started from)."""
    outside: tuple[str, ...]
    """Names of those that are outside the search's limits."""
    data: dict[str, Any]
    """What was noted of the data (`nas.data.description`); empty in studies from before that."""
    tuned: tuple[Tuned, ...]
    """Finalists and references on validation images, the most accurate first."""
    finals: Finals | None
    progress: Progress
    front: Front | None
    habits: Habits | None
    importance: Importance
    lineage: Lineage
    knockout: Knockout | None
    transfers: tuple[Transfer, ...]
    """The winner in other settings (`studies.transfer`)."""
    validity: Validity | None
    """How far the proxy tells the best apart, from the contenders' trainings."""
    health: tuple[str, ...]
    """What may be wrong with the search (`studies.analysis.health`)."""
    elsewhere: tuple[str, ...]
    """What it knew from elsewhere: imported evaluations, other programs' trials."""
    cost: Cost
    trials: tuple[Row, ...]

    def as_json(self) -> dict[str, Any]:
        """As nested JSON values; numbers that are not finite are null.

        A score of the user's own has its own name and sign in the place of `accuracy`.
        """
        return Score.of(self.settings["objectives"]).named(finite(_told(self)))


def collect(store: Store, url: str) -> Facts:
    """Reads a study, and the ones of its finalists and knock-outs beside it.

    Raises:
        InputError: it is no search's study, has no trials, or needs a plugin that is not loaded.
    """
    settings, notes = store.searched(), store.notes()
    trials = store.ranked()
    if not trials:
        raise InputError(f"study {store.name!r} has no trials yet; `nas search` makes them")
    space = recorded_space(settings)
    found = candidates(trials, space)
    best = best_trials(trials, space, 1)
    winner = best[0] if best else None
    beside = store.beside(FINALISTS)
    rows = recorded_finalists(store, beside, space.skeleton)
    limits = from_mapping(Limits, settings["limits"], "the study's limits")
    data, objectives = notes.get(DATA) or {}, settings["objectives"]

    def admitted(genome: Genome) -> bool:
        return limits.admit(genome, space)

    knockout = recorded_knockout(store, winner, trials) if winner else None
    genes, validity = importance(trials, space), recorded_validity(store)
    return Facts(
        study=store.name,
        storage=url,
        settings=settings,
        versions=notes.get(VERSIONS, {}),
        command=notes.get(COMMAND),
        ended=notes.get(ENDED, {}).get("why", ""),
        genes=len(space.genes),
        genomes=space.distinct,
        verdict=recorded_verdict(settings, notes, space, trials, rows),
        winner=replace(_row(winner), genome=winner.best_genome) if winner else None,
        given=tuple(_row(t) for t in trials if role_of(t)),
        outside=tuple(role_of(t) for t in trials if role_of(t) and not admitted(t.genome)),
        data=data,
        tuned=tuple(recorded_tuning(notes)),
        finals=_finals(store, beside, rows),
        progress=_progress(trials, found),
        front=front(trials, space, objectives),
        habits=habits(trials, space),
        importance=genes,
        lineage=lineage(winner, trials, settings["strategy"]),
        knockout=knockout,
        transfers=tuple(recorded_transfers(store)),
        validity=validity,
        health=health(settings, trials, space, genes, validity),
        elsewhere=tuple(known_from_elsewhere(store)),
        cost=cost_of(store, beside, trials, space, knockout),
        trials=tuple(map(_row, trials)),
    )


def _row(trial: Trial) -> Row:
    attrs = trial.attrs
    scored = status_of(trial) in ("ok", "pruned", "diverged")
    return Row(
        trial.number, role_of(trial), trial.genome, status_of(trial), attrs.get("why", ""),
        attrs.get("accuracy") if scored else None, trial.again, attrs["params"], attrs["macs"],
        trial.values, tuple(attrs.get("parents") or ()), attrs.get("seconds"),
    )  # fmt: skip


def _progress(trials: Sequence[Trial], found: Sequence[Trial]) -> Progress:
    own = {t.number for t in found}
    steps: list[tuple[int, int, float, float]] = []
    seconds = 0.0
    for trial in trials:
        seconds += trial.attrs.get("seconds") or 0.0
        if trial.number not in own or not trial.ok:
            continue
        accuracy = trial.attrs["accuracy"]
        if not steps or accuracy > steps[-1][2]:
            steps.append((trial.number + 1, trial.number, accuracy, round(seconds, 3)))
    columns = zip(*steps, strict=True) if steps else ((), (), (), ())
    return Progress(*map(tuple, columns))


def _finals(store: Store, study: Store | None, rows: Sequence[Finalist]) -> Finals | None:
    note = store.notes().get(TABLE)
    if not note or study is None:
        return None
    reference = next((row for row in rows if row.name == "residual"), None)
    own = Score.of(store.settings["objectives"]).own
    made = []
    for row in sorted(rows, key=lambda row: -row.mean):
        pairs = zip(row.accuracies, reference.accuracies if reference else (), strict=False)
        deltas = [a - b for a, b in pairs if a is not None and b is not None]
        compared = row.difference is not None
        made.append(
            FinalRow(
                row.name, row.genome, row.accuracies, row.mean, _interval(row, own),
                row.std if len(row.scores) > 1 else None, len(row.scores), row.params, row.macs,
                row.difference, interval(deltas) if compared and len(deltas) >= FEWEST else None, row.p,
                row.ahead, row.ahead_p,
            )
        )  # fmt: skip
    epochs = study.settings.get("proxy", {}).get("epochs")
    return Finals(tuple(made), tuple(note["seeds"]), epochs, *trained(note, study))


def _interval(row: Finalist, own: bool) -> Interval:
    """Of a mean of shares, or of a score of the user's own."""
    if own:
        return interval(row.scores) if row.n >= FEWEST else None
    return share_interval(row.scores)


def _told(value: Any) -> Any:
    """Dataclasses as mappings, and a genome as its notation, which is also its field's name there."""
    if isinstance(value, Genome):
        return str(value)
    if isinstance(value, dict):
        return {key: _told(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_told(one) for one in value]
    if is_dataclass(value):
        found = ((field.name, getattr(value, field.name)) for field in fields(value))
        told = ((name, one) for name, one in found if not isinstance(one, Score))
        return {"notation" if isinstance(one, Genome) else name: _told(one) for name, one in told}
    return value

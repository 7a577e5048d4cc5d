"""What a study has cost."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from nas.architecture.space import SearchSpace
from studies.knockouts.recorded import Knockout
from studies.store.names import CONTENDERS, TUNING
from studies.store.store import Store
from studies.store.trial import Trial, role_of, status_of


@dataclass(frozen=True)
class Cost:
    """What was spent, as far as it was recorded."""

    trials: int
    statuses: dict[str, int]
    candidates: int
    """Finished, without the given patterns."""
    trained: int
    """Candidates that were trained to the end."""
    outside: int
    """Candidates outside the space."""
    duplicates: int | None
    """Candidates that the strategy drew although they were known, and that were not trained again;
    None where it was not recorded."""
    seconds: float
    """Training seconds of the search's trials, summed over processes."""
    share_of_training: float | None
    """Median share of a trial's time, from proposal to record, that its training took."""
    contenders_seconds: float
    tuning_seconds: float
    finalists_seconds: float
    knockout_seconds: float
    peak_bytes: int | None
    first: str | None
    """Dates (ISO 8601) of the first start and the last end."""
    last: str | None


def cost_of(
    store: Store,
    finals: Store | None,
    trials: Sequence[Trial],
    space: SearchSpace,
    knockout: Knockout | None,
) -> Cost:
    frozen = store.storage.get_all_trials(store.study_id, deepcopy=False)
    starts = [t.datetime_start for t in frozen if t.datetime_start]
    ends = [t.datetime_complete for t in frozen if t.datetime_complete]
    shares = [
        t.user_attrs["seconds"] / (t.datetime_complete - t.datetime_start).total_seconds()
        for t in frozen
        if t.user_attrs.get("seconds") and t.datetime_complete and t.datetime_start
    ]
    contenders, tuning, finalists = (
        beside.trials() if beside else []
        for beside in (store.beside(CONTENDERS), store.beside(TUNING), finals)
    )
    drawn = [t.attrs["duplicates"] for t in trials if "duplicates" in t.attrs]
    proposed = [t for t in trials if t.state.is_finished() and not role_of(t)]
    return Cost(
        trials=len(trials),
        statuses=dict(Counter(map(status_of, trials))),
        candidates=len(proposed),
        trained=sum(t.ok for t in proposed),
        outside=sum(t.genome not in space for t in proposed),
        duplicates=sum(drawn) if drawn else None,
        seconds=_seconds(trials),
        share_of_training=min(1.0, statistics.median(shares)) if shares else None,
        contenders_seconds=_seconds(contenders),
        tuning_seconds=_seconds(tuning),
        finalists_seconds=_seconds(finalists),
        knockout_seconds=knockout.seconds if knockout else 0.0,
        peak_bytes=max((t.attrs.get("peak_bytes") or 0 for t in trials), default=0) or None,
        first=min(starts).isoformat(timespec="seconds") if starts else None,
        last=max(ends).isoformat(timespec="seconds") if ends else None,
    )


def _seconds(trials: Sequence[Trial]) -> float:
    return round(sum(t.attrs.get("seconds") or 0.0 for t in trials), 3)

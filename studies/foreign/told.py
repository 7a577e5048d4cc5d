"""What a recorded search knew from elsewhere, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from studies.foreign.imported import imported_record
from studies.foreign.optuna_trials import ENQUEUED
from studies.formatting import plural
from studies.store.names import IMPORTED
from studies.store.store import Store


def known_from_elsewhere(store: Store) -> Iterator[str]:
    """Imported evaluations, patterns that were enqueued, and results that other programs told."""
    beside, record = store.beside(IMPORTED), imported_record(store.storage, store.name)
    if beside and record and store.settings.get("imported"):
        yield (
            f"The search began from {plural(len(beside.trials()), 'earlier evaluation')} imported "
            f"from {record['source']}: its strategy knew them, and they are none of its trials."
        )
    trials = store.trials()
    told = sum(len(trial.attrs.get("told") or ()) for trial in trials)
    if told:
        yield (
            f"Its strategy also knew {plural(told, 'result')} that another program told the study "
            "by Optuna's own calls; they are none of its trials."
        )
    enqueued = sum(trial.attrs.get("role", "").startswith(ENQUEUED) for trial in trials)
    if enqueued:
        yield f"{plural(enqueued, 'pattern')} among the given ones came from study.enqueue_trial."

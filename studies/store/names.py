"""Keys under which a study keeps what is noted with it, and names of studies."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, Any

from nas.errors import InputError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

SETTINGS = "nas:settings"
VERSIONS = "nas:versions"
COMMAND = "nas:command"
GOAL = "nas:goal"
ENDED = "nas:ended"
DATA = "nas:data"
"""Keys of what a search notes in its study: its settings, versions of packages, the command that repeats
it, how many evaluations and finalists it is to have, how it ended, and where its data lie and what is
known of them."""
CONTENDERS, TUNING, FINALISTS, KNOCKOUTS = "contenders", "tuning", "finalists", "knock-outs"
IMPORTED = "imported"
"""What studies beside a search hold."""
MEANS = "nas:contenders"
"""Key of the note of the contenders' means and seeds, by number."""
TUNED = "nas:tuned"
"""Key of the note of the last tuning: name, pattern at its best rate, mean and deviation of each."""
TRANSFERS = "nas:transfers"
"""Key of the note of the settings to which the winner was transferred, by their labels."""
TABLE = "nas:finalists"
"""Key of the note of the last finalists' table: names, patterns and seeds, and the best reference."""
GOAL_OF_TRIAL, LOSS = "goal", "loss"
"""Key of what a trial's search ranks by where that is not accuracy, and its one value."""
MARK = "notation"
"""An attribute that all trials of this program have, and none of another program's."""
EVALUATE = "nas:evaluate"
"""Key of the note of where the file of a search's own training lies, with its function."""
HEEDS_PART = "heeds_part"
"""Key of whether the own training of a trial asked for the part of the data to be scored on."""
OWN_LOOP = "own loop"
"""Type of the device of a study whose candidates a loop of the user's own evaluates."""
JUDGED = "pruner"
"""Key of what a pruner keeps with a trial."""
COLUMNS = frozenset({
    "number", "state", "notation", "parents", "duplicates", "strategy", "params", "macs", "seed",
    "role", "status", "accuracy", "accuracies", "losses", "scored_losses", "gradient_norm_first",
    "gradient_norm_last", "seconds", "peak_bytes", "latency_1", "latency_full", "why",
    "inherited_from", "inherited_tensors", "inherited_share", "screen_score", "screen_rejected",
    "goal", "told", HEEDS_PART,
})  # fmt: skip
"""What `nas report --format csv` writes of a trial, beside genes and objectives."""
RECORDED = ("space", "proxy", "data", "strategy", "objectives", "seed", "lag", "limits", "device")
"""What the record of a search has at least."""


def own_score(objective: str) -> tuple[str, float] | None:
    """Name of a score of the user's own, and 1 where it is maximised, else -1; None for ours.

    Such an objective is `max:f1` or `min:perplexity`.
    """
    way, _, name = objective.partition(":")
    return (name, {"max": 1.0, "min": -1.0}[way]) if name and way in ("max", "min") else None


def worst_score(record: Mapping[str, Any]) -> float:
    """Of a candidate of a study whose trainings have no score, where larger is better."""
    return -inf if own_score(record["objectives"][0]) else 0.0


def trained_elsewhere(record: Mapping[str, Any]) -> str:
    """What trained the candidates of a search, where that was not this program's own training; or nothing."""
    own = record.get("evaluate")
    if own:
        return f"{own['file']}:{own['function']}"
    return "an own loop" if record.get("device", {}).get("type") == OWN_LOOP else ""


def check_trained_here(record: Mapping[str, Any], study: str, what: str) -> None:
    """Raises InputError where something else than this program's training trained the candidates.

    Args:
        record: the study's settings.
        what: goes with that training alone, such as `nas transfer`.
    """
    if by := trained_elsewhere(record):
        raise InputError(
            f"study {study!r} was trained by {by}; {what} goes with this program's own training"
        )


def labelled(what: str, label: str) -> str:
    """A key, or what a study beside holds, of a transfer; of the search itself without a label."""
    return f"{what}:{label}" if label else what


def beside_name(study: str, what: str) -> str:
    """The name of the study of a study's contenders, tuning, finalists or knock-outs."""
    return f"{study}-{what}"


def beside_names(storage: BaseStorage, study: str) -> dict[str, str]:
    """Names of the studies beside a search that are there, by what they hold."""
    found = {}
    for one in storage.get_all_studies():
        record = one.user_attrs.get(SETTINGS)
        for key, value in record.items() if isinstance(record, dict) else ():
            what = key.removesuffix("_of")
            if value == study and what != key and one.study_name == beside_name(study, what):
                found[what] = one.study_name
    return found


def is_beside(record: object) -> bool:
    """Whether settings are those of a study beside a search."""
    return isinstance(record, dict) and any(key.endswith("_of") for key in record)


def search_names(storage: BaseStorage) -> list[str]:
    """Names of the studies that are searches' own, the oldest first."""
    studies = sorted(storage.get_all_studies(), key=lambda study: study._study_id)
    settings = {study.study_name: study.user_attrs.get(SETTINGS) for study in studies}
    return [name for name, one in settings.items() if isinstance(one, dict) and "strategy" in one]


def study_names(storage: BaseStorage) -> list[str]:
    return [study.study_name for study in storage.get_all_studies()]


def is_found(name: str) -> bool:
    """Whether a row of finalists is what a search found, and no reference."""
    return name == "winner" or name.startswith("trial")

"""A study as a pandas table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studies.storages import existing_storage
from studies.store import Store

if TYPE_CHECKING:
    import pandas as pd


def load(study: str, storage: str = "sqlite:///nas.db") -> pd.DataFrame:
    """A row a trial by number: state, attributes (accuracy, params, macs, seconds, …), genes.

    Objectives that are no attributes, such as gradient-ratio, have columns too. Genes are columns of
    their own names, such as `l4.d1`, and empty for patterns outside the space.

    Raises:
        InputError: no such study (with the names there are), or a storage that cannot be read.
    """
    return frame_of(Store.load(existing_storage(storage), study))


def frame_of(store: Store) -> pd.DataFrame:
    """The same for an open study."""
    import pandas as pd

    objectives = store.settings.get("objectives", [])
    rows = []
    for trial in store.trials():
        values = dict(zip(objectives, trial.values or (), strict=False))
        named = {"number": trial.number, "state": trial.state.name.lower()}
        rows.append({**values, **named, **trial.attrs, **trial.genes})
    frame = pd.DataFrame(rows)
    if not rows:
        return frame
    first = ["state", *(name for name in objectives if name in frame)]
    frame = frame.set_index("number")
    return frame[[*first, *(name for name in frame if name not in first)]]

"""A study as a pandas table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from studies.formatting import Score
from studies.store.names import JUDGED, own_score
from studies.store.storages import existing_storage
from studies.store.store import Store
from studies.store.url import STORAGE

if TYPE_CHECKING:
    import pandas as pd


OURS = ("accuracy", "accuracies", "scores")
"""Attributes that say of scores of the user's own what their columns say."""


def load(study: str, storage: str = STORAGE, plugins: Sequence[str | Path] = ()) -> pd.DataFrame:
    """A row a trial by number: state, attributes (accuracy, params, macs, seconds, …), genes.

    Scores of the user's own have columns of their own names, in the place of accuracy.

    Objectives that are no attributes, such as gradient-ratio, have columns too. Genes are columns of
    their own names, such as `l4.d1`, and empty for patterns outside the space. The merge of a layer
    without skips says nothing.

    Args:
        plugins: files with the merges of the study's own.

    Raises:
        InputError: no such study (with the names there are), or a storage that cannot be read.
    """
    from search_spaces import load_plugins

    load_plugins(plugins)
    store = Store.load(existing_storage(storage), study)
    if "strategy" in store.settings:
        store.searched()
    return frame_of(store)


def frame_of(store: Store) -> pd.DataFrame:
    """The same for an open study."""
    import pandas as pd

    asked = store.settings.get("objectives", [])
    objectives = [(own_score(name) or (name,))[0] for name in asked]
    own = Score.of(asked).own
    left_out = {JUDGED, *(OURS if own else ())}
    rows = []
    for trial in store.trials():
        values = dict(trial.attrs.get("scores", {})) if own else {}
        values |= zip(objectives, trial.values or (), strict=False)
        named = {"number": trial.number, "state": trial.state.name.lower()}
        attrs = {name: value for name, value in trial.attrs.items() if name not in left_out}
        rows.append({**values, **named, **attrs, **trial.genes})
    frame = pd.DataFrame(rows)
    if not rows:
        return frame
    first = ["state", *(name for name in objectives if name in frame)]
    frame = frame.set_index("number")
    return frame[[*first, *(name for name in frame if name not in first)]]

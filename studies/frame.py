"""A study as a pandas table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studies.store import Store, open_storage

if TYPE_CHECKING:
    import pandas as pd


def load(study: str, storage: str = "sqlite:///nas.db") -> pd.DataFrame:
    """A row a trial by number: state, attributes (accuracy, params, macs, seconds, …), genes.

    Genes are columns of their own names, such as `l4.d1`, and empty for patterns outside the space.

    Raises:
        InputError: no such study (with the names there are), or a storage that cannot be read.
    """
    import pandas as pd

    trials = Store.load(open_storage(storage), study).trials()
    rows = [
        {"number": t.number, "state": t.state.name.lower(), **t.attrs, **t.genes} for t in trials
    ]
    frame = pd.DataFrame(rows)
    return frame.set_index("number") if rows else frame

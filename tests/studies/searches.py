"""Small searches that several files of tests run, and what is compared of them."""

import sys

from studies.search.request import SearchRequest
from studies.store.storages import open_storage
from studies.store.store import Store

MEASURED = {"seconds", "peak_bytes"}


def trials_of(storage, name=None):
    """All that a study's trials say, less the measurements of time and memory."""
    opened = open_storage(storage)
    name = name or min(s.study_name for s in opened.get_all_studies())
    trials = Store.load(opened, name).trials()
    return [
        (
            t.number, str(t.genome), t.state.name, t.values, dict(t.curve),
            {k: v for k, v in t.attrs.items() if k not in MEASURED},
        )
        for t in trials
    ]  # fmt: skip


def request(small_toml, storage, **more):
    values = {"evaluations": 24, "contenders": 0, "finalists": 0, "population": 6, "workers": 1}
    return SearchRequest(
        space=str(small_toml), storage=storage, **{"device": "cpu", **values, **more}
    )


def command(small_toml, storage, *more):
    return [
        sys.executable, "-c", "from studies.cli import main; main()", "search",
        "--space", str(small_toml), "--storage", storage, "--evaluations", "24",
        "--population", "6", "--finalists", "0", "--device", "cpu", "--json", *more,
    ]  # fmt: skip

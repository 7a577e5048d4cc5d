"""Searches recorded in Optuna storages.

`studies.load(name)` is a study as a pandas table, `studies.open_study(name)` one that shows itself.
`studies.nas_search(space)` searches, and `studies.AskTell(space)` is a search whose candidates a loop of the
user's own evaluates.
"""

from importlib import import_module

_LAZY = {
    "load": "studies.notebook.frame",
    "Study": "studies.notebook.study",
    "open_study": "studies.notebook.study",
    "nas_search": "studies.notebook.search",
    "AskTell": "studies.notebook.ask_tell",
}


def __dir__() -> list[str]:
    return [*_LAZY]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'studies' has no attribute {name!r}")

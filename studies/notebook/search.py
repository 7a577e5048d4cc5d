"""`nas search` from Python."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from nas.architecture.space import SearchSpace
from nas.errors import InputError, unknown
from studies.notebook.study import Study, open_study
from studies.search.request import SearchRequest
from studies.search.run import Watcher, run_search
from studies.store.storages import quiet


def nas_search(
    space: str | SearchSpace = "digits27",
    *,
    evaluate: str | Callable[..., Any] | None = None,
    watcher: Watcher | None = None,
    **options: Any,
) -> Study:
    """Searches, or goes on with a search, as `nas search` does.

    Args:
        space: a name, a TOML file, or a space itself.
        evaluate: a training of one's own (`nas.Training`), as FILE.py:FUNCTION or the function itself.
        watcher: is told how the search comes on; nothing is printed by itself.
        options: those of the command, with underscores (`evaluations=60, strategy="tpe"`).

    Returns:
        The study as it is then.

    Raises:
        InputError: something that was asked for is wrong; nothing is recorded then.
    """
    known = [option.name for option in fields(SearchRequest)]
    for name in options:
        if name not in known:
            raise unknown("option", name, known, place="nas_search")
    if callable(evaluate):
        evaluate = _place_of(evaluate)
    request = SearchRequest(space=space, evaluate=evaluate, **options)
    with quiet():
        result = run_search(request, watcher)
    return open_study(result.study, request.storage)


def _place_of(function: Callable[..., Any]) -> str:
    """FILE.py:FUNCTION, from which worker processes load a function.

    Raises:
        InputError: it is not at the top of a file.
    """
    name = getattr(function, "__qualname__", type(function).__name__)
    try:
        file = inspect.getsourcefile(function)
    except TypeError:  # no function of Python's
        file = None
    if file is None or not Path(file).is_file() or not name.isidentifier():
        raise InputError(
            f"evaluate={name}: it has to be a function at the top of a .py file, from which worker "
            "processes load it"
        )
    return f"{file}:{name}"

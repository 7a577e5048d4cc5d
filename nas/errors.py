"""The one error class for what a user gave, and how values and names are told in its one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn, TypeVar

Returned = TypeVar("Returned")
SHOWN = 120
"""Characters of a value in a message."""
NAMES = 50
"""Names in a message."""
PLUGGED = ("merge", "block", "stem", "data", "space", "strategy", "score")
"""Kinds of names that a user's own file may add."""
OURS = ("nas", "search_spaces", "baselines", "studies")


class InputError(ValueError):
    """Something a user gave is wrong; the message names the value, the place and what is allowed."""


def brief(value: object) -> str:
    """A value as Python writes it, which is one line, cut where it is long."""
    try:
        text = repr(value[: 4 * SHOWN] if isinstance(value, str | list | tuple) else value)
    except ValueError:  # whole numbers of more than 4,300 digits
        text = f"a {type(value).__name__} of many digits"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def one_line(text: str) -> str:
    """Text without line breaks, and without characters that a terminal would obey."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.splitlines()))


def unknown(kind: str, value: object, allowed: Iterable[str], place: str = "") -> InputError:
    """An error for a name that is not in a table: the nearest names first, then all of them."""
    names = sorted(allowed)
    near = get_close_matches(str(value)[:SHOWN], names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    where = f"{place}: " if place else ""
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    listed = ", ".join(map(one_line, names[:NAMES]))
    own = "; is it of a plugin? name its file with --plugin" if kind in PLUGGED else ""
    return InputError(
        f"{where}unknown {kind} {brief(str(value))}: {hint}allowed: {listed}{more}{own}"
    )


def own_name(thing: Any) -> str | None:
    """`Blend.forward in my_merges.py`, for a function or an object of a user's own; None for ours."""
    thing = getattr(thing, "func", thing)  # of a partial
    kind = thing if hasattr(thing, "__qualname__") else type(thing)
    if kind.__module__.partition(".")[0] in OURS:
        return None
    codes = (
        getattr(one, "__code__", None) for one in (kind, *getattr(kind, "__dict__", {}).values())
    )
    file = next((Path(code.co_filename).name for code in codes if code), None)
    return f"{kind.__qualname__} in {file}" if file else kind.__qualname__


def called(
    what: str,
    function: Callable[..., Returned],
    *arguments: Any,
    but: tuple[type[Exception], ...] = (),
) -> Returned:
    """What a function returns that may be a user's own, and whose errors are one line then.

    Args:
        what: it is, such as `merge 'blend'`.
        but: exceptions that it may raise.

    Raises:
        InputError: a function of the user's own raised something else; full memory stays as it is.
    """
    try:
        return function(*arguments)
    except Exception as error:
        name = own_name(function)
        passing = isinstance(error, (InputError, MemoryError, *but)) or "memory" in str(error)
        if name is None or passing:
            raise
        said = one_line(f"{type(error).__name__}: {error}")
        raise InputError(f"{what} ({name}) raised {said}") from error


def refuse(what: str, function: Any, value: Any, expected: str) -> NoReturn:
    """Raises InputError for what a user's own function returned."""
    dtype, told = getattr(value, "dtype", None), brief(value)
    if dtype is not None:
        told = f"a {type(value).__name__} of shape {tuple(value.shape)} and {dtype}"
    wrong(what, function, f"returned {told}; {expected} is expected")


def wrong(what: str, function: Any, said: str) -> NoReturn:
    """Raises InputError that names a user's own function."""
    raise InputError(f"{what} ({own_name(function)}) {said}")

"""The one error class for what a user gave, and how values and names are told in its one line."""

from collections.abc import Iterable
from difflib import get_close_matches

SHOWN = 120
"""Characters of a value in a message."""
NAMES = 50
"""Names in a message."""


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
    return InputError(f"{where}unknown {kind} {brief(str(value))}: {hint}allowed: {listed}{more}")

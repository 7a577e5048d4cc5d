"""The one error class for what a user gave, and the sentence for an unknown name."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Something a user gave is wrong; the message names the value, the place and what is allowed."""


def unknown(kind: str, value: object, allowed: Iterable[str], place: str = "") -> InputError:
    """An error for a name that is not in a table: the nearest names first, then all of them."""
    names = sorted(allowed)
    near = get_close_matches(str(value), names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    where = f"{place}: " if place else ""
    return InputError(f"{where}unknown {kind} {str(value)!r}: {hint}allowed: {', '.join(names)}")

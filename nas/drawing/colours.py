"""What colour a layer is drawn in: its merge's."""

from __future__ import annotations

from nas.architecture.merges import MERGES

PLAIN = "#ffffff"
"""Of a layer without skips."""


def colour_of(merge: str | None, ink: str) -> str:
    """The colour of a layer with this merge.

    Args:
        merge: its name; None for a layer without skips.
        ink: the colour of text in this drawing, for a merge that has no colour of its own.
    """
    return PLAIN if merge is None else MERGES[merge].colour or ink

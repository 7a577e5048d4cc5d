"""A colour for each merge."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


COLOURS = {
    "add": "#4477aa",
    "scale": "#66ccee",
    "channel": "#228833",
    "attention": "#ccbb44",
    "se": "#ee6677",
    "gate": "#aa3377",
    "dense": "#bbbbbb",
    "concat": "#ee8866",
}
"""Paul Tol's colour-blind safe palette; merges of plugins are black."""


PLAIN = "#ffffff"

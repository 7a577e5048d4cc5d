"""Scores of the user's own: which there are, which way each is better, and what may be told as one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from typing import Any, TypeVar

from nas.errors import InputError, brief, one_line, unknown

Function = TypeVar("Function", bound=Callable[..., Any])
WAYS = ("max", "min")
"""What a score is to be."""
SCORE = "score"
"""Name of the one score of a function that names none; larger is better."""


def returns(**scores: str) -> Callable[[Function], Function]:
    """Says which scores a training returns, and whether each is to be `max` or `min`; the first one ranks.

    A function that returns one number, of which more is better, needs none of this.

    Raises:
        InputError: no score, or another word than max and min.
    """
    if not scores:
        raise InputError('returns(): name the scores, as in @returns(f1="max")')
    for name, way in scores.items():
        if way not in WAYS:
            raise unknown("way", way, WAYS, place=f"returns({name}=…)")

    def named(function: Function) -> Function:
        function.scores = dict(scores)  # type: ignore[attr-defined]
        return function

    return named


@dataclass(frozen=True)
class Scores:
    """Scores of the user's own, which have to be finite numbers."""

    ways: Mapping[str, str]
    """Whether each is to be max or min, by name; the first one ranks."""

    @property
    def first(self) -> str:
        return next(iter(self.ways))

    @property
    def sign(self) -> float:
        """By which the first is multiplied where larger has to be better."""
        return 1.0 if self.ways[self.first] == "max" else -1.0

    def all(self, told: Any, what: str) -> dict[str, float]:
        """Every score of what was told, by name.

        Args:
            what: begins an error, such as `trial 3 was told`.

        Raises:
            InputError: it is not a finite number, or not all of the scores by their names.
        """
        if len(self.ways) == 1 and not isinstance(told, Mapping):
            return {self.first: self.one(told, what)}
        names = ", ".join(self.ways)
        if not isinstance(told, Mapping):
            raise InputError(f"{what} {brief(told)}; a dict of {names} is expected")
        if set(told) != set(self.ways):
            given = ", ".join(one_line(str(name)) for name in told) or "nothing"
            hint = '; @returns(NAME="max") names others' if list(self.ways) == [SCORE] else ""
            raise InputError(f"{what} a dict of {given}; {names} is expected{hint}")
        return {name: number(told[name], f"{what} as {name}") for name in self.ways}

    def one(self, told: Any, what: str) -> float:
        """The first score, of it alone or of some by name."""
        if isinstance(told, Mapping):
            if self.first not in told:
                raise InputError(f"{what} {brief(dict(told))}, without {self.first}")
            told = told[self.first]
        return number(told, what)


def number(value: Any, what: str) -> float:
    """A finite number of Python's, of NumPy's, or of a tensor.

    Raises:
        InputError: anything else.
    """
    item = getattr(value, "item", None)
    with contextlib.suppress(Exception):
        value = item() if item else value
    if not isinstance(value, Real):
        raise InputError(f"{what} {brief(value)}; a number is expected")
    if not isfinite(value):
        raise InputError(f"{what} {value}; a finite number is expected")
    return float(value)

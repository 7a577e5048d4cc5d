"""Numbers as expressions: `4 * width`, which is right for every layer of one network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

Column = tuple[int, ...]
"""A number in each place where a class is used."""
VARIABLES = {
    "inputs": "int",
    "width": "int",
    "channels": "int",
    "stride": "int",
    "factor": "int",
    "sides": "tuple[int, int]",
    "skips": "int",
}
"""What a layer's numbers may depend on and its type, in the order of a constructor's arguments."""
LARGEST = 64
"""Factor or divisor."""
WORD = re.compile(r"\b[a-z]+\b(?!=)")
"""A variable, and no keyword of a call's argument."""


def formula(values: Column, variables: Mapping[str, Column], size: bool) -> str | None:
    """An expression of the variables that has these values in all places; None where there is none.

    Args:
        variables: by name, in the order of preference.
        size: whether it counts channels, which are written with a variable where one fits.
    """
    constant = str(values[0]) if len(set(values)) == 1 else None
    if constant and (not size or constant == "1"):
        return constant
    found = next(_linear(values, variables), None)
    return found or constant or next(_others(values, variables), None)


def _linear(values: Column, variables: Mapping[str, Column]) -> Iterator[str]:
    """`width`, `4 * width`, `width // 4`, `(1 + skips) * width`."""
    for name, column in variables.items():
        if values == column:
            yield name
    for name, column in variables.items():
        for factor in range(2, LARGEST + 1):
            if all(value == factor * one for value, one in zip(values, column, strict=True)):
                yield f"{factor} * {name}"
            if all(factor * value == one for value, one in zip(values, column, strict=True)):
                yield f"{name} // {factor}"
        if "skips" in variables and name != "skips":
            pairs = zip(column, variables["skips"], strict=True)
            if values == tuple((1 + skips) * one for one, skips in pairs):
                yield f"(1 + skips) * {name}"


def _others(values: Column, variables: Mapping[str, Column]) -> Iterator[str]:
    """`max(1, width // 16)`, or a table by one variable."""
    for name, column in variables.items():
        for divisor in range(2, LARGEST + 1):
            if values == tuple(max(1, one // divisor) for one in column):
                yield f"max(1, {name} // {divisor})"
    for name, column in variables.items():
        table = dict(zip(column, values, strict=True))
        if values == tuple(table[one] for one in column):
            yield f"{table}[{name}]"


def used(expressions: Iterable[str]) -> tuple[str, ...]:
    """The variables in arguments of calls, in the order of a constructor's arguments."""
    words = {word for text in expressions for word in WORD.findall(text)}
    return tuple(name for name in VARIABLES if name in words)


def renamed(expression: str, names: Mapping[str, str]) -> str:
    """An argument of a call with other names for its variables."""
    return WORD.sub(lambda word: names.get(word[0], word[0]), expression)

"""Settings from files: dataclasses from plain mappings, checked strictly, with one-line errors."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from nas.errors import InputError, brief, unknown
from nas.files.safe import read_limited

T = TypeVar("T")
TOML_BYTES = 1 << 20
"""Of the longest TOML file that is read."""


def read_toml(path: str | Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        InputError: not readable, or not TOML (with line and column).
    """
    content = read_limited(Path(path), TOML_BYTES)
    try:
        return tomllib.loads(content.decode())
    except ValueError as error:  # no UTF-8, no TOML, or a number of more than 4,300 digits
        raise InputError(f"{path}: {error}") from None
    except RecursionError:
        raise InputError(f"{path}: arrays or tables are nested too deeply") from None


def check_keys(
    given: Mapping[str, Any], allowed: Mapping[str, Any] | list[str], place: str
) -> None:
    """Raises InputError, with the nearest names, for a key that is not allowed."""
    for key in given:
        if key not in allowed:
            raise unknown("key", key, allowed, place=place)


def from_mapping(kind: type[T], values: Mapping[str, Any], place: str) -> T:
    """A settings dataclass from a mapping; lists become tuples, tables become nested dataclasses.

    Raises:
        InputError: an unknown key, a value of the wrong type, or a value that the class refuses.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{place}: a table is needed, not {brief(values)}")
    check_keys(values, [field.name for field in fields(kind)], place)  # type: ignore[arg-type]
    try:
        return TypeAdapter(kind).validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        errors = error.errors()
        first = next((e for e in errors if e["type"] == "unexpected_keyword_argument"), errors[0])
        where = ".".join(map(str, first["loc"]))
        if first["type"] == "value_error":  # raised by the class itself
            raise InputError(f"{place}: {first['ctx']['error']}") from None
        given = "" if first["type"] == "missing" else f" (given: {brief(first['input'])})"
        raise InputError(f"{place}: {where}: {first['msg'].lower()}{given}") from None


def differences(recorded: Any, asked: Any, path: str = "") -> Iterator[str]:
    """Where two nested settings differ, as `proxy.epochs is 4, not 3`."""
    if isinstance(recorded, dict) and isinstance(asked, dict):
        for key in {*recorded, *asked}:
            inner = f"{path}.{key}" if path else key
            yield from differences(recorded.get(key), asked.get(key), inner)
    elif recorded != asked:
        yield f"{path} is {json.dumps(recorded)}, not {json.dumps(asked)}"


def finite(value: Any) -> Any:
    """JSON values with null for what JSON has no number for."""
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

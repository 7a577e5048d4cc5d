"""Study definitions: TOML files with options of `nas search`; some come with this package."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nas.errors import InputError, brief, unknown
from nas.files.settings import read_toml
from search_spaces import SPACES

HERE = Path(__file__).parents[1] / "definitions"
PATHS = ("space", "data", "plugin")
"""Options that may name a file, which is looked for beside the definition first."""


def find_definition(name: str) -> Path:
    """The file of a path, or of a name that comes with this package.

    Raises:
        InputError: neither.
    """
    path = Path(name)
    if path.suffix == ".toml":
        return path
    names = sorted(found.stem for found in HERE.glob("*.toml"))
    if name not in names:
        raise unknown("study definition", name, names, place="--config (or a .toml file)")
    return HERE / f"{name}.toml"


def read_definition(path: Path) -> dict[str, Any]:
    """The options that a definition gives.

    Raises:
        InputError: not readable, not TOML, or a character that no name of a file can have.
    """
    given = read_toml(path)
    for key, value in given.items():
        if any("\0" in str(one) for one in (value if isinstance(value, list) else [value])):
            raise InputError(f"{path}: {brief(key)} has the character NUL")
    return {key: _beside(path, value) if key in PATHS else value for key, value in given.items()}


def _beside(path: Path, value: Any) -> Any:
    from nas.data.load import SOURCES

    if isinstance(value, list):
        return [_beside(path, one) for one in value]
    if not isinstance(value, str) or value in SPACES or value in SOURCES:
        return value
    found = path.parent / value
    return str(found) if os.path.exists(found) else value

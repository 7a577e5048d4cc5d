"""Study definitions: TOML files with options of `nas search`; some come with this package."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from nas.errors import InputError, brief, unknown
from studies.cli.names import DEFINITIONS, definition_names
from studies.cli.options import Bytes, Count

PATHS = ("space", "data", "data_dir", "plugin", "evaluate")
"""Options that may name a file or folder, which is looked for beside the definition first."""


def find_definition(name: str) -> Path:
    """The file of a path, or of a name that comes with this package.

    Raises:
        InputError: neither.
    """
    path = Path(name)
    if path.suffix == ".toml":
        return path
    if name not in definition_names():
        place = "--config (or a .toml file)"
        raise unknown("study definition", name, definition_names(), place=place)
    return DEFINITIONS / f"{name}.toml"


def read_definition(path: Path) -> dict[str, Any]:
    """The options that a definition gives.

    Raises:
        InputError: not readable, not TOML, or a character that no name of a file can have.
    """
    from nas.files.settings import read_toml

    given = read_toml(path)
    for key, value in given.items():
        if any("\0" in str(one) for one in (value if isinstance(value, list) else [value])):
            raise InputError(f"{path}: {brief(key)} has the character NUL")
    return {key: _beside(path, value) if key in PATHS else value for key, value in given.items()}


def _beside(path: Path, value: Any) -> Any:
    from nas.data.load import SOURCES
    from search_spaces import SPACES

    if isinstance(value, list):
        return [_beside(path, one) for one in value]
    if not isinstance(value, str) or value in SPACES or value in SOURCES:
        return value
    found, file = path.parent / value, value.partition(".py:")[0]
    there = os.path.exists(found) or (file != value and os.path.exists(path.parent / f"{file}.py"))
    return str(found) if there else value


def read_config(context: click.Context, _: click.Parameter, name: str | None) -> Path | None:
    """Makes the values of a TOML file the defaults of the command's options."""
    if name is None:
        return None
    from nas.files.settings import check_keys

    path = find_definition(name)
    given = read_definition(path)
    options = {_key(p): p for p in context.command.params if p.name != "config"}
    check_keys(given, list(options), str(path))
    values = {options[key].name: _checked(path, options[key], v) for key, v in given.items()}
    context.default_map = {**(context.default_map or {}), **values}
    return path


def _key(option: click.Parameter) -> str:
    """An option's name in files: `--max-params` is max_params."""
    long = next((o for o in option.opts if o.startswith("--")), option.opts[0])
    return long.removeprefix("--").replace("-", "_")


def _checked(path: Path, option: click.Parameter, value: Any) -> Any:
    """A value from a file, as strictly typed as TOML has it."""
    kinds: dict[type, tuple[type, ...]] = {
        click.types.IntParamType: (int,),
        click.types.FloatParamType: (int, float),
        click.types.BoolParamType: (bool,),
        Count: (int, str),
        Bytes: (int, str),
    }
    allowed = kinds.get(type(option.type), (str,))
    if option.name == "plugins" and isinstance(value, str):
        return [value]
    if option.name in ("objectives", "plugins") and isinstance(value, list):
        return ",".join(map(str, value)) if option.name == "objectives" else value
    if type(value) not in allowed:
        names = " or ".join(
            {int: "whole number", float: "number", bool: "true or false", str: "string"}[k]
            for k in allowed
        )
        raise InputError(f"{path}: {_key(option)} must be a {names}, not {brief(value)}")
    return value

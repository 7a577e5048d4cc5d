"""A user's own search space in a TOML file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from nas.architecture.layers import Source
from nas.architecture.skeletons.convolutional import Skeleton, Stage
from nas.architecture.space import SearchSpace
from nas.errors import InputError, brief, unknown
from nas.files.settings import check_keys, from_mapping, read_toml
from nas.proxy import Proxy


@dataclass(frozen=True)
class Choices:
    """The `[space]` table."""

    distances: tuple[int, ...]
    merges: tuple[str, ...]
    strengths: tuple[float, ...]
    always: bool = False
    period: int | None = None
    learning_rates: tuple[float, ...] = ()
    sources: tuple[Source, ...] = ()


def load_space(path: str | Path, spaces: dict[str, SearchSpace]) -> SearchSpace:
    """The space that a TOML file describes; its name is the file's.

    Tables `[skeleton]`, `[space]` (distances, merges, strengths, always, period,
    learning_rates, sources), `[proxy]`, `[final]`, and the keys `data` and `base`: what is not given comes from the space that `base` names, or from
    the defaults. `data` may be a path, which begins at the file's folder. `input_shape` and `classes`
    are replaced by those of the data that is searched on.

    Raises:
        InputError: unreadable, unknown or mistyped keys, impossible values; names file and key.
    """
    given = read_toml(path)
    check_keys(given, ["base", "data", *TABLES], str(path))
    base = given.get("base")
    if base is not None and (not isinstance(base, str) or base not in spaces):
        raise unknown("space", base, spaces, place=f"{path}: base")
    if base is None and "skeleton" not in given:
        raise InputError(f'{path}: a [skeleton] table or base = "…" is needed')
    start = spaces[base] if base is not None else None
    data = given.get("data", start.data if start else "digits")
    if not isinstance(data, str):
        raise InputError(f"{path}: data must be a string, not {brief(data)}")
    made: dict[str, Any] = {}
    for name, kind in TABLES.items():
        field = "final_proxy" if name == "final" and name in given else name
        source = start if name == "space" else getattr(start, field, None)
        defaults = {f.name: getattr(source, f.name) for f in fields(kind)} if source else {}
        if name == "skeleton" and not source:
            defaults = _of_data(data, spaces)
        if name in given:
            table, place = given[name], f"{path} [{name}]"
            if not isinstance(table, dict):
                raise InputError(f"{place}: must be a table, not {brief(table)}")
            made[name] = from_mapping(kind, {**_plain(defaults), **table}, place)
        elif source:
            made[name] = kind(**defaults)
    choices = vars(made.pop("space", None) or Choices((1, 2, 3), ("add", "concat"), (0.5, 1.0)))
    beside = Path(path).parent / data
    if "data" in given and beside.exists():
        data = str(beside.resolve())
    try:
        return SearchSpace(**made, **choices, data=data, name=Path(path).stem)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


TABLES: dict[str, type] = {
    "skeleton": Skeleton,
    "space": Choices,
    "proxy": Proxy,
    "final": Proxy,
}


def _of_data(data: str, spaces: dict[str, SearchSpace]) -> dict[str, Any]:
    """Input shape and classes that a skeleton has before its data is known."""
    usual = next((space.skeleton for space in spaces.values() if space.data == data), None)
    if usual:
        return {"input_shape": usual.input_shape, "classes": usual.classes}
    return {"input_shape": (3, 32, 32), "classes": 10}


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Nested dataclasses as mappings."""
    return {
        key: [asdict(v) if isinstance(v, Stage) else v for v in value]
        if isinstance(value, tuple)
        else value
        for key, value in values.items()
    }

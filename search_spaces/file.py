"""A user's own search space in a TOML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from nas.architecture.layers import Source
from nas.architecture.skeletons.convolutional import Skeleton, Stage
from nas.architecture.skeletons.families import FAMILIES
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.architecture.skeletons.wrapped import Wrapped
from nas.architecture.space import SearchSpace
from nas.errors import InputError, brief, unknown
from nas.files.settings import check_keys, from_mapping, read_toml
from nas.own_model import named_model, transferred, wrap
from nas.proxy import Proxy

T = TypeVar("T")


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


@dataclass(frozen=True)
class Sizes:
    """The `[skeleton]` table beside a model of the user's own."""

    input_shape: tuple[int, ...]
    classes: int


def load_space(path: str | Path, spaces: dict[str, SearchSpace]) -> SearchSpace:
    """The space that a TOML file describes; its name is the file's.

    `model` (`my_model.py:make`, whose path begins at the file's folder) has a user's own model in the
    place of the skeleton, cut at its `blocks`; `[skeleton]` may then say its `input_shape` and `classes`.

    Tables `[skeleton]`, `[space]` (distances, merges, strengths, always, period,
    learning_rates, sources), `[proxy]`, `[final]`, and the keys `data` and `base`: what is not given comes from the space that `base` names, or from
    the defaults. `data` may be a path, which begins at the file's folder. `input_shape` and `classes`
    are replaced by those of the data that is searched on.

    Raises:
        InputError: unreadable, unknown or mistyped keys, impossible values; names file and key.
    """
    given = read_toml(path)
    _check_top(given, path)
    base = given.get("base")
    if base is not None and (not isinstance(base, str) or base not in spaces):
        raise unknown("space", base, spaces, place=f"{path}: base")
    if base is None and not {"skeleton", "model"} & {*given}:
        raise InputError(f'{path}: a [skeleton] table or base = "…" or model = "…" is needed')
    start = spaces[base] if base is not None else None
    data = given.get("data", start.data if start else "digits")
    if not isinstance(data, str):
        raise InputError(f"{path}: data must be a string, not {brief(data)}")
    made: dict[str, Any] = {}
    if "model" in given or "blocks" in given:
        usual = _sizes(start) if start else _of_data(data, spaces)
        made["skeleton"] = _own_model(given, usual, path)
        start = transferred(start, made["skeleton"], start.name) if start else None
    if "skeleton" not in made:
        base_skeleton = start.skeleton if start else None
        made["skeleton"] = _skeleton(given, base_skeleton, _of_data(data, spaces), path)
    for name, kind in TABLES.items():
        field = "final_proxy" if name == "final" and name in given else name
        source = start if name == "space" else getattr(start, field, None)
        defaults = {f.name: getattr(source, f.name) for f in fields(kind)} if source else {}
        if name in given:
            made[name] = _read(kind, defaults, given, name, path)
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
    "space": Choices,
    "proxy": Proxy,
    "final": Proxy,
}


NAMED = [name for name, kind in FAMILIES.items() if kind is not Wrapped]
"""Families that a file can name; that of a user's own model is told by `model`."""


def _check_top(given: Mapping[str, Any], path: str | Path) -> None:
    """Raises InputError for a key that is none of a file's, and says in which table it would be one."""
    allowed = ["base", "data", "model", "blocks", "skeleton", *TABLES]
    for key in given:
        homes = [f"[{name}]" for name, kind in TABLES.items() if key in _names(kind)]
        if key in ("family", *(one for name in NAMED for one in _names(FAMILIES[name]))):
            homes = ["[skeleton]"]
        if key not in allowed and homes:
            raise InputError(
                f"{path}: key {brief(key)} stands in {' or '.join(homes)}; allowed outside of tables: "
                f"{', '.join(sorted(allowed))}"
            )
    check_keys(given, allowed, str(path))


def _names(kind: type) -> list[str]:
    return [field.name for field in fields(kind)]


def _family(table: Mapping[str, Any], base: AnySkeleton | None, place: str) -> str:
    """The family of the skeleton that a table is of: what it names, else that of the base."""
    if "family" not in table:
        kind = type(base) if base else Skeleton
        return next(name for name, one in FAMILIES.items() if one is kind)
    family = table["family"]
    if not isinstance(family, str) or family not in NAMED:
        raise unknown("family of skeletons", family, NAMED, place=place)
    return family


def _skeleton(
    given: Mapping[str, Any], base: AnySkeleton | None, usual: Mapping[str, Any], path: str | Path
) -> AnySkeleton:
    """The skeleton of a file: of its [skeleton] table over the base's of the same family, or the base's.

    Args:
        usual: input shape and classes, where no base says them.

    Raises:
        InputError: a key of another family, one that is missing, or an impossible value.
    """
    if "skeleton" not in given and base:
        return base
    table, place = given["skeleton"], f"{path} [skeleton]"
    if not isinstance(table, dict):
        raise InputError(f"{place}: must be a table, not {brief(table)}")
    family = _family(table, base, place)
    kind = FAMILIES[family]
    own = _names(kind)
    for key in table:
        others = [name for name in NAMED if key in _names(FAMILIES[name])]
        if key not in (*own, "family") and others:
            raise InputError(
                f"{place}: key {brief(key)} is of family {' and '.join(others)}, and this skeleton is of "
                f"family {family}, in which are allowed: {', '.join(sorted({*own, 'family'}))}"
            )
    known = {name: getattr(base, name) for name in own} if isinstance(base, kind) else usual
    values = {**_plain(known), **table}
    needed = [f.name for f in fields(kind) if f.default is MISSING]
    missing = [name for name in needed if name not in values]
    if missing:
        raise InputError(f"{place}: family {family} needs {', '.join(missing)}, too")
    if "family" not in own:
        values.pop("family", None)
    return from_mapping(kind, values, place)


def _read(
    kind: type[T], defaults: Mapping[str, Any], given: dict[str, Any], name: str, path: str | Path
) -> T:
    """What a table of a file says, over defaults."""
    table, place = given.get(name, {}), f"{path} [{name}]"
    if not isinstance(table, dict):
        raise InputError(f"{place}: must be a table, not {brief(table)}")
    return from_mapping(kind, {**defaults, **table}, place)


def model_file(path: str | Path) -> Path | None:
    """The file whose model a TOML file names, if it names one.

    Raises:
        InputError: the TOML file cannot be read, or its `model` is no name.
    """
    given = read_toml(path)
    return named_model(_beside(given["model"], path))[1] if "model" in given else None


def _beside(model: Any, path: str | Path) -> str:
    """The name of a model, with the path of its file from here."""
    if not isinstance(model, str):
        raise InputError(
            f"{path}: model must be a string such as my_model.py:make, not {brief(model)}"
        )
    file = named_model(model)[1]
    return model if file is None else f"{Path(path).parent / file}:{model.rpartition(':')[2]}"


def _own_model(given: dict[str, Any], usual: Mapping[str, Any], path: str | Path) -> Wrapped:
    """The skeleton of the model that a TOML file names.

    Args:
        usual: input shape and classes, where the file does not say them.
    """
    if "model" not in given:
        raise InputError(f"{path}: blocks goes with model")
    blocks = given.get("blocks", "")
    if not isinstance(blocks, str):
        raise InputError(f"{path}: blocks must be a string, not {brief(blocks)}")
    sizes = _read(Sizes, usual, given, "skeleton", path)
    try:
        return wrap(_beside(given["model"], path), sizes.input_shape, sizes.classes, blocks)
    except InputError as error:
        hint = "" if "skeleton" in given else " ([skeleton] may say its input_shape and classes)"
        raise InputError(f"{path}: {error}{hint}") from None


def _of_data(data: str, spaces: dict[str, SearchSpace]) -> dict[str, Any]:
    """Input shape and classes that a skeleton has before its data is known."""
    usual = next((space for space in spaces.values() if space.data == data), None)
    return _sizes(usual) if usual else {"input_shape": (3, 32, 32), "classes": 10}


def _sizes(space: SearchSpace) -> dict[str, Any]:
    return {"input_shape": space.skeleton.input_shape, "classes": space.skeleton.classes}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dataclasses as mappings."""
    return {
        key: [asdict(v) if isinstance(v, Stage) else v for v in value]
        if isinstance(value, tuple)
        else value
        for key, value in values.items()
    }

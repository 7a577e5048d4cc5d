"""Merges, blocks, stems, data, spaces, strategies and scores from a user's own file.

Such a file imports what it needs from `nas.extend`.
"""

from __future__ import annotations

import hashlib
import re
import runpy
from collections.abc import Container, Iterable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from nas.architecture.skeletons.wrapped import MODELS
from nas.errors import InputError, brief

TABLES = {
    "MERGES": "nas.architecture.merges",
    "MODELS": "nas.architecture.skeletons.wrapped",
    "BLOCKS": "nas.architecture.skeletons.blocks",
    "STEMS": "nas.architecture.skeletons.blocks",
    "SOURCES": "nas.data.load",
    "STRATEGIES": "nas.strategies.propose",
    "MUTATIONS": "nas.strategies.mutations",
    "SCORES": "nas.predictors.zero_cost",
    "REFERENCES": "nas.architecture.references",
    "SPACES": "search_spaces.named",
}
"""A table's name, in a plugin as in the module that owns it."""
KINDS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "MERGES": ("nas.architecture.merges", ("Merge",), "an instance of a class over Merge"),
    "MODELS": ("nas.architecture.skeletons.wrapped", (), "a function () -> torch.nn.Module"),
    "BLOCKS": ("nas.architecture.skeletons.blocks", ("Block",), "a Block"),
    "STEMS": ("nas.architecture.skeletons.blocks", ("Stem",), "a Stem"),
    "SOURCES": ("nas.data.dataset", (), "a function (folder) -> Raw or str"),
    "STRATEGIES": (
        "nas.strategies.propose", ("Strategy",),
        "a function (population, problem, rng) -> Proposal, or a Strategy,",
    ),
    "MUTATIONS": ("nas.strategies.mutations", (), "a function (genome, space, rng) -> Genome"),
    "SCORES": ("nas.predictors.zero_cost", (), "a function (candidate) -> number"),
    "REFERENCES": ("nas.architecture.genome", ("Motif",), "a Motif"),
    "SPACES": ("nas.architecture.space", ("SearchSpace",), "a SearchSpace"),
}  # fmt: skip
"""What entries of a table are: a module with classes, and in words."""
FUNCTIONS = ("MODELS", "SOURCES", "STRATEGIES", "MUTATIONS", "SCORES")
"""Tables whose entries may be functions."""
MOVED = {
    **dict.fromkeys(("nas.merges", "nas.parts", "nas.blocks", "nas.data"), "nas.extend"),
    **dict.fromkeys(("nas.genome", "nas.plan", "nas.skeleton", "nas.space"), "nas"),
    "nas.evolution": "nas.strategies.propose",
    "nas.history": "nas.strategies.history",
    "nas.mutations": "nas.strategies.mutations",
    "nas.scores": "nas.predictors.zero_cost",
}
"""What files of users imported before version 0.2, and where it is now."""
LOADED: dict[str, str] = {}
"""File names of loaded plugins by hash; as lasting as the tables that plugins are added to."""


def load_plugins(paths: Iterable[str | Path] = ()) -> dict[Path, str]:
    """Loads installed plugins and these; the hash of each by its path.

    Raises:
        InputError: a file that is no plugin, or a name in it that is taken.
    """
    return {path: load_plugin(path) for path in (*installed_plugins(), *map(Path, paths))}


def load_plugin(path: str | Path) -> str:
    """Adds what a Python file defines in tables of these names to the framework's.

    A file with `MERGES = {"mine": MyMerge()}` adds the merge `mine`. Its functions are models as well,
    named `file.py:function`; a file may have nothing else.

    Returns:
        A hash of the file, for the record.

    Raises:
        InputError: not a readable Python file, neither a table nor a function, or a name that is taken.
    """
    path = Path(path)
    try:
        source = path.read_bytes()
        defined = runpy.run_path(str(path))
    except Exception as error:
        raise InputError(
            f"--plugin {path}: {_moved(error) or f'{type(error).__name__}: {error}'}"
        ) from None
    digest = hashlib.blake2b(source, digest_size=8).hexdigest()
    models = {f"{path.name}:{name}": made for name, made in defined.items() if _makes(made)}
    MODELS.update(models)
    if digest in LOADED:
        return digest
    names = [name for name in TABLES if name in defined]
    if not names and not models:
        raise InputError(f"--plugin {path}: defines none of the tables {', '.join(TABLES)}")
    owners = {name: getattr(import_module(TABLES[name]), name) for name in names}
    for name, owner in owners.items():
        _check_entries(path, name, defined[name], owner)
    for name, owner in owners.items():
        owner.update(defined[name])
    LOADED[digest] = path.name
    return digest


def _makes(defined: object) -> bool:
    """Whether it is a function, or a class, that the file itself defines."""
    return callable(defined) and getattr(defined, "__module__", None) == "<run_path>"


def _check_entries(path: Path, table: str, entries: object, known: Container[str]) -> None:
    """Raises InputError where a table is no dict, or an entry not of its kind or of a name that is taken."""
    place = f"--plugin {path}: {table}"
    if not isinstance(entries, dict):
        raise InputError(f"{place} is {brief(entries)}; a dict of entries by name is expected")
    module, kinds, words = KINDS[table]
    allowed = tuple(getattr(import_module(module), kind) for kind in kinds)
    for key, value in entries.items():
        function = callable(value) and not isinstance(value, type)
        if not isinstance(key, str):
            raise InputError(f"{place} has the name {brief(key)}; a string is expected")
        if key in known:
            raise InputError(f"{place} has an entry {key!r} already")
        fits = isinstance(value, allowed) or (table in FUNCTIONS and function)
        if not fits and not (table == "STRATEGIES" and value is None):
            is_class = isinstance(value, type) and issubclass(value, allowed)
            hint = f", such as {value.__name__}()" if is_class else ""
            raise InputError(f"{place}[{key!r}] is {brief(value)}; {words} is expected{hint}")


def _moved(error: Exception) -> str:
    """Where an import that failed finds now what it asked for; empty where that is not known."""
    if not isinstance(error, ImportError):
        return ""
    asked = re.search(r"cannot import name '(\w+)'", str(error))  # of `from nas import merges`
    for old in (error.name, f"{error.name}.{asked[1]}" if asked else None):
        if old in MOVED:
            return f"{old} is the import of an earlier version; import from {MOVED[old]} instead"
    return ""


def installed_plugins() -> tuple[Path, ...]:
    """The files of modules that installed packages name as entry points `skipnas.plugins`."""
    specs = (find_spec(point.module) for point in entry_points(group="skipnas.plugins"))
    return tuple(Path(spec.origin) for spec in specs if spec and spec.origin)


def is_loaded(name: str) -> bool:
    """Whether a plugin of this file name has been loaded."""
    return name in LOADED.values()


def check_loaded(recorded: Iterable[str], whose: str) -> None:
    """Raises InputError if a plugin of this file name has not been loaded."""
    for name in recorded:
        if not is_loaded(name):
            raise InputError(
                f"{whose} needs the plugin {name}: name the file with --plugin, or plugins=[…]"
            )


def check_plugins(recorded: Mapping[str, str], given: Mapping[str, str], whose: str) -> None:
    """Raises InputError if a recorded plugin (hash by file name) is not given, or has changed."""
    for name, digest in recorded.items():
        if name not in given:
            raise InputError(f"{whose} needs the plugin {name}: name the file with --plugin")
        check_unchanged(name, digest, given[name], whose)


def check_own_training(
    recorded: Mapping[str, str] | None, given: Mapping[str, str] | None, whose: str
) -> None:
    """Raises InputError if the own training of a record is not given, or another one is."""
    if recorded == given:
        return
    if recorded is None:
        raise InputError(f"--evaluate: {whose} was trained by this program's own training")
    name = f"{recorded['file']}:{recorded['function']}"
    if given is None:
        raise InputError(f"{whose} was trained by {name}: name the file with --evaluate")
    if (recorded["file"], recorded["function"]) == (given["file"], given["function"]):
        raise InputError(
            f"--evaluate {name}: the file has changed (hash {given['hash']}); {whose} was made with "
            f"{recorded['hash']}"
        )
    other = f"{given['file']}:{given['function']}"
    raise InputError(f"--evaluate {other}: {whose} was trained by {name}")


def check_unchanged(name: str, recorded: str, given: str, whose: str) -> None:
    if recorded != given:
        raise InputError(
            f"--plugin {name}: it has changed (hash {given}); {whose} was made with {recorded}"
        )

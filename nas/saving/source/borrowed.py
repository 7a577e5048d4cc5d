"""What written classes need from elsewhere: imports, and functions of the files they come from."""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from itertools import groupby
from pathlib import Path

from nas.errors import OURS
from nas.saving.source.text import called


class UnwritableError(Exception):
    """Why something cannot be written as source."""


@dataclass(frozen=True, order=True)
class Import:
    """`from module import name as alias`, or `import module as alias`."""

    module: str
    name: str = ""
    alias: str = ""

    @property
    def bound(self) -> str:
        return self.alias or self.name or self.module.partition(".")[0]

    def __str__(self) -> str:
        name = self.name or self.module
        return f"{name} as {self.alias}" if self.alias else name


MAY_NEED = (
    Import("torch"),
    Import("torch", "nn"),
    Import("torch", "Tensor"),
    Import("pathlib", "Path"),
    Import("typing", "NamedTuple"),
    Import("collections.abc", "Sequence"),
)
"""What modules themselves import, where they use it."""


@dataclass
class Borrowed:
    """Imports by the name that they bind, and definitions by name, each after those it needs."""

    imports: dict[str, Import] = field(default_factory=lambda: {one.bound: one for one in MAY_NEED})
    definitions: dict[str, str] = field(default_factory=dict)
    _from: dict[str, Path] = field(default_factory=dict)

    def add(self, one: Import) -> None:
        """Raises UnwritableError where the name is another thing's already."""
        known = self.imports.setdefault(one.bound, one)
        if known != one or one.bound in self._from:
            raise UnwritableError(f"{one.bound} has two meanings")

    def define(self, name: str, file: Path) -> None:
        """Takes what a name means at the top of a file, and all that this needs.

        Raises:
            UnwritableError: it is no import, function, class or constant there.
        """
        text = file.read_text(encoding="utf-8")
        node = _binding(ast.parse(text), name)
        if isinstance(node, ast.Import | ast.ImportFrom):
            one = next(one for one in imports_of(node) if one.bound == name)
            return self._import(one, file)
        if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign):
            raise UnwritableError(f"{name} is not defined at the top of {file.name}")
        if isinstance(node, ast.Assign | ast.AnnAssign) and not _literal(node.value):
            raise UnwritableError(f"{name} is no constant in {file.name}")
        if self._from.setdefault(name, file) != file or name in self.imports:
            raise UnwritableError(f"{name} has two meanings")
        if name not in self.definitions:
            self.definitions[name] = ""  # for those that call each other
            for needed in free_names([node]):
                self.define(needed, file)
            del self.definitions[name]
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
            self.definitions[name] = "\n".join(text.splitlines()[first - 1 : node.end_lineno])
        return None

    def _import(self, one: Import, file: Path) -> None:
        if one.module.partition(".")[0] not in OURS:
            if one.module.startswith("."):
                raise UnwritableError(f"{one.bound} is of the package of {file.name}")
            return self.add(one)
        found = import_module(one.module)
        if not one.name or one.alias or not hasattr(found, one.name) or not found.__file__:
            raise UnwritableError(f"it needs {one.module} itself")
        if f"{one.module}.{one.name}" in sys.modules:
            raise UnwritableError(f"it needs {one.module}.{one.name} itself")
        return self.define(one.name, Path(found.__file__))


def _binding(tree: ast.Module, name: str) -> ast.stmt | None:
    """The statement at the top of a file, or the import anywhere, that gives a name its meaning."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        named = [getattr(node, "name", None), *(getattr(target, "id", None) for target in targets)]
        if name in named:
            return node
    for inner in ast.walk(tree):
        imported = imports_of(inner) if isinstance(inner, ast.Import | ast.ImportFrom) else ()
        if name in (one.bound for one in imported):
            return inner  # type: ignore[return-value]
    return None


def _literal(value: ast.expr | None) -> bool:
    """Whether an expression is made of numbers and strings alone."""
    try:
        return value is not None and (ast.literal_eval(value), True)[1]
    except ValueError:
        return False


def imports_of(node: ast.Import | ast.ImportFrom) -> Iterator[Import]:
    """The single imports of a statement."""
    for alias in node.names:
        if isinstance(node, ast.Import):
            yield Import(alias.name, "", alias.asname or "")
        else:
            yield Import("." * node.level + (node.module or ""), alias.name, alias.asname or "")


def free_names(nodes: Iterable[ast.AST], bound: Iterable[str] = ()) -> list[str]:
    """Names that are read and not given a value, in the order of their first use."""
    known, read = set(bound), dict[str, None]()
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        if isinstance(node, ast.arg):
            known.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            known.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            known |= {one.bound for one in imports_of(node)}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            read.setdefault(node.id)
        elif isinstance(node, ast.Name):
            known.add(node.id)
    return [name for name in read if name not in known and not hasattr(builtins, name)]


def import_lines(imports: Iterable[Import]) -> str:
    """Statements as isort orders them: the standard library's, then all others."""
    every = sorted(imports, key=lambda one: (bool(one.name), one.module, one.name, one.alias))
    sections: tuple[list[str], list[str]] = [], []
    for (named, module), group in groupby(every, lambda one: (bool(one.name), one.module)):
        section = sections[module.partition(".")[0] not in sys.stdlib_module_names]
        names = list(map(str, group))
        if named:
            section.append(_from_import(module, names))
        else:
            section += [f"import {name}" for name in names]
    return "\n\n".join("\n".join(section) for section in sections if section)


def _from_import(module: str, names: list[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    return line if len(line) <= 88 else called(f"from {module} import (", names)

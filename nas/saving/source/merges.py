"""Merges as classes: what a merge's `forward` says is written in, with the functions that it calls.

A network has one class for each merge whose parts are built alike.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from nas.architecture.merges import MERGES, Gate, Merge
from nas.architecture.plan import LayerPlan
from nas.errors import InputError, brief, own_name
from nas.saving.source.borrowed import Borrowed, UnwritableError, free_names, imports_of
from nas.saving.source.classes import Call, Classes, Order, Place, structure
from nas.saving.source.formulas import VARIABLES
from nas.saving.source.text import called, check_name, class_text

MERGE: Order = ("channels", "inputs", "stride", "skips")
OF_OUTPUT: Order = ("channels", "stride", "skips")
"""Of merges whose parts do not read the layer's input, whose channels may be some multiple by chance."""
CONSTANTS = (int, float, str, bool, type(None))
"""Types of a merge's own attributes that can be written."""
ANNOTATIONS = ("Tensor", "list[Tensor]", "Tensor")
"""Of the branch, the skips and the previous node."""


@dataclass(frozen=True)
class MergeSource:
    """A merge's class but for its constructor."""

    about: str
    constants: list[str]
    """Lines of the class, with their indentation."""
    methods: list[str]
    """The same; the last of them is `forward`."""


@dataclass(frozen=True)
class MergeClass:
    """A merge, in all layers in which its parts have one structure."""

    name: str
    source: MergeSource
    layers: list[LayerPlan]

    @property
    def order(self) -> Order:
        """What its parts depend on."""
        merge = MERGES[str(self.layers[0].merge)]
        reads = isinstance(merge, Gate) or merge.second_branch or own_name(merge.parts)
        return MERGE if reads else OF_OUTPUT

    def collect(self, classes: Classes, places: Mapping[int, Place]) -> None:
        """Tells which parts will be asked for."""
        for layer in self.layers:
            for name, part in layer.learnt:
                check_name(f"merge {layer.merge!r}", name)
                classes.collect(name, self.order, part, places[layer.index])

    def calls(self, classes: Classes, places: Mapping[int, Place]) -> dict[str, Call]:
        """What makes its parts, by name."""
        return {
            name: classes.call(
                name,
                self.order,
                [(layer.learnt[i][1], places[layer.index]) for layer in self.layers],
            )
            for i, (name, _) in enumerate(self.layers[0].learnt)
        }

    def text(self, name: str, calls: Mapping[str, Call], site: Order) -> str:
        """The class of this name, whose constructor takes a Site where that has any numbers."""
        own = {variable: f"site.{variable}" for variable in VARIABLES}
        lines = [call.text(f"        self.{part} = ", own) for part, call in calls.items()]
        source, arguments = self.source, ["site: Site"] * bool(site)
        return class_text(
            name, "nn.Module", source.about, arguments, lines, source.constants, source.methods
        )


def merge_classes(layers: Sequence[LayerPlan], borrowed: Borrowed) -> list[MergeClass]:
    """All that layers need, in the order of their first layers; they share no layer.

    Raises:
        InputError: a merge of a user's own cannot be written as source.
    """
    found: dict[object, MergeClass] = {}
    for layer in layers:
        if layer.merge:
            key = layer.merge, tuple((name, structure(part)) for name, part in layer.learnt)
            if key not in found:
                names = [name for name, _ in layer.learnt]
                source = merge_source(layer.merge, MERGES[layer.merge], names, borrowed)
                found[key] = MergeClass(type(MERGES[layer.merge]).__name__, source, [])
            found[key].layers.append(layer)
    return list(found.values())


def site_text(site: Order) -> str:
    """The class of what merges know of their layer."""
    words = {
        "inputs": "channels that the layer reads",
        "width": "of the block",
        "channels": "of the layer's output",
        "stride": "of the layer",
        "sides": "of the layer's output",
        "skips": "how many",
    }
    fields = "\n".join(f"    {name}: {VARIABLES[name]}  # {words[name]}" for name in site)
    return f'class Site(NamedTuple):\n    """Where a merge is placed."""\n\n{fields}'


def merge_source(
    name: str, merge: Merge, learnt: Collection[str], borrowed: Borrowed
) -> MergeSource:
    """The source of a merge's class.

    Args:
        learnt: names of its learnt parts.
        borrowed: takes what it needs besides.

    Raises:
        InputError: it does something that cannot be written in, which is named.
    """
    try:
        return _Reader(merge, learnt, borrowed).read()
    except (UnwritableError, OSError, TypeError, SyntaxError) as error:
        what = own_name(merge.forward) or type(merge).__name__
        raise InputError(f"merge {name!r} ({what}) cannot be written as source: {error}") from None


class _Reader:
    """Reads one merge."""

    def __init__(self, merge: Merge, learnt: Collection[str], borrowed: Borrowed) -> None:
        self.merge, self.learnt, self.borrowed = merge, learnt, borrowed
        self.constants: dict[str, str] = {}
        self.methods: dict[str, str] = {}

    def read(self) -> MergeSource:
        about = (inspect.getdoc(type(self.merge)) or "A merge.").partition("\n\n")[0]
        forward = self._forward(type(self.merge).forward)
        methods = [*self.methods.values(), forward]
        return MergeSource(" ".join(about.split()), list(self.constants.values()), methods)

    def _forward(self, function: Any) -> str:
        """`forward` as a module's: what is learnt is the module itself."""
        lines, tree = _definition(function)
        own, learnt, *tensors = _arguments(tree)
        if len(tensors) != 3:
            raise UnwritableError("its arguments are not (self, learnt, branch, skips, previous)")
        if tree.body[0].lineno == tree.lineno:
            raise UnwritableError("its forward is one line")
        self._take(function, tree.body, own, _arguments(tree))
        if any(_stores(node, learnt) for node in ast.walk(tree)):
            raise UnwritableError(f"it gives {learnt} another value")
        _rename(lines, tree, {own: "self", learnt: "self"})
        hoisted = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        gone = {line for node in hoisted for line in range(node.lineno, (node.end_lineno or 0) + 1)}
        for one in (one for node in hoisted for one in imports_of(node)):
            self.borrowed.add(one)
        body = [
            line for number, line in enumerate(lines, 1)
            if number >= tree.body[0].lineno and number not in gone
        ]  # fmt: skip
        signature = ["self", *map(": ".join, zip(tensors, ANNOTATIONS, strict=True))]
        head = called("    def forward(", signature, ") -> Tensor:")
        while not body[0].strip():
            del body[0]
        return f"{head}\n{_indented(body)}"

    def _take(self, function: Any, body: list[ast.stmt], own: str, arguments: list[str]) -> None:
        """Takes along the attributes and methods that it reads of the merge, and what the file has."""
        if function.__closure__:
            raise UnwritableError("it reads variables of a function around it, or calls super()")
        every = [node for statement in body for node in ast.walk(statement)]
        reads = [n for n in every if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)]
        of_merge = [node for node in reads if node.value.id == own]  # type: ignore[attr-defined]
        if sum(isinstance(n, ast.Name) and n.id == own for n in every) > len(of_merge):
            raise UnwritableError(f"it passes {own} on")
        for attribute in dict.fromkeys(node.attr for node in of_merge):
            self._attribute(attribute)
        for name in free_names(body, arguments):
            self.borrowed.define(name, Path(inspect.getfile(function)))

    def _attribute(self, name: str) -> None:
        if name in self.constants or name in self.methods:
            return
        if name in self.learnt:
            raise UnwritableError(f"{name} is an attribute and a learnt part")
        found = inspect.getattr_static(type(self.merge), name, None)
        if inspect.isfunction(found):
            lines, tree = _definition(found)
            self.methods[name] = _indented(lines)
            self._take(found, [tree], _arguments(tree)[0], [])
            return
        value = getattr(self.merge, name)
        if isinstance(found, property) or not isinstance(value, CONSTANTS):
            raise UnwritableError(f"its attribute {name} is {brief(value)}, no number or string")
        self.constants[name] = f"    {name} = {value!r}"


def _definition(function: Any) -> tuple[list[str], ast.FunctionDef]:
    """A function's lines, without indentation, and its tree."""
    source = dedent(inspect.getsource(function))
    tree = ast.parse(source).body[0]
    if not isinstance(tree, ast.FunctionDef) or tree.decorator_list:
        raise UnwritableError(f"{function.__name__} is no ordinary method")
    return source.rstrip().splitlines(), tree


def _arguments(tree: ast.FunctionDef) -> list[str]:
    return [argument.arg for argument in (*tree.args.posonlyargs, *tree.args.args)]


def _stores(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load)


def _indented(lines: list[str]) -> str:
    return "\n".join(f"    {line}" if line.strip() else "" for line in lines)


def _rename(lines: list[str], tree: ast.AST, names: dict[str, str]) -> None:
    """Changes names where they stand, the last of a line first."""
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id in names]
    for node in sorted(found, key=lambda n: (n.lineno, n.col_offset), reverse=True):
        line = lines[node.lineno - 1].encode()
        text = line[: node.col_offset] + names[node.id].encode() + line[node.end_col_offset :]
        lines[node.lineno - 1] = text.decode()

"""Chains of parts as classes: numbers that differ from layer to layer become arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nas.architecture.parts import Chain, Part
from nas.errors import InputError
from nas.saving.source.formulas import VARIABLES, Column, formula, renamed, used
from nas.saving.source.parts import EVEN, Written, even
from nas.saving.source.text import called, check_name, class_text
from nas.saving.source.token_parts import WRITERS

Place = Mapping[str, Any]
"""The numbers of a layer, by the names of `formulas.VARIABLES`."""
Uses = Sequence[tuple[Part, Place]]
"""A part in all of its places, with other numbers in each."""
Order = tuple[str, ...]
"""The variables that a class may depend on, in the order of preference."""
Key = tuple[str, Order, object]
"""What the chains of one class have in common: role, variables, structure."""


def structure(part: Part) -> object:
    """What two parts have in common that differ in whole numbers only."""
    if isinstance(part, Chain):
        return tuple((name, structure(step)) for name, step in part)
    written = WRITERS[type(part)](part)
    fixed = (a.value for a in written.arguments if type(a.value) is not int and not a.variable)
    return type(part), written.call, *fixed


class Names:
    """Names of classes and functions, of which no two are the same."""

    def __init__(self, taken: Sequence[str]) -> None:
        self.taken = set(taken)

    def new(self, words: str) -> str:
        """`preact-basic` -> `PreactBasic`, or `PreactBasic2` where that is taken."""
        plain = "".join(word[:1].upper() + word[1:] for word in re.findall(r"[A-Za-z0-9]+", words))
        plain = plain if plain.isidentifier() else f"Part{plain}"
        name, number = plain, 1
        while name in self.taken:
            number += 1
            name = f"{plain}{number}"
        self.taken.add(name)
        return name


@dataclass(frozen=True)
class Call:
    """What makes a module: `nn.Conv2d(inputs, 4 * width)`."""

    start: str
    arguments: tuple[str, ...]
    end: str = ")"

    @property
    def variables(self) -> Order:
        """The names in it, in the order of a constructor's arguments."""
        return used(self.arguments)

    def text(self, before: str, names: Mapping[str, str] | None = None, after: str = "") -> str:
        """The source, with what stands before it on its line; variables may get other names."""
        arguments = [renamed(argument, names or {}) for argument in self.arguments]
        return called(f"{before}{self.start}", arguments, f"{self.end}{after}")


@dataclass
class Classes:
    """The classes of a module: chains are collected first, and written when all are known."""

    names: Names
    texts: list[str] = field(default_factory=list)
    """Of the classes, each after those that it needs."""
    _shared: dict[object, tuple[str, Order]] = field(default_factory=dict)
    _uses: dict[Key, list[tuple[Part, Place]]] = field(default_factory=dict)
    _words: dict[Key, str] = field(default_factory=dict)
    _made: dict[Key, Call] = field(default_factory=dict)

    def share(self, role: str, order: Order, part: Part) -> None:
        """Whatever is built like this part is of its class from now on."""
        self._shared[structure(part)] = role, order

    def collect(self, role: str, order: Order, part: Part, place: Place, words: str = "") -> None:
        """Takes note of a part that `call` will be asked for.

        Args:
            role: which names the class.
            words: what the class is, for its docstring.
        """
        if isinstance(part, Chain):
            key = self._key(role, order, part)
            self._uses.setdefault(key, []).append((part, place))
            self._words.setdefault(key, words)
            for name, step in part:
                self.collect(name, key[1], step, place)

    def _key(self, role: str, order: Order, part: Part) -> Key:
        shape = structure(part)
        return *self._shared.get(shape, (role, order)), shape

    def call(self, role: str, order: Order, uses: Uses) -> Call:
        """What makes the module of a part that is built alike in all of its places.

        Raises:
            InputError: its numbers follow no rule, or a name is no name of Python's.
        """
        part = uses[0][0]
        if not isinstance(part, Chain):
            if WRITERS[type(part)](part).before:
                raise InputError(f"{role} is a {type(part).__name__} outside a chain")
            return self._constructor(role, uses, order, {})
        key = self._key(role, order, part)
        if key not in self._made:
            self._made[key] = self._class(*key[:2], self._uses[key], self._words[key])
        return self._made[key]

    def _class(self, role: str, order: Order, uses: Uses, words: str) -> Call:
        name, lines, told = self.names.new(role), [], []
        variables: set[str] = set()
        names = {step_name for step_name, _ in _chain(uses[0][0])}
        known = {(reads := _channels(uses, _reads)): _size(role, reads, uses, order)}
        for index, (step_name, step) in enumerate(_chain(uses[0][0]).steps):
            check_name(role, step_name)
            steps = [(_chain(chain).steps[index][1], place) for chain, place in uses]
            if isinstance(step, Chain):
                call = self.call(step_name, order, steps)
                told.append(step_name)
            else:
                call = self._constructor(f"{role}.{step_name}", steps, order, known, index == 0)
                written = WRITERS[type(step)](step)
                told.append(written.words)
                if written.before:
                    before, module = written.before
                    before = f"{before}_{step_name}" if before in names else before
                    lines.append(f"        self.{before} = {module}")
            made = _channels(steps, lambda part: part.shape[0])
            if made not in known:
                known[made] = _size(role, made, uses, order)
            lines.append(call.text(f"        self.{step_name} = "))
            variables |= set(call.variables)
        about = f"{words}: {', '.join(told)}." if words else f"{', '.join(told)}."
        about = about[:1].upper() + about[1:]
        arguments = used(sorted(variables))
        typed = [f"{argument}: {VARIABLES[argument]}" for argument in arguments]
        self.texts.append(class_text(name, "nn.Sequential", about, typed, lines))
        return Call(f"{name}(", arguments)

    def _constructor(
        self, where: str, uses: Uses, order: Order, known: Mapping[Column, str], first: bool = False
    ) -> Call:
        """The call of PyTorch's class; the first part of a chain reads what others read, too."""
        every = _written(where, uses)
        if every[0].helper and every[0].helper not in self.texts:
            self.texts.append(every[0].helper)
        arguments = []
        for index, argument in enumerate(every[0].arguments):
            text = argument.variable or repr(argument.value)
            if type(argument.value) is int:
                column = tuple(one.arguments[index].value for one in every)
                text = known.get(column, "") if argument.size else ""
                text = text or _size(where, column, uses, order, argument.size)
            if text != repr(argument.default) and not (argument.keyword == "inplace" and first):
                arguments.append(f"{argument.keyword}={text}" if argument.keyword else text)
        start, _, end = every[0].call.partition("{}")
        return Call(start, tuple(arguments), end)


def _chain(part: Part) -> Chain:
    assert isinstance(part, Chain)
    return part


def _reads(part: Part) -> int:
    """Channels that a part reads."""
    while isinstance(part, Chain):
        part = part.steps[0][1]
    return getattr(part, "inputs", part.shape)[0]


def _channels(uses: Uses, count: Callable[[Part], int]) -> Column:
    return tuple(count(part) for part, _ in uses)


def _written(where: str, uses: Uses) -> list[Written]:
    """A part in all of its places; shorter where it is even in all."""
    kind = type(uses[0][0])
    write = EVEN[kind] if all(even(part) for part, _ in uses) else WRITERS[kind]
    every = [write(part) for part, _ in uses]
    for written, (_, place) in zip(every, uses, strict=True):
        for argument in (a for a in written.arguments if a.variable):
            if argument.value != place.get(argument.variable):
                told = f"{where} is cut to {argument.variable} {argument.value}"
                raise InputError(f"{told}; only what is cut to those of a U-Net's layer is written")
    return every


def _size(where: str, values: Column, uses: Uses, order: Order, size: bool = True) -> str:
    """Numbers as a formula of the places' variables."""
    variables = {name: tuple(place[name] for _, place in uses) for name in order}
    text = formula(values, variables, size)
    if text is None:
        raise InputError(f"the sizes of {where} follow no rule: {', '.join(map(str, values[:9]))}")
    return text

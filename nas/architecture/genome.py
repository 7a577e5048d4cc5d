"""The genome: for every layer, which earlier nodes are added back in, how, and how strongly.

Node 0 is the stem's output, node i the output of layer i. A skip of distance d into layer i starts
at node i - d. Two nodes have names, which stay the same in a deeper network: `0` is the stem, and `m`
the mirrored node, which the skeleton says (`add(1,0)`, `concat(m)`). The notation has one token a
layer: `-` for plain, `add(1)`, `concat(1,3@0.5)` (distances 1 and 3, the second at strength 0.5),
`add(1)*28` for 28 layers alike, and `[add(1) - scale(1,3)]*9` for a motif: a short pattern that is
tiled over 27 layers, less the skips that reach before the stem. `lr=0.1` at its end is the learning
rate at which the network is trained, where that is searched, too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

from nas.architecture.layers import STEM, Layer, Skip, check_layer, last_tile, period_of, tiled
from nas.architecture.notation import (
    MAX_LAYERS,
    MAX_SKIPS,
    check_rate,
    parse,
    rate_text,
    runs,
    text_of,
)
from nas.errors import InputError, brief

MAX_CHARACTERS = 8 << 20
"""Of a notation or its JSON."""


@dataclass(frozen=True)
class Genome:
    """An immutable, hashable tuple of layers, validated when it is made.

    Raises:
        InputError: a layer is wrong; the message gives the layer, the value and what is allowed.
    """

    layers: tuple[Layer, ...]
    learning_rate: float | None = None
    """At which it is trained; None is the proxy's. It is no part of the network."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        check_rate(self.learning_rate)
        if not 1 <= len(self.layers) <= MAX_LAYERS:
            raise InputError(f"a genome has 1 to {MAX_LAYERS} layers, not {len(self.layers)}")
        skips = sum(len(layer.skips) for layer in self.layers)
        if skips > MAX_SKIPS:
            raise InputError(f"a genome has up to {MAX_SKIPS} skips, not {skips}")
        checked = set[int]()
        for index, layer in enumerate(self.layers, 1):
            if id(layer) in checked:  # a motif's layers are the same again and again
                continue
            check_layer(layer, index, self._most(index))
            if STEM not in (skip.distance for skip in layer.skips):  # else it depends on the place
                checked.add(id(layer))

    def _most(self, index: int) -> int:
        """The greatest distance of a layer."""
        return index

    @classmethod
    def parse(cls, notation: str) -> Self:
        """The genome of a notation such as `add(1)*4 - concat(1,3@0.5)*4`.

        Raises:
            InputError: malformed notation, with the column (from 1), or an impossible layer.
        """
        if not isinstance(notation, str):
            raise InputError(f"a notation is a string, not {type(notation).__name__}")
        _check_length(notation)
        return cls(*parse(notation))

    @classmethod
    def plain(cls, layers: int) -> Genome:
        """`-*L`: no skips at all."""
        return cls((Layer(),) * layers)

    @classmethod
    def residual(cls, layers: int) -> Genome:
        """`add(1)*L`: the pattern of ResNet (He et al. 2015)."""
        return cls((Layer("add", (Skip(1),)),) * layers)

    @classmethod
    def dense(cls, layers: int) -> Genome:
        """`add(1) add(1,2) add(1,2,3)*(L-2)`: sums over up to three nodes back."""
        return cls(
            tuple(
                Layer("add", tuple(Skip(d) for d in range(1, min(i, 3) + 1)))
                for i in range(1, layers + 1)
            )
        )

    def __str__(self) -> str:
        return text_of(self.layers) + rate_text(self.learning_rate)

    def __repr__(self) -> str:
        return f"{type(self).__name__}.parse({str(self)!r})"

    def __len__(self) -> int:
        return len(self.layers)

    @cached_property
    def key(self) -> str:
        """The canonical notation: equal keys are the same network and training on any skeleton."""
        return str(self)

    @property
    def pattern(self) -> Genome:
        """The genome without its learning rate."""
        return self if self.learning_rate is None else replace(self, learning_rate=None)

    def at(self, learning_rate: float | None) -> Genome:
        """The genome with this learning rate."""
        return replace(self, learning_rate=learning_rate)

    @property
    def motif(self) -> Motif | None:
        """The shortest pattern that makes this one when it is tiled; None if none repeats."""
        period = period_of(self.layers)
        return Motif(last_tile(self.layers, period), self.learning_rate) if period else None

    def to_json(self) -> str:
        """`{"layers": [null, {"merge": "add", "skips": [[1, 0.5]]}]}`; distance 0 is the stem, and -1
        the mirrored node."""
        layers = [
            {"merge": layer.merge, "skips": [[s.distance, s.strength] for s in layer.skips]}
            if layer.skips
            else None
            for layer in self.layers
        ]
        rate = {} if self.learning_rate is None else {"learning_rate": self.learning_rate}
        return json.dumps({"layers": layers, **rate})

    @classmethod
    def from_json(cls, text: str) -> Genome:
        """The genome that `to_json` wrote.

        Raises:
            InputError: not JSON, another structure, or an impossible layer.
        """
        try:
            _check_length(text)
            told = json.loads(text)
            entries, rate = told["layers"], told.get("learning_rate")
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"not a genome in JSON ({type(error).__name__}: {error})") from None
        if not isinstance(entries, list):
            raise InputError(f"not a genome in JSON: layers is {brief(entries)}, not a list")
        layers = (_read_layer(entry, index) for index, entry in enumerate(entries, 1))
        return cls(tuple(layers), rate)


@dataclass(frozen=True, repr=False)
class Motif(Genome):
    """A short pattern that names one of any depth; its skips may reach before its first layer."""

    def __str__(self) -> str:
        return " ".join(runs(self.layers)) + rate_text(self.learning_rate)

    def _most(self, index: int) -> int:
        return MAX_LAYERS

    def tiled(self, layers: int) -> Genome:
        """The pattern of so many layers; skips that reach before the stem are left out."""
        return Genome(tiled(self.layers, layers), self.learning_rate)


def _check_length(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise InputError(
            f"a genome of {len(text)} characters; up to {MAX_CHARACTERS} are allowed, "
            "and 'add(1)*28' repeats a layer"
        )


def _read_layer(entry: Any, index: int) -> Layer:
    """A layer of `to_json`."""
    if entry is None:
        return Layer()
    try:
        merge, pairs = entry["merge"], entry["skips"]
        skips = tuple(Skip(distance, _strength(strength)) for distance, strength in pairs)
        if not isinstance(merge, str | None):
            raise TypeError
    except (KeyError, TypeError, ValueError, OverflowError):
        form = '{"merge": "add", "skips": [[1, 0.5]]}'
        raise InputError(f"layer {index}: {brief(entry)} is neither null nor like {form}") from None
    return Layer(merge, skips)


def _strength(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)

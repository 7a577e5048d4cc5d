"""The genome: for every layer, which earlier nodes are added back in, how, and how strongly.

Node 0 is the stem's output, node i the output of layer i. A skip of distance d into layer i starts
at node i - d. The notation has one token a layer: `-` for plain, `add(1)`, `concat(1,3@0.5)`
(distances 1 and 3, the second at strength 0.5), `add(1)*28` for 28 layers alike.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby
from typing import Any

from nas.architecture.merges import MERGES
from nas.errors import InputError, brief, unknown

MAX_LAYERS = 10_000
MAX_SKIPS = 200_000
"""In all layers together."""
MAX_CHARACTERS = 8 << 20
"""Of a notation or its JSON."""
MAX_STRENGTH = sys.float_info.max
_CACHED = 64
"""Characters of the longest layer that is kept for other genomes."""
_TOKEN = re.compile(
    r"(?:(?P<plain>-)|(?P<merge>[A-Za-z_][\w-]*)\((?P<skips>[^()]*)\))(?:\*(?P<times>\d+))?"
)


@dataclass(frozen=True, order=True)
class Skip:
    """An edge from the node `distance` before the layer's output, multiplied by `strength` > 0."""

    distance: int
    strength: float = 1.0

    def __str__(self) -> str:
        return (
            f"{self.distance}"
            if self.strength == 1
            else f"{self.distance}@{_number(self.strength)}"
        )


@dataclass(frozen=True)
class Layer:
    """One layer's skips and their merge; a plain layer has neither (`Layer()`)."""

    merge: str | None = None
    skips: tuple[Skip, ...] = ()

    def __str__(self) -> str:
        return f"{self.merge}({','.join(map(str, self.skips))})" if self.skips else "-"


@dataclass(frozen=True)
class Genome:
    """An immutable, hashable tuple of layers, validated when it is made.

    Raises:
        InputError: a layer is wrong; the message gives the layer, the value and what is allowed.
    """

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not 1 <= len(self.layers) <= MAX_LAYERS:
            raise InputError(f"a genome has 1 to {MAX_LAYERS} layers, not {len(self.layers)}")
        skips = sum(len(layer.skips) for layer in self.layers)
        if skips > MAX_SKIPS:
            raise InputError(f"a genome has up to {MAX_SKIPS} skips, not {skips}")
        for index, layer in enumerate(self.layers, 1):
            _check(layer, index)

    @classmethod
    def parse(cls, notation: str) -> Genome:
        """The genome of a notation such as `add(1)*4 - concat(1,3@0.5)*4`.

        Raises:
            InputError: malformed notation, with the column (from 1), or an impossible layer.
        """
        if not isinstance(notation, str):
            raise InputError(f"a notation is a string, not {type(notation).__name__}")
        _check_length(notation)
        layers: list[Layer] = []
        for word in re.finditer(r"\S+", notation):
            layers.extend(_parse_token(word.group(), word.start() + 1, len(layers)))
        if not layers:
            raise InputError("empty notation: one token a layer is needed, such as '- add(1)*8'")
        return cls(tuple(layers))

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
        runs = ((token, sum(1 for _ in run)) for token, run in groupby(map(str, self.layers)))
        return " ".join(token if times == 1 else f"{token}*{times}" for token, times in runs)

    def __repr__(self) -> str:
        return f"Genome.parse({str(self)!r})"

    def __len__(self) -> int:
        return len(self.layers)

    @cached_property
    def key(self) -> str:
        """The canonical notation: equal keys are the same network on any skeleton."""
        return str(self)

    def to_json(self) -> str:
        """`{"layers": [null, {"merge": "add", "skips": [[1, 0.5]]}]}`."""
        layers = [
            {"merge": layer.merge, "skips": [[s.distance, s.strength] for s in layer.skips]}
            if layer.skips
            else None
            for layer in self.layers
        ]
        return json.dumps({"layers": layers})

    @classmethod
    def from_json(cls, text: str) -> Genome:
        """The genome that `to_json` wrote.

        Raises:
            InputError: not JSON, another structure, or an impossible layer.
        """
        try:
            _check_length(text)
            entries = json.loads(text)["layers"]
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"not a genome in JSON ({type(error).__name__}: {error})") from None
        if not isinstance(entries, list):
            raise InputError(f"not a genome in JSON: layers is {brief(entries)}, not a list")
        return cls(tuple(_read_layer(entry, index) for index, entry in enumerate(entries, 1)))


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


def _number(strength: float) -> str:
    return repr(strength).removesuffix(".0")


def _check(layer: Layer, index: int) -> None:
    if not layer.skips:
        if layer.merge is not None:
            raise InputError(
                f"layer {index}: merge {layer.merge!r} has no skips; a plain layer has no merge"
            )
        return
    if layer.merge not in MERGES:
        raise unknown("merge", layer.merge, MERGES, place=_where(layer, index))
    previous = 0
    for skip in layer.skips:
        d, s = skip.distance, skip.strength
        if not isinstance(d, int) or isinstance(d, bool) or d < 1:
            raise InputError(
                f"layer {index}: distance {brief(d)} is not a whole number from 1 to {index}"
            )
        if d > index:
            raise InputError(
                f"{_where(layer, index)}: distance {d} reaches before the stem; at most {index} here"
            )
        if d <= previous:
            raise InputError(
                f"{_where(layer, index)}: distances must be distinct and in rising order"
            )
        if (
            isinstance(s, bool) or not isinstance(s, int | float) or not 0 < s <= MAX_STRENGTH
        ):  # not so for nan
            raise InputError(f"layer {index}: strength {brief(s)} is not a finite number above 0")
        previous = d


def _where(layer: Layer, index: int) -> str:
    return f"layer {index} {brief(str(layer))}"


def _parse_token(token: str, column: int, before: int) -> list[Layer]:
    match = _TOKEN.fullmatch(token)
    if not match:
        raise InputError(
            f"column {column}: {brief(token)} is not a layer; "
            "write '-', 'add(1)', 'concat(1,3@0.5)' or 'add(1)*28'"
        )
    times = int((match["times"] or "1")[:9])
    if not 1 <= times <= MAX_LAYERS - before:
        raise InputError(
            f"column {column}: {brief(token)} makes {before + times} layers; "
            f"1 to {MAX_LAYERS} are allowed"
        )
    if match["plain"]:
        return [Layer()] * times
    merge, words = match["merge"], match["skips"]
    try:
        known = len(token) <= _CACHED
        layer = _known_layer(merge, words) if known else _parse_layer(merge, words, 1)
    except InputError:  # once more, so that the message has the right column
        layer = _parse_layer(merge, words, column + match.start("skips"))
    return [layer] * times


@lru_cache(maxsize=65536)
def _known_layer(merge: str, words: str) -> Layer:
    """One object for all genomes with this layer: studies have the same few in thousands."""
    return _parse_layer(merge, words, 1)


def _parse_layer(merge: str, words: str, column: int) -> Layer:
    if words.count(",") >= MAX_SKIPS:
        raise InputError(f"column {column}: a layer with more than {MAX_SKIPS} skips")
    skips = []
    for word in words.split(","):
        skips.append(_parse_skip(word, column))
        column += len(word) + 1
    return Layer(merge, tuple(sorted(skips)))


def _parse_skip(word: str, column: int) -> Skip:
    distance, at, strength = word.partition("@")
    try:
        if not distance.isdecimal() or len(distance) > 6:
            raise ValueError
        return Skip(int(distance), float(strength) if at else 1.0)
    except ValueError:
        raise InputError(
            f"column {column}: {brief(word)} is not a skip; "
            "write a distance such as '2', or '2@0.5' with a strength"
        ) from None

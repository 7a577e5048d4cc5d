"""The notation of a genome: reading it, with the column of what is wrong, and writing it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby

from nas.architecture.layers import NAMES, Layer, Skip, last_tile, number, period_of
from nas.errors import InputError, brief

MAX_LAYERS = 10_000
MAX_SKIPS = 200_000
"""In all layers together."""
MAX_RATE = 100.0
RATE = "lr="
"""How the learning rate begins, at the end of a notation."""
_CACHED = 64
"""Characters of the longest layer that is kept for other genomes."""
_WORD = re.compile(r"\[|\](?:\*\d+)?|[^\s\[\]]+")
_TOKEN = re.compile(
    r"(?:(?P<plain>-)|(?P<merge>[A-Za-z_][\w-]*)\((?P<skips>[^()]*)\))(?:\*(?P<times>\d+))?"
)


def text_of(layers: Sequence[Layer]) -> str:
    """The shorter of both notations: runs of layers alike, or a motif of two layers and more."""
    whole = list(runs(layers))
    period = period_of(layers, 2) if len(whole) > 3 else None
    if not period:
        return " ".join(whole)
    motif = last_tile(layers, period)
    tiles, rest = divmod(len(layers), period)
    head, tail = list(runs(motif)), list(runs(motif[:rest]))
    if len(head) + len(tail) + 1 >= len(whole):
        return " ".join(whole)
    return " ".join([f"[{' '.join(head)}]*{tiles}", *tail])


def runs(layers: Sequence[Layer]) -> Iterator[str]:
    """A token for every run of layers alike."""
    for token, run in groupby(map(str, layers)):
        times = sum(1 for _ in run)
        yield token if times == 1 else f"{token}*{times}"


def parse(notation: str) -> tuple[tuple[Layer, ...], float | None]:
    """The layers of a notation, those in brackets tiled, and the learning rate, where it has one.

    Raises:
        InputError: malformed notation, with the column (from 1).
    """
    layers: list[Layer] = []
    motif: list[Layer] | None = None
    rate: float | None = None
    for match in _WORD.finditer(notation):
        word, column = match.group(), match.start() + 1
        if rate is not None:
            raise InputError(
                f"column {column}: {brief(word)} after the learning rate, which ends it"
            )
        if word.startswith(RATE) and motif is None:
            rate = _parse_rate(word, column)
        elif word == "[":
            if motif is not None:
                raise InputError(f"column {column}: '[' within a motif; '[add(1) -]*9' is one")
            motif = []
        elif word.startswith("]"):
            if not motif:
                what = "a motif without layers" if motif == [] else "']' without '['"
                raise InputError(f"column {column}: {what}; '[add(1) -]*9' is one")
            times = _times(word[2:] or "1", len(motif), len(layers), column, word)
            there = len(layers)
            layers += [
                motif[index % len(motif)].within(there + index + 1)
                for index in range(times * len(motif))
            ]
            motif = None
        else:
            part = layers if motif is None else motif
            part.extend(_parse_token(word, column, len(layers) + len(motif or ())))
    if motif is not None:
        raise InputError("a motif that does not end; '[add(1) -]*9' is one")
    if not layers:
        raise InputError("empty notation: one token a layer is needed, such as '- add(1)*8'")
    return tuple(layers), rate


def rate_text(rate: float | None) -> str:
    """How a learning rate ends a notation."""
    return "" if rate is None else f" {RATE}{number(rate)}"


def check_rate(rate: object) -> None:
    """Raises InputError unless it is a learning rate, or None."""
    if rate is None:
        return
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= MAX_RATE:
        raise InputError(
            f"learning rate {brief(rate)}: it must be above 0 and at most {MAX_RATE:g}"
        )


def _parse_rate(word: str, column: int) -> float:
    try:
        rate = float(word.removeprefix(RATE))
        check_rate(rate)
    except ValueError:
        raise InputError(
            f"column {column}: {brief(word)} is no learning rate above 0 and at most {MAX_RATE:g}; "
            f"'{RATE}0.1' is one"
        ) from None
    return rate


def _times(word: str, length: int, before: int, column: int, shown: str) -> int:
    """How often something is repeated."""
    times = int(word[:9])
    if not times >= 1 or before + times * length > MAX_LAYERS:
        raise InputError(
            f"column {column}: {brief(shown)} makes {before + times * length} layers; "
            f"1 to {MAX_LAYERS} are allowed"
        )
    return times


def _parse_token(token: str, column: int, before: int) -> list[Layer]:
    match = _TOKEN.fullmatch(token)
    if not match:
        raise InputError(
            f"column {column}: {brief(token)} is not a layer; "
            "write '-', 'add(1)', 'concat(1,3@0.5)' or 'add(1)*28'"
        )
    times = _times(match["times"] or "1", 1, before, column, token)
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
    start, at, strength = word.partition("@")
    try:
        distance = next((value for value, (text, _) in NAMES.items() if text == start), None)
        if distance is None:
            if not start.isdecimal() or len(start) > 6:
                raise ValueError
            distance = int(start)
        return Skip(distance, float(strength) if at else 1.0)
    except ValueError:
        raise InputError(
            f"column {column}: {brief(word)} is not a skip; "
            "write a distance such as '2', '0' for the stem or 'm' for the mirrored node, or '2@0.5' "
            "with a strength"
        ) from None

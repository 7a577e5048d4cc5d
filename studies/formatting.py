"""Numbers as words, the same everywhere."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from nas.tasks.classification import CLASSIFICATION
from nas.tasks.table import TASKS
from studies.store.names import own_score

TASK_SCORES = {f"{task.way}:{task.score}": task for task in TASKS.values()}
"""Tasks by what a search of theirs optimises; those that share a score are alike in words."""
OUTPUTS = {"classes": "classes", "symbols": "symbols", "map": "channels of the map"}
"""What a skeleton's `classes` count, by its outputs."""
LONGEST = 160
"""Characters of a pattern in a table."""


def short(pattern: str) -> str:
    return pattern if len(pattern) <= LONGEST else f"{pattern[:LONGEST]}…"


def plural(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """`0.8 s`, `77 s`, `12 min 3 s`, `3 h 12 min`."""
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def points(difference: float) -> str:
    """A difference of two shares in percentage points, signed: `+0.72`."""
    return f"{100 * difference:+.2f}".replace("-", "−")


def whole_points(difference: float) -> str:
    """The same without decimals; nothing is `0`."""
    text = f"{100 * difference:+.0f}".replace("-", "−")
    return "0" if text[1:] == "0" else text


def p_value(p: float) -> str:
    """`p = 0.012`, `p < 0.001`."""
    number = p_number(p)
    return f"p {number}" if number.startswith("<") else f"p = {number}"


def p_number(p: float) -> str:
    """`0.012`, `< 0.001`."""
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def large(number: float) -> str:
    """A large count in short, `3.0 × 10¹⁷` where letters end."""
    short = count(number)
    if "e+" not in short:
        return short
    digits, _, power = short.partition("e+")
    return f"{digits}\u00a0×\u00a010{str(int(power)).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def listed(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def count(number: float) -> str:
    """A large count in short: 319.7k, 2.76M, 5.5e+17."""
    for limit, unit in ((1e3, ""), (1e6, "k"), (1e9, "M"), (1e12, "G")):
        if number < limit:
            scaled = number / (limit / 1e3)
            return f"{number:.0f}" if unit == "" else f"{scaled:.4g}{unit}"
    if number < sys.float_info.max:
        return f"{number:.1e}"
    power = math.log10(number)  # of a whole number beyond floats, such as genomes of a deep space
    return f"{10 ** (power % 1):.1f}e+{int(power)}"


def percent(share: float) -> str:
    return f"{100 * share:.2f} %"


SCORED = ("accuracy", "accuracies")
"""Keys of facts under which a score of the user's own stands in the place of accuracy."""
SIGNED = ("again", "over_fresh_seeds", "mean", "difference", "ahead", "gained")
"""Keys of facts that hold means and differences of it."""
SIGNED_INSIDE = ("whole", "cut", "retrained", "short", "long")
"""Keys of what a knock-out and the validity of a proxy hold of it."""
WITHOUT = ("data", "settings")
"""Keys of facts whose names are the user's own."""
INTERVALS = ("interval", "difference_interval")
"""Keys of facts that hold intervals of those."""


@dataclass(frozen=True)
class Score:
    """What a study ranks by, in words. In all that is computed more is better; what is to be minimised is
    negative there, and has its own sign here."""

    name: str = "accuracy"
    own: bool = False
    """Whether it is no accuracy: the user's own, or another task's."""
    sign: float = 1.0
    unit: str = "%"
    examples: str = "images"
    """What it is a score on."""
    key: str = "accuracy"
    """Its name for other programs."""
    counts: bool = False
    """Whether its name is what it counts: `2.131 bits per character`."""

    @classmethod
    def of(cls, objectives: Sequence[str], examples: str = "images") -> Score:
        """That of a study with these objectives.

        Args:
            examples: what a score of the user's own is on.
        """
        own = own_score(objectives[0]) if objectives else None
        if own is None:
            return cls()
        task = TASK_SCORES.get(objectives[0])
        if task is None:
            return cls(own[0], True, own[1], "", examples, key=own[0])
        return cls(task.label, True, own[1], task.unit, task.examples, own[0], task.counts)

    @classmethod
    def of_study(cls, record: Mapping[str, Any]) -> Score:
        """That of a recorded search, by its settings."""
        task = TASKS.get(str(record["proxy"].get("task")), CLASSIFICATION)
        return cls.of(record["objectives"], task.examples)

    def named(self, facts: Any) -> Any:
        """Facts for other programs, as nested JSON values: what stands in the place of accuracy is called
        by its own name, and has its own sign there."""
        if not self.own:
            return facts
        if isinstance(facts, list):
            return [self.named(one) for one in facts]
        if not isinstance(facts, dict):
            return facts
        named = {}
        for key, value in facts.items():
            if key in SCORED:
                named[self.key] = self._signed(value)
            elif key in INTERVALS and value is not None:
                named[key] = sorted(self._signed(value))
            elif key in WITHOUT:
                named[key] = value
            else:
                signed = key in (*SIGNED, *SIGNED_INSIDE)
                named[key] = self._signed(value) if signed else self.named(value)
        return named

    def _signed(self, told: Any) -> Any:
        """A value, or a list of them."""
        if isinstance(told, list):
            return [self._signed(one) for one in told]
        return None if told is None else self.sign * told

    @property
    def axis(self) -> str:
        return f"{self.name}, {self.unit}" if self.unit else self.name

    @property
    def an(self) -> str:
        """`an image`, `a sequence`: one of what it is a score on."""
        one = self.examples.removesuffix("s")
        return f"{'an' if one[0] in 'aeiou' else 'a'} {one}"

    @property
    def most(self) -> str:
        """Of the patterns, the one with the best score."""
        return "best" if self.own else "most accurate"

    @property
    def scale(self) -> float:
        """What a value is multiplied by on an axis of a figure, where more is up."""
        return 1.0 if self.own else 100.0

    def number(self, value: float) -> str:
        """Without a unit."""
        return f"{self.sign * value:.4g}" if self.own else f"{100 * value:.2f}"

    def show(self, value: float) -> str:
        return f"{self.number(value)} {self.unit}".rstrip()

    def reached(self, value: float, part: str) -> str:
        """`a test PSNR of 27.4 dB`, `2.131 bits per character on the test sequences`."""
        if self.counts:
            return f"{self.show(value)} {self.name} on the {part} {self.examples}"
        return f"a {part} {self.name} of {self.show(value)}"

    def spread(self, deviation: float) -> str:
        """A standard deviation."""
        return f"{deviation:.2g}" if self.own else f"{100 * deviation:.2f}"

    def change(self, difference: float) -> str:
        """Signed, without a unit: `+0.72`."""
        if not self.own:
            return points(difference)
        return f"{self.sign * difference:+.3g}".replace("-", "−")

    @property
    def changes(self) -> str:
        """The unit of a difference: `points`, `dB`, `bits per character`, `of perplexity`."""
        if not self.own:
            return "points"
        return self.name if self.counts else self.unit or f"of {self.name}"

    def changed(self, difference: float) -> str:
        """`+0.72 points`, `+0.31 dB`, `−0.31 of perplexity`."""
        return f"{self.change(difference)} {self.changes}"

    def scored(self, value: float, again: float | None) -> str:
        """A trial's score, and the mean over fresh seeds where it was a contender."""
        own = self.show(value)
        return own if again is None else f"{own}; {self.show(again)} over fresh seeds"


ACCURACY = Score()


class Tested(Protocol):
    """What a row of the finalists' table is written from."""

    @property
    def name(self) -> str: ...
    @property
    def n(self) -> int: ...
    @property
    def mean(self) -> float: ...
    @property
    def std(self) -> float | None: ...
    @property
    def params(self) -> int: ...
    @property
    def macs(self) -> int: ...
    @property
    def difference(self) -> float | None: ...
    @property
    def p(self) -> float | None: ...
    @property
    def ahead(self) -> float | None: ...
    @property
    def ahead_p(self) -> float | None: ...


def finalist_rows(
    rows: Sequence[Tested], score: Score = ACCURACY
) -> list[tuple[Tested, dict[str, str]]]:
    """The finalists' table, most accurate first: a row's texts by header, no column of them empty."""
    ranked = sorted(rows, key=lambda row: -row.mean)
    texts = [finalist_cells(row, score) for row in ranked]
    used = [header for header in texts[0] if any(cells[header] for cells in texts)]
    return [
        (row, {header: cells[header] for header in used})
        for row, cells in zip(ranked, texts, strict=True)
    ]


def finalist_cells(row: Tested, score: Score = ACCURACY) -> dict[str, str]:
    """A row of the finalists' table as text, by header."""
    spread = f" ± {score.spread(row.std)}" if row.n > 1 and row.std is not None else ""
    mean = f"{score.number(row.mean)}{spread} {score.unit}".rstrip()
    return {
        "pattern": row.name,
        f"test {score.name}": mean if row.n else "–",
        "n": str(row.n),
        "parameters": count(row.params),
        "MACs": count(row.macs),
        "vs ResNet (p)": _difference(row.difference, row.p, score),
        "vs best (p)": _difference(row.ahead, row.ahead_p, score),
    }


def _difference(difference: float | None, p: float | None, score: Score) -> str:
    if difference is None:
        return ""
    return score.change(difference) + ("" if p is None else f" ({p_number(p)})")


class AtBestRate(Protocol):
    """What a row of the tuning's table is written from."""

    @property
    def name(self) -> str: ...
    @property
    def mean(self) -> float: ...
    @property
    def std(self) -> float | None: ...
    @property
    def rate(self) -> float | None: ...


def tuning_rows(
    tuned: Sequence[AtBestRate], score: Score = ACCURACY
) -> tuple[list[str], list[list[str]]]:
    """(header, rows of text): patterns on validation images, each at its best learning rate."""
    rates = any(one.rate is not None for one in tuned)
    seeds = any(one.std is not None for one in tuned)
    header = ["pattern", score.name, *["std"] * seeds, *["learning rate"] * rates]
    rows = []
    for one in tuned:
        cells = [one.name, score.show(one.mean)]
        cells += ["" if one.std is None else score.spread(one.std)] * seeds
        cells += [f"{one.rate:g}"] if rates else []
        rows.append(cells)
    return header, rows


def without(arguments: Sequence[str], option: str) -> list[str]:
    """The arguments less an option and its value."""
    kept, skip = [], False
    for argument in arguments:
        if skip:
            skip = False
        elif argument == option:
            skip = True
        elif not argument.startswith(f"{option}="):
            kept.append(argument)
    return kept

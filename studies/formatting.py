"""Numbers as words, the same everywhere."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studies.store.trial import Trial


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
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def large(number: float) -> str:
    """A large count in short, `3.0 × 10¹⁷` where letters end."""
    short = count(number)
    if "e+" not in short:
        return short
    digits, _, power = short.partition("e+")
    return f"{digits}\u00a0×\u00a010{str(int(power)).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def amount(objective: str, value: float) -> str:
    """A value of an objective with its unit."""
    if objective == "accuracy":
        return percent(value)
    if objective.startswith("latency"):
        return f"{1000 * value:.3g} ms"
    return large(value) if objective in ("params", "macs") else f"{value:.3g}"


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


def scored(trial: Trial) -> str:
    """A trial's validation accuracy, and the mean over fresh seeds where it was a contender."""
    own = percent(trial.attrs["accuracy"])
    return own if trial.again is None else f"{own}; {percent(trial.again)} over fresh seeds"

"""The course of a search as a small SVG drawing: a dot a trial, and the best so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from studies.formatting import ACCURACY, Score

WIDTH, HEIGHT = 640, 190
LEFT, RIGHT, TOP, BASE = 46, 535, 12, 160
"""Of the axes, in pixels."""
LINE = 11.0
"""Pixels between two labels."""


def course_svg(
    scores: Mapping[int, float], given: Mapping[str, float], score_of: Score = ACCURACY
) -> str:
    """Empty for fewer than two trials. Scores far below the others lie on the lower edge.

    Args:
        scores: accuracy by trial number, in rising order.
        given: accuracy of the patterns that no search found, by name.
        score_of: what they are, in words.
    """
    if len(scores) < 2:
        return ""
    high, last = max(scores.values()), max(scores)
    near = sorted(scores.values())[len(scores) // 10]
    least = 1e-6 * (abs(high) or 1.0) if score_of.own else 0.01
    low = min(near - (high - near), high - least)

    def x(number: float) -> float:
        return LEFT + (RIGHT - LEFT) * number / max(last, 1)

    def y(score: float) -> float:
        return BASE - (BASE - TOP) * max(0.0, score - low) / (high - low)

    path, best = "", float("-inf")
    dots = []
    for number, score in scores.items():
        dots.append(
            f'<circle cx="{x(number):.1f}" cy="{y(score):.1f}" r="2.2" fill="currentColor" '
            f'opacity="0.4"><title>trial {number}: {score_of.show(score)}</title></circle>'
        )
        if score > best:
            path += f"V{y(score):.1f}" if path else f"M{x(number):.1f} {y(score):.1f}"
            best = score
        path += f"H{x(number):.1f}"
    lines = {name: (y(score), score < low) for name, score in given.items()}
    parts = [
        *dots,
        *_given(lines),
        f'<path d="{path}" fill="none" stroke="#4477aa" stroke-width="2"/>',
        f'<path d="M{LEFT} {TOP}V{BASE}H{RIGHT}" fill="none" stroke="currentColor"/>',
        _label(LEFT - 5, y(high) + 4, score_of.show(high).replace(" ", ""), "end"),
        _label(LEFT - 5, BASE + 4, score_of.show(low).replace(" ", ""), "end"),
        _label(RIGHT, BASE + 16, f"trial {last}", "end"),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img" aria-label="{escape(score_of.name)} by trial" font-family="sans-serif" '
        f'style="max-width:100%;height:auto">{"".join(parts)}</svg>'
    )


def _given(lines: Mapping[str, tuple[float, bool]]) -> Iterator[str]:
    """Dashed lines with their names, which are kept apart."""
    above = 0.0
    for name, (at, below) in sorted(lines.items(), key=lambda item: item[1]):
        above = max(at, above + LINE)
        if not below:
            yield (
                f'<path d="M{LEFT} {at:.1f}H{RIGHT}" stroke="currentColor" opacity="0.6" '
                'stroke-dasharray="4 3"/>'
            )
        yield _label(RIGHT + 5, above + 3.5, f"{name} (below)" if below else name, "start")


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text x="{x}" y="{y:.1f}" font-size="10" text-anchor="{anchor}" fill="currentColor">'
        f"{escape(text)}</text>"
    )

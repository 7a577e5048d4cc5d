"""The rule of verdicts: what holds, what does not, and what a short training cannot decide."""

import itertools
import math
import re

import numpy as np
import pytest
from scipy import stats

from baselines.exercises.page import Page, render
from baselines.exercises.summaries import learns
from baselines.exercises.verdicts import (
    EARNED,
    FAILS,
    HOLDS,
    NOT_EARNED,
    OPEN,
    SHORT,
    WRONG,
    Context,
    Point,
    absolute,
    ended,
    every,
    graded,
    more,
    most,
)
from nas.drawing.canvas import Canvas
from nas.drawing.series import log_y, mark_outliers, power_of_ten, style, window
from nas.statistics import interval

QUICK, SHEET = Context("fashion-mnist", "quick"), Context("cifar10", "full")
OTHER = Context("digits", "full")
CLEAR, UNCLEAR = [0.9, 0.91, 0.92], [0.5, 0.99, 0.7]
LOW = [0.8, 0.81, 0.82]


def test_intervals():
    values = [0.1, 0.3, 0.2, 0.25]
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert interval(values) == pytest.approx(expected)
    assert interval([1.0]) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("point", "verdict"),
    [
        (more("", CLEAR, LOW), HOLDS),
        (more("", LOW, [0.9, 0.91, 0.93]), FAILS),
        (more("", UNCLEAR, LOW), OPEN),
        (more("", [0.9], [0.8]), OPEN),
        (absolute("", 0.75, [0.74, 0.75, 0.76], SHEET), HOLDS),
        (absolute("", 0.75, CLEAR, SHEET), FAILS),
        (absolute("", 0.75, [0.75], SHEET), OPEN),
        (absolute("", 0.75, [0.30, 0.45, 0.90], SHEET), OPEN),
        (most("", [0.8, 0.9, 0.85], "x"), HOLDS),
        (most("", [0.1, 0.2, 0.15], "x"), FAILS),
        (most("", [0.9], "x"), OPEN),
        (every("", [True, True], "x"), HOLDS),
        (every("", [True, False], "x"), FAILS),
        (learns("", [1.0, 1.1, 1.2], 10), HOLDS),
        (learns("", [2.5, 2.6, 2.7], 10), FAILS),
        (learns("", [2.2, 2.3, 2.4], 10), OPEN),
        (learns("", [1.0, 1.1, math.nan], 10), FAILS),
    ],
)
def test_the_interval_decides(point, verdict):
    assert point.verdict == verdict
    assert bool(point.why) == (verdict == OPEN)


def test_an_interval_of_shares_stays_within_them():
    low, high = re.search(r"\[(.*), (.*)\]", most("", [0, 0, 0.1, 0, 0.2], "x").measured).groups()
    assert 0 < float(low) < 6 < float(high) < 100


@pytest.mark.parametrize(
    "point",
    [more("", CLEAR, LOW), more("", LOW, CLEAR), more("", UNCLEAR, LOW), every("", [True], "x"),
     every("", [False], "x")],
)  # fmt: skip
def test_a_training_that_is_too_short_decides_neither_way(point):
    short, long = ended(point, QUICK), ended(point, SHEET)
    assert (short.verdict, short.why, short.measured) == (OPEN, SHORT, point.measured)
    assert long.verdict == ended(point, OTHER).verdict == point.verdict
    assert short.end
    assert long.end


@pytest.mark.parametrize("scores", [[0.74, 0.75, 0.76], CLEAR, [0.1, 0.11, 0.12]])
def test_an_accuracy_in_percent_is_decided_on_the_sheets_data_alone(scores):
    assert absolute("", 0.75, scores, QUICK).why == SHORT
    assert absolute("", 0.75, scores, OTHER).why == "digits is not CIFAR-10"
    assert absolute("", 0.75, scores, SHEET).verdict != OPEN


def test_why_nothing_is_decided():
    assert more("", UNCLEAR, LOW).why == "the interval holds both answers"
    assert more("", [0.9], [0.8]).why == "one training has no interval"


HELD, FAILED, OPENED = (Point(v, "3 %", 5, v) for v in (HOLDS, FAILS, OPEN))


@pytest.mark.parametrize("points", [*itertools.product((HELD, FAILED, OPENED), repeat=2)])
def test_a_grade_is_earned_where_all_its_rows_hold(points):
    grade = graded(4, 9, "line", "see there", *points)
    verdicts = {point.verdict for point in points}
    state = WRONG if FAILS in verdicts else NOT_EARNED if OPEN in verdicts else EARNED
    assert grade.state == state
    assert (grade.why == "see there") == (state == EARNED)
    if state != EARNED:
        assert "3 %" in grade.why


def test_pages_escape_what_they_are_given():
    bad = '<i>"&|'
    page = Page("e", bad, (bad, bad), [Point(bad, bad, 1, OPEN)], [graded(1, 2, bad, bad)], {}, [])
    text = render(page, [(bad, bad)])
    assert "<i>" not in text
    assert text.count("&lt;i&gt;&#34;&amp;|") >= 9
    assert render(page, [(bad, bad)]) == text


def test_no_two_lines_of_a_panel_look_alike():
    looks = [(s["color"], s["marker"]) for s in map(style, range(9))]
    assert len({colour for colour, _ in looks}) == len({marker for _, marker in looks}) == 9
    assert all(style(i)["linestyle"] != style(i + 1)["linestyle"] for i in range(9))


def test_outliers_stand_at_the_edge_with_their_value():
    values = [1.0, 2.0, 1.5, 1.2, 58.3, 1.8, -40.0, 91.0, 1.1, 1.9, 1.4, 1.6]
    low, high = window(values)
    assert 0 < low < 1
    assert 2 < high < 3
    canvas = Canvas("x", "label")
    mark_outliers(canvas.axes, range(len(values)), values, (low, high), 0)
    assert [note.get_text() for note in canvas.axes.texts] == ["58.3 at 4, 91 at 7", "-40 at 6"]
    assert [list(line.get_ydata()) for line in canvas.axes.lines] == [[high, high], [low]]
    assert window([3.0, 3.0]) == pytest.approx((3, 3))


@pytest.mark.parametrize(
    ("value", "text"), [(1e-30, "10⁻³⁰"), (0.01, "0.01"), (1, "1"), (1e6, "10⁶")]
)
def test_powers_of_ten(value, text):
    assert power_of_ten(value) == text
    canvas = Canvas("x", "label")
    canvas.axes.plot([1, 2], [value, 10 * value])
    log_y(canvas.axes)
    assert f">{text}<" in canvas.svg()

"""The time left of many jobs, with a terminal and without."""

import io

import pytest
from rich.console import Console

from studies.cli import progress
from studies.cli.progress import JobProgress


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("share", "left"), [(0.25, "3 min 0 s left"), (0.5, "60 s left"), (None, "9 min 0 s left")]
)
def test_a_line_says_the_time_left(clock, share, left):
    out = io.StringIO()
    with JobProgress(Console(file=out, width=100), quiet=False) as shown:
        shown.update(0, 10, "", share and 0.0)
        clock[0] += 60
        shown.update(1, 10, "resnet-50 seed 1", share)
        shown.update(10, 10, "resnet-50 seed 2", share and 1.0)
    assert out.getvalue().splitlines() == [
        "0/10 trainings",
        f"1/10 trainings · resnet-50 seed 1 · {left}",
        "10/10 trainings · resnet-50 seed 2",
    ]


def test_the_time_of_other_jobs_is_counted_anew(clock):
    out = io.StringIO()
    with JobProgress(Console(file=out, width=100), quiet=False) as shown:
        for total, seconds in ((2, 600), (4, 10)):
            shown.update(0, total, "")
            clock[0] += seconds
            shown.update(1, total, "")
    assert out.getvalue().splitlines()[1::2] == [
        "1/2 trainings · 10 min 0 s left",
        "1/4 trainings · 30 s left",
    ]


def test_quiet_says_nothing(clock):
    out = io.StringIO()
    with JobProgress(Console(file=out), quiet=True) as shown:
        shown.update(0, 1, "", 0.0)
        shown.update(1, 1, "a", 1.0)
    assert out.getvalue() == ""


def test_a_terminal_shows_it_beside_the_bar(clock):
    out = io.StringIO()
    with JobProgress(Console(file=out, width=100, force_terminal=True), quiet=False) as shown:
        shown.update(0, 4, "", 0.0)
        clock[0] += 30
        shown.update(1, 4, "resnet-50 seed 1", 0.2)
    assert "1/4" in out.getvalue()
    assert "2 min 0 s left" in out.getvalue()

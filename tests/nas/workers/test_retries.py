"""Waiting jobs: packs, second tries, and jobs that are to be alone."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.workers.protocol import Died, Finished, Pack
from nas.workers.retries import NODE_LOSSES, TRIES, Backlog

CRASH = Died("with a crash on mars", full=False, late=False)


def backlog(count, pack=1, crowded=lambda result: result == "full"):
    waiting = Backlog(pack, crowded)
    for number in range(count):
        waiting.add(SimpleNamespace(number=number))
    return waiting


def deal(waiting, running=(), free=1):
    return waiting.deal(running, free).numbers


def test_packs_are_even():
    waiting, running = backlog(7, pack=4), []
    for free in (3, 2, 1):
        running.append(waiting.deal(running, free))
    assert [handout.numbers for handout in running] == [[0, 1, 2], [3, 4], [5, 6]]
    assert isinstance(running[0].job, Pack)
    assert running[0].job.number == 0


def test_a_lost_pack_runs_again_one_by_one_and_before_all_others():
    waiting = backlog(4, pack=3)
    handout = waiting.deal([], 1)
    assert waiting.died(handout, CRASH) == []
    assert [deal(waiting) for _ in range(4)] == [[0], [1], [2], [3]]
    assert waiting.deal([], 1) is None


@pytest.mark.parametrize(("late", "tries"), [(False, 3), (True, 2)])
def test_a_job_whose_process_dies_has_its_last_try_alone(late, tries):
    waiting, death = backlog(1), replace(CRASH, late=late)
    for _ in range(tries - 1):
        handout = waiting.deal([], 1)
        assert not handout.alone
        assert waiting.died(handout, death) == []
    last = waiting.deal([], 1)
    assert last.alone
    (failed,) = waiting.died(last, death)
    why = f"its process ended {tries} times, the last time with a crash on mars"
    assert failed == Finished(0, None, why)


def test_deaths_are_forgotten_with_a_result_as_numbers_come_again():
    waiting = backlog(0)
    for _ in range(TRIES):
        waiting.add(SimpleNamespace(number=5))
        for _ in range(TRIES - 1):
            assert waiting.died(waiting.deal([], 1), CRASH) == []
        result = Finished(5, "result")
        assert waiting.finished(waiting.deal([], 1), result) == [result]


def test_there_is_room_for_what_can_start():
    waiting = backlog(0, pack=3)
    assert waiting.room([], 2) == 6
    waiting = backlog(2, pack=3)
    first = waiting.deal([], 2)
    assert (first.numbers, waiting.room([first], 1)) == ([0], 2)
    assert waiting.finished(first, Finished(0, "full")) == []
    assert waiting.room([], 2) == 0  # 0 waits until it is alone
    alone = waiting.deal([], 2)
    assert (alone.numbers, waiting.room([alone], 1)) == ([0], 0)
    assert waiting.finished(alone, Finished(0, "full"))
    assert waiting.room([], 2) == 5


def test_a_job_without_memory_is_alone_at_once():
    waiting = backlog(2)
    assert waiting.died(waiting.deal([], 1), replace(CRASH, full=True)) == []
    assert waiting.deal([], 1).alone
    assert waiting.finished(waiting.deal([], 1), Finished(1, None, "MemoryError", full=True)) == []
    assert waiting.deal([], 1).alone


def test_a_crowded_result_is_tried_again_alone_and_then_stands():
    waiting = backlog(3, pack=3)
    handout = waiting.deal([], 1)
    assert waiting.finished(handout, Finished(0, ["ok", "full", "ok"])) == [
        Finished(0, "ok"),
        Finished(2, "ok"),
    ]
    waiting.add(SimpleNamespace(number=3))
    assert waiting.deal([handout], 5) is None  # it waits until nothing runs
    alone = waiting.deal([], 5)
    assert (alone.numbers, alone.alone) == ([1], True)
    assert waiting.deal([alone], 4) is None  # and so do the others for it
    assert waiting.finished(alone, Finished(1, "full")) == [Finished(1, "full")]
    assert deal(waiting) == [3]


def test_nodes_may_die_often():
    waiting = backlog(2, pack=2)
    for _ in range(NODE_LOSSES - 1):
        assert waiting.lost(waiting.deal([], 1)) == []
    failed = waiting.lost(waiting.deal([], 1))
    assert [report.number for report in failed] == [0, 1]
    assert failed[0].why == f"its node died {NODE_LOSSES} times"


@given(
    st.integers(1, 8),
    st.integers(1, 4),
    st.integers(1, 3),
    st.lists(
        st.sampled_from(["ok", "full", "error", "crash", "late", "memory", "lost"]), max_size=40
    ),
)
def test_every_job_ends_once_whatever_happens(count, pack, tasks, fates):
    waiting, running, ended = backlog(count, pack), [], []
    fates = iter(fates)
    tries = 0
    while len(ended) < count:
        while handout := waiting.deal(running, tasks - len(running)):
            running.append(handout)
        assert running
        assert len(running) == 1 or not any(handout.alone for handout in running)
        assert 0 <= waiting.room(running, tasks - len(running)) <= pack * tasks
        handout, fate = running.pop(0), next(fates, "ok")
        tries += 1
        results = [fate] * len(handout.jobs) if len(handout.jobs) > 1 else fate
        ended += {
            "crash": lambda b, r: waiting.died(b, CRASH),
            "late": lambda b, r: waiting.died(b, replace(CRASH, late=True)),
            "memory": lambda b, r: waiting.died(b, replace(CRASH, full=True)),
            "lost": lambda b, r: waiting.lost(b),
            "error": lambda b, r: waiting.finished(b, Finished(b.job.number, None, "error")),
        }.get(fate, lambda b, r: waiting.finished(b, Finished(b.job.number, r)))(handout, results)
    assert sorted(report.number for report in ended) == list(range(count))
    assert tries <= count * (TRIES + NODE_LOSSES + 2)
    assert waiting.room([], tasks) == pack * tasks
    assert not running

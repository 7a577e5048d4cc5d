"""What every pool keeps, really done: results, answers, deaths, limits."""

import sys
import time

import pytest

from nas import InputError
from nas.workers.process_pool import Workers
from nas.workers.protocol import Allowance, Finished
from nas.workers.ray_pool import RayWorkers
from nas.workers.retries import TRIES
from tests.nas.workers.tasks import Act, Context, Deadly, Question, act, crowded


@pytest.fixture(params=["processes", pytest.param("ray", marks=pytest.mark.slow)])
def pool(request):
    if request.param == "processes":
        return Workers
    request.getfixturevalue("local_ray")
    return RayWorkers


@pytest.fixture
def context(tmp_path):
    return Context(tmp_path)


@pytest.fixture
def run(pool, context):
    def run(*acts, count=2, pack=1, allowance=Allowance()):
        jobs = [Act(number, what) for number, what in enumerate(acts)]
        with pool(act, context, count, pack, allowance, crowded) as workers:
            assert workers.idle == count * pack
            reports = [r for r in workers.run(jobs) if isinstance(r, Finished)]
        assert sorted(r.number for r in reports) == list(range(len(acts)))  # none lost or twice
        return sorted(reports, key=lambda report: report.number)

    return run


def results(reports):
    return [report.result for report in reports]


def test_a_process_is_prepared_once_and_before_its_first_job(run, context):
    assert results(run("look", *["work"] * 5)) == [("cpu", "1"), *["worked"] * 5]
    prepared = context.log("prepare")
    assert {device for _, device in prepared} == {"cpu"}
    assert len({pid for pid, _ in prepared}) == len(prepared) <= 2
    assert (context.folder / "log").read_text().startswith("prepare")


@pytest.mark.parametrize("pack", [1, 3])
def test_answers_reach_the_job_that_asks(pool, context, pack):
    asked, found = [], {}
    with pool(act, context, 1, pack) as workers:
        for report in workers.run([Act(number, "ask") for number in range(3)]):
            if isinstance(report, Question):
                assert report.number not in found
                asked.append(report)
                workers.answer(report.number, (report.number, report.step))
            else:
                found[report.number] = report.result
    assert asked == [Question(number, step) for number in range(3) for step in range(3)]
    assert found == {n: [(n, step) for step in range(3)] for n in range(3)}


def test_what_fails_or_dies_costs_only_itself(run, context):
    found = run("die", "raise", "work", "work", "work")
    assert results(found) == [None, None, "worked", "worked", "worked"]
    assert found[0].why.startswith(f"its process ended {TRIES} times, the last time ")
    assert not found[0].full
    tries = context.tries(0)
    assert len(tries) == TRIES
    assert tries[-1] == set()  # alone
    assert found[1].why == "RuntimeError: not today"
    assert len(context.tries(1)) == 1


def test_a_process_that_dies_once_costs_a_try(run, context):
    assert results(run("die once", "work")) == ["worked", "worked"]
    assert len(context.tries(0)) == 2


def test_a_pack_whose_process_dies_is_run_one_by_one(run, context):
    found = run("work", "die", "raise", count=1, pack=3)
    assert results(found) == ["worked", None, None]
    assert "the last time" in found[1].why
    assert found[2].why == "RuntimeError: not today"
    assert len(context.tries(1)) == 1 + TRIES


def test_a_time_limit_ends_what_hangs_and_only_that(run, context):
    found = run("hang", "work", "work", allowance=Allowance(seconds=4))
    assert results(found) == [None, "worked", "worked"]
    assert found[0].why == "its process ended 2 times, the last time at the limit of 4 seconds"
    assert len(context.tries(0)) == 2


def test_a_time_limit_does_not_count_while_nobody_listens(pool, context):
    """As where a database is waited for: the job is heard late, and answered late."""
    found = []
    with pool(act, context, 1, 1, Allowance(seconds=3), crowded) as workers:
        for report in workers.run([Act(0, "ask")]):
            if isinstance(report, Question):
                time.sleep(1.5)
                workers.answer(0, report.step)
            else:
                found.append(report.result)
    assert found == [[0, 1, 2]]
    assert len(context.tries(0)) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_a_memory_limit_ends_what_takes_more_and_only_that(run, context):
    found = run("allocate", "work", allowance=Allowance(memory=4 << 30))
    assert results(found) == [None, "worked"]
    assert found[0].why.startswith("MemoryError")
    assert found[0].full
    assert context.tries(0)[1:] == [set()]  # alone


def test_what_memory_did_not_suffice_for_runs_again_alone(run, context):
    found = run("work", "fill once", "work", "fill", "work", "work")
    assert results(found) == ["worked", "fits", "worked", "full", "worked", "worked"]
    for number in (1, 3):
        assert context.tries(number)[1:] == [set()]  # alone


def test_processes_that_never_come_to_a_job_end_the_run(pool, tmp_path):
    with (
        pytest.raises(InputError, match=r"cannot start|before their first job"),
        pool(act, Deadly(tmp_path), 1) as workers,
    ):
        list(workers.run([Act(number) for number in range(3)]))

"""What a candidate can do to its worker, really done: each costs one trial at most."""

import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from nas import Genome, InputError
from nas.architecture.merges import MERGES, Add
from nas.evaluation.jobs import EvaluationContext, EvaluationJob, evaluate_job, memory_ended
from nas.workers.process_pool import Workers
from nas.workers.protocol import Allowance, Died, Finished, check_allowance

PLUGIN = """
import ctypes, os, signal, time
from pathlib import Path
import torch
from nas.architecture.merges import Add

HERE = Path(__file__).parent


def tries(name):
    with (HERE / f"{name}.tries").open("a") as file:
        file.write("x")
    return (HERE / f"{name}.tries").stat().st_size


class Killed(Add):
    def forward(self, learnt, branch, skips, previous):
        os.kill(os.getpid(), signal.SIGKILL)


class Crash(Add):
    def forward(self, learnt, branch, skips, previous):
        tries("crash")
        ctypes.string_at(0)  # a segmentation fault


class KilledOnce(Add):
    def forward(self, learnt, branch, skips, previous):
        if tries("once") == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(learnt, branch, skips, previous)


class Hang(Add):
    def forward(self, learnt, branch, skips, previous):
        tries("hang")
        time.sleep(600)


class Hungry(Add):
    def forward(self, learnt, branch, skips, previous):
        tries("hungry")
        torch.ones(2_000_000_000, dtype=torch.uint8)  # 2 GB


class Crowded(Add):
    def forward(self, learnt, branch, skips, previous):
        if tries("crowded") == 1:
            raise MemoryError("crowded")
        return super().forward(learnt, branch, skips, previous)


MERGES = {
    "killed": Killed(), "crash": Crash(), "killed-once": KilledOnce(), "hang": Hang(),
    "hungry": Hungry(), "crowded": Crowded(),
}
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    for name in ("killed", "crash", "killed-once", "hang", "hungry", "crowded"):
        monkeypatch.setitem(MERGES, name, Add())
    path = tmp_path / "faults.py"
    path.write_text(PLUGIN)
    return path


@pytest.fixture
def run(digits, small_space, plugin):
    def run(patterns, count=1, allowance=Allowance()):
        context = EvaluationContext(small_space.skeleton, digits, ("cpu",), plugins=(plugin,))
        jobs = [
            EvaluationJob(i, Genome.parse(p), small_space.proxy, 0) for i, p in enumerate(patterns)
        ]
        with Workers(evaluate_job, context, count, 1, allowance, memory_ended) as workers:
            reports = [r for r in workers.run(jobs) if isinstance(r, Finished)]
        assert sorted(r.number for r in reports) == list(range(len(patterns)))  # none lost or twice
        return {report.number: report for report in reports}

    return run


def tries(plugin, name):
    return (plugin.parent / f"{name}.tries").stat().st_size


def test_a_native_crash_is_tried_again_and_then_fails(run, plugin):
    found = run(["crash(1)*4", "add(1)*4"])
    assert found[0].result is None
    assert not found[0].full
    assert found[0].why == "its process ended 3 times, the last time by signal SIGSEGV"
    assert tries(plugin, "crash") == 3
    assert found[1].result.status == "ok"


def test_a_process_that_is_killed_once_gives_the_result_of_one_that_was_not(run):
    found = run(["killed-once(1)*4", "add(1)*4"], count=2)
    same = {"seconds": 0.0, "peak_bytes": None, "genome": None}
    assert replace(found[0].result, **same) == replace(found[1].result, **same)


def test_who_kills_every_worker_does_not_end_the_others(run):
    found = run(["killed(1)*4", "add(1)*4", "killed(1) add(1)*3", "-*4"], count=2)
    assert [found[i].result is None for i in range(4)] == [True, False, True, False]


def test_a_time_limit_ends_what_hangs_and_only_that(run, plugin):
    started = time.monotonic()
    found = run(["hang(1)*4", "add(1)*4"], count=2, allowance=Allowance(seconds=3))
    assert time.monotonic() - started < 60
    assert found[0].why == "its process ended 2 times, the last time at the limit of 3 seconds"
    assert tries(plugin, "hang") == 2
    assert found[1].result.status == "ok"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_memory_that_really_ends_is_tried_alone_and_then_infeasible(run, plugin):
    patterns = ["hungry(1)*4", "add(1)*4", "-*4", "add(1) -*3"]
    found = run(patterns, count=2, allowance=Allowance(memory=400_000_000))
    assert found[0].result.status == "out of memory"
    assert "allocate" in found[0].result.why
    assert found[0].result.accuracy == 0
    assert tries(plugin, "hungry") == 2
    assert [found[i].result.status for i in (1, 2, 3)] == ["ok"] * 3


def test_memory_that_ended_beside_others_is_enough_alone(run, plugin):
    found = run(["add(1)*4", "crowded(1)*4", "-*4"], count=2)
    assert {r.result.status for r in found.values()} == {"ok"}
    assert tries(plugin, "crowded") > 2


def test_deaths_are_counted_by_job_and_numbers_come_again():
    workers, job = Workers(None, None, 1), SimpleNamespace(number=5)
    died = Died("by signal SIGKILL", full=False, late=False)
    for _ in range(3):
        assert list(workers._lost([job], died)) == []
        assert list(workers._lost([job], died)) == []
        assert list(workers._finished([job], Finished(5, "result"))) == [Finished(5, "result")]


def test_limits_that_cannot_be_kept_are_refused():
    with pytest.raises(InputError, match="--time-limit 0: it must be above 0 seconds"):
        check_allowance(Allowance(seconds=0))
    with pytest.raises(InputError, match="--time-limit nan"):
        check_allowance(Allowance(seconds=float("nan")))

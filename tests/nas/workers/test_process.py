"""What an evaluated candidate can do to its process, really done: it costs one trial at most."""

import sys
from dataclasses import replace

import pytest

from nas import Genome, InputError
from nas.architecture.merges import MERGES, Add
from nas.evaluation.jobs import EvaluationContext, EvaluationJob, evaluate_job, memory_ended
from nas.workers.process_pool import Workers
from nas.workers.protocol import Allowance, Finished, check_allowance

PLUGIN = """
import ctypes, os, signal
from pathlib import Path
import torch
from nas.architecture.merges import Add

HERE = Path(__file__).parent


def tries(name):
    with (HERE / f"{name}.tries").open("a") as file:
        file.write("x")
    return (HERE / f"{name}.tries").stat().st_size


class Crash(Add):
    def forward(self, learnt, branch, skips, previous):
        tries("crash")
        ctypes.string_at(0)  # a segmentation fault


class KilledOnce(Add):
    def forward(self, learnt, branch, skips, previous):
        if tries("once") == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(learnt, branch, skips, previous)


class Hungry(Add):
    def forward(self, learnt, branch, skips, previous):
        tries("hungry")
        torch.ones(2_000_000_000, dtype=torch.uint8)  # 2 GB


MERGES = {"crash": Crash(), "killed-once": KilledOnce(), "hungry": Hungry()}
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    for name in ("crash", "killed-once", "hungry"):
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


@pytest.mark.slow
def test_a_native_crash_is_tried_again_and_then_fails(run, plugin):
    found = run(["crash(1)*4", "add(1)*4"])
    assert found[0].result is None
    assert not found[0].full
    assert found[0].why == "its process ended 3 times, the last time by signal SIGSEGV"
    assert tries(plugin, "crash") == 3
    assert found[1].result.status == "ok"


@pytest.mark.slow
def test_a_process_that_is_killed_once_gives_the_result_of_one_that_was_not(run):
    found = run(["killed-once(1)*4", "add(1)*4"], count=2)
    same = {"seconds": 0.0, "peak_bytes": None, "genome": None}
    assert replace(found[0].result, **same) == replace(found[1].result, **same)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_memory_that_really_ends_is_tried_alone_and_then_infeasible(run, plugin):
    patterns = ["hungry(1)*4", "add(1)*4", "-*4", "add(1) -*3"]
    found = run(patterns, count=2, allowance=Allowance(memory=400_000_000))
    assert found[0].result.status == "out of memory"
    assert "allocate" in found[0].result.why
    assert found[0].result.accuracy == 0
    assert tries(plugin, "hungry") == 2
    assert [found[i].result.status for i in (1, 2, 3)] == ["ok"] * 3


def test_limits_that_cannot_be_kept_are_refused():
    with pytest.raises(InputError, match="--time-limit 0: it must be above 0 seconds"):
        check_allowance(Allowance(seconds=0))
    with pytest.raises(InputError, match="--time-limit nan"):
        check_allowance(Allowance(seconds=float("nan")))

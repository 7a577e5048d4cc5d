"""Worker processes of this machine: results, lone tries, orphans."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from nas import Genome, evaluate
from nas.evaluation.jobs import Epoch, EvaluationContext, EvaluationJob, evaluate_job
from nas.workers.process_pool import Workers
from nas.workers.protocol import Finished
from tests.nas.workers.tasks import Act, Context, act, crowded


def run_jobs(context, count, jobs):
    found, epochs = {}, {}
    with Workers(evaluate_job, context, count) as workers:
        for report in workers.run(jobs):
            if isinstance(report, Finished):
                found[report.number] = report
            else:
                epochs.setdefault(report.number, []).append(report)
    return found, epochs


def test_results_are_those_of_a_single_process(digits, small_space):
    proxy = replace(small_space.proxy, epochs=2)
    patterns = ["-*4", "add(1)*4", "add(1) concat(1,2@0.5) - add(3)"]
    jobs = [EvaluationJob(i, Genome.parse(p), proxy, 5) for i, p in enumerate(patterns)]
    found, epochs = run_jobs(EvaluationContext(small_space.skeleton, digits, ("cpu",)), 2, jobs)
    for job in jobs:
        alone = evaluate(job.genome, small_space.skeleton, proxy, 5, digits, "cpu")
        same = {"seconds": 0.0, "peak_bytes": None}
        assert replace(found[job.number].result, **same) == replace(alone, **same)
        assert epochs[job.number] == [
            Epoch(job.number, e, a) for e, a in enumerate(alone.accuracies, 1)
        ]


def test_a_lone_try_ends_the_idle_processes_too(tmp_path):
    """What they keep is memory."""
    jobs = [Act(0, "fill"), Act(1), Act(2)]
    with Workers(act, Context(tmp_path), 2, crowded=crowded) as workers:
        before, during = set(), set()
        for report in workers.run(jobs, idle=lambda: before.update(workers.pids)):
            if report.number == 0:
                during.update(workers.pids)
    assert len(before) > 1
    assert len(during) == 1


PARENT = """
import sys, time
from nas.data.load import load_data
from nas.evaluation.jobs import *
from nas.workers.process_pool import *
from nas import Genome, Proxy, Skeleton, Stage
if __name__ == "__main__":
    context = EvaluationContext(Skeleton((1, 8, 8), 10, (Stage(4, 16),)), load_data("digits"), ("cpu",))
    with Workers(evaluate_job, context, 2) as workers:
        for i in range(2):
            workers.submit(EvaluationJob(i, Genome.residual(4), Proxy(epochs=1000), 0))
        for report in workers.reports(60):
            break
        print(*workers.pids, flush=True)
        time.sleep(600)
"""


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0]
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc")
def test_workers_end_with_a_killed_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    assert all(map(alive, pids))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 300
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, pids))


BARE = """
from nas.data.load import load_data
from nas.evaluation.jobs import *
from nas.workers.process_pool import *
from nas import Genome, Proxy, Skeleton, Stage
context = EvaluationContext(Skeleton((1, 8, 8), 10, (Stage(4, 16),)), load_data("digits"), ("cpu",))
with Workers(evaluate_job, context, 1) as workers:
    list(workers.run([EvaluationJob(0, Genome.residual(4), Proxy(), 0)]))
"""


@pytest.mark.slow
def test_a_script_without_a_main_guard_is_told(tmp_path):
    script = tmp_path / "bare.py"
    script.write_text(BARE)
    found = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=300, check=False
    )
    assert "a script of your own needs its calls under `if __name__" in found.stderr

"""Evaluations as Ray tasks: the same results as of local workers, whatever dies."""

import os
import socket
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

ray = pytest.importorskip("ray")

from nas import Genome, InputError, evaluate  # noqa: E402
from nas.devices.device import device_kind, find_device  # noqa: E402
from nas.evaluation.jobs import Epoch, EvaluationContext, EvaluationJob, evaluate_job  # noqa: E402
from nas.workers.process_pool import Workers  # noqa: E402
from nas.workers.protocol import Allowance, Finished  # noqa: E402
from nas.workers.ray_cluster import connected, room  # noqa: E402
from nas.workers.ray_pool import RayWorkers  # noqa: E402
from nas.workers.ray_tasks import device_of  # noqa: E402

PATTERNS = ["-*4", "add(1)*4", "add(1) concat(1,2@0.5) - add(3)"]
EMPTY = SimpleNamespace(devices=("cpu",), plugins=())
"""A context for tasks that need none."""


@pytest.fixture
def small_bench(small_space, digits):
    return EvaluationContext(small_space.skeleton, digits, ("cpu",))


@pytest.fixture(scope="module")
def started():
    """Ray on this machine, for all tests that do not start it themselves."""
    with connected(cpus=2):
        yield


def run_jobs(workers, jobs):
    found, epochs = {}, {}
    with workers:
        for report in workers.run(jobs):
            if isinstance(report, Finished):
                found[report.number] = report
            else:
                assert report.number not in found
                epochs.setdefault(report.number, []).append(report)
    return found, epochs


def numbers(count):
    return [SimpleNamespace(number=number) for number in range(count)]


def measured_nothing(evaluation):
    return replace(evaluation, seconds=0.0, peak_bytes=None)


def test_results_are_those_of_local_workers(small_space, small_bench):
    proxy = replace(small_space.proxy, epochs=2)
    jobs = [EvaluationJob(i, Genome.parse(p), proxy, 5) for i, p in enumerate(PATTERNS)]
    kind = device_kind(find_device("cpu"))
    far, far_epochs = run_jobs(RayWorkers(evaluate_job, small_bench, 2, kind=kind), jobs)
    near, near_epochs = run_jobs(Workers(evaluate_job, small_bench, 1), jobs)
    for job in jobs:
        here, there = near[job.number].result, far[job.number].result
        assert measured_nothing(there) == measured_nothing(here)
        assert [e.epoch for e in far_epochs[job.number]] == [1, 2]
    assert far_epochs == near_epochs
    assert not ray.is_initialized()


@pytest.mark.usefixtures("started")
def test_a_pack_is_one_task_and_answers_reach_each_of_its_jobs(small_space, small_bench):
    proxy = replace(small_space.proxy, epochs=3)
    jobs = [EvaluationJob(i, Genome.parse(p), proxy, 5, ask=True) for i, p in enumerate(PATTERNS)]
    found = {}
    with RayWorkers(evaluate_job, small_bench, 1, pack=3) as workers:
        assert workers.idle == 3
        for report in workers.run(jobs):
            if isinstance(report, Epoch):
                workers.answer(report.number, report.number == 1 and report.epoch == 2)
            else:
                found[report.number] = report.result
    assert [found[i].status for i in range(3)] == ["ok", "pruned", "ok"]
    assert [len(found[i].accuracies) for i in range(3)] == [3, 2, 3]


PLUGIN = """
import os, signal
from nas.architecture.merges import Add  # noqa: E402
class Die(Add):
    def forward(self, learnt, branch, skips, previous):
        os.kill(os.getpid(), signal.SIGKILL)
class Raise(Add):
    def forward(self, learnt, branch, skips, previous):
        raise RuntimeError("not today")
MERGES = {"die": Die(), "raise": Raise()}
"""


@pytest.mark.usefixtures("started")
def test_a_dying_or_failing_candidate_costs_only_itself(
    small_space, small_bench, tmp_path, monkeypatch
):
    from nas.architecture.merges import MERGES, Add

    monkeypatch.setitem(MERGES, "die", Add())
    monkeypatch.setitem(MERGES, "raise", Add())
    plugin = tmp_path / "merges.py"
    plugin.write_text(PLUGIN)
    patterns = ["die(1)*4", "raise(1)*4", "add(1)*4"]
    jobs = [EvaluationJob(i, Genome.parse(p), small_space.proxy, 0) for i, p in enumerate(patterns)]
    workers = RayWorkers(evaluate_job, replace(small_bench, plugins=(plugin,)), 2)
    plugin.unlink()  # other machines do not have it either
    found, _ = run_jobs(workers, jobs)
    assert [found[i].result is None for i in range(3)] == [True, True, False]
    assert "its process ended 3 times, the last time with a crash on" in found[0].why
    assert found[1].why == "RuntimeError: not today"
    assert found[2].result.status == "ok"


@pytest.mark.usefixtures("started")
def test_data_is_put_once_and_fetched_once_a_process(small_space, small_bench, monkeypatch):
    puts, put = [], ray.put
    monkeypatch.setattr(ray, "put", lambda value: puts.append(value) or put(value))

    def task(job, context, device, send):
        from nas.workers.ray_tasks import _shared

        assert not context.data.images.flags.writeable  # it is the object store's memory
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            accuracy = evaluate_job(job, context, device, send).accuracy
        return os.getpid(), (id(context), _shared.cache_info().misses), accuracy

    jobs = [EvaluationJob(i, Genome.residual(4), small_space.proxy, 0) for i in range(6)]
    found, _ = run_jobs(RayWorkers(task, small_bench, 1), jobs)
    assert len(puts) == 1
    results = [found[i].result for i in range(6)]
    fetches = {(pid, fetch) for pid, fetch, _ in results}
    assert len(fetches) == len({pid for pid, _ in fetches})
    alone = evaluate(Genome.residual(4), small_bench.skeleton, small_space.proxy, 0,
                     small_bench.data, "cpu")  # fmt: skip
    assert {accuracy for _, _, accuracy in results} == {alone.accuracy}


@pytest.mark.usefixtures("started")
def test_environment_and_limits_of_a_task():
    def task(job, context, device, send):
        if job.number == 0:
            return device, os.environ["OMP_NUM_THREADS"]
        if job.number == 1:
            return len(bytearray(8 << 30))
        time.sleep(60 * (job.number == 2))
        return "awake"

    allowance = Allowance(seconds=2, memory=4 << 30)
    before = time.monotonic()
    found, _ = run_jobs(RayWorkers(task, EMPTY, 2, allowance=allowance), numbers(4))
    assert time.monotonic() - before < 30
    assert found[0].result == ("cpu", "1")
    assert found[1].why.startswith("MemoryError")
    assert "ended 2 times, the last time at the limit of 2 seconds" in found[2].why
    assert found[3].result == "awake"


@pytest.mark.usefixtures("started")
def test_what_memory_did_not_suffice_for_runs_again_alone(tmp_path):
    def task(job, context, device, send):
        mark = tmp_path / f"{job.number}-{time.monotonic_ns()}"
        mark.write_text("")
        others = {path.name[0] for path in tmp_path.iterdir()} - {str(job.number)}
        time.sleep(0.3)
        mark.unlink()
        return "full" if job.number == 1 and others else "ok"

    def crowded(result):
        return result == "full"

    found, _ = run_jobs(RayWorkers(task, EMPTY, 2, crowded=crowded), numbers(6))
    assert [found[i].result for i in range(6)] == ["ok"] * 6


@pytest.mark.usefixtures("started")
def test_reports_come_at_once_and_waiting_for_them_costs_nothing():
    def task(job, context, device, send):
        if job.number == 0:
            return None  # a process has started
        delays = []
        for _ in range(5):
            time.sleep(0.4)
            delays.append(send(SimpleNamespace(number=1, sent=time.time()), wait=True))
        return delays

    delays, cpu = [], 0.0
    with RayWorkers(task, EMPTY, 1) as workers:
        for report in workers.run(numbers(2)):
            if isinstance(report, Finished):
                cpu = time.process_time() if report.number == 0 else time.process_time() - cpu
                continue
            delays.append(time.time() - report.sent)
            workers.answer(1, "seen")
    assert report.result == ["seen"] * 5
    assert max(delays) < 0.2
    assert cpu < 1.0  # in more than two seconds


@pytest.mark.usefixtures("started")
def test_a_node_of_another_kind_ends_the_run(small_space, small_bench):
    kind = device_kind(find_device("cpu")) | {"torch": "0.1"}
    jobs = [EvaluationJob(0, Genome.residual(4), small_space.proxy, 0)]
    workers = RayWorkers(evaluate_job, small_bench, 1, kind=kind)
    with pytest.raises(InputError, match=r"computes with .*, but the search with .*torch 0.1"):
        run_jobs(workers, jobs)


@pytest.mark.usefixtures("started")
def test_processes_that_never_come_to_a_job_end_the_run(tmp_path):
    plugin = tmp_path / "deadly.py"
    plugin.write_text("import os; os._exit(3)")
    context = SimpleNamespace(devices=("cpu",), plugins=(plugin,))
    with pytest.raises(InputError, match="end before their first job"):
        run_jobs(RayWorkers(evaluate_job, context, 1), numbers(3))


@pytest.mark.usefixtures("started")
def test_resources_that_no_node_has():
    assert (room(), room(0.5), room(1, 1)) == (2, 4, 0)
    with pytest.raises(InputError, match=r"1 CPUs and 1 GPUs .* 2 CPUs and 0 GPUs"):
        RayWorkers(evaluate_job, EMPTY, 1, gpus=1).__enter__()


@pytest.mark.slow
def test_the_death_of_a_node_changes_no_result(small_space, small_bench, request):
    ray.shutdown()  # of other tests
    cluster = request.getfixturevalue("ray_cluster")
    proxy = replace(small_space.proxy, epochs=3)
    jobs = [EvaluationJob(i, Genome.parse(p), proxy, 5, ask=True) for i, p in enumerate(PATTERNS)]

    def task(job, context, device, send):
        send(SimpleNamespace(number=job.number, node=ray.get_runtime_context().get_node_id()))
        return evaluate_job(job, context, device, send)

    found, epochs, where, asking = {}, {}, {}, set()
    with RayWorkers(task, small_bench, 2, address=cluster.address) as workers:
        here = ray.get_runtime_context().get_node_id()
        assert room() == 2
        for report in workers.run(jobs):
            if isinstance(report, Finished):
                found[report.number] = report
            elif not isinstance(report, Epoch):
                where[report.number] = report.node
            else:
                epochs.setdefault(report.number, []).append(report.epoch)
                asking.add(report.number)
                if cluster.worker_nodes and len({where[number] for number in asking}) == 2:
                    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
            if not cluster.worker_nodes:
                for number in [n for n in asking if where[n] == here]:
                    workers.answer(number, False)
                    asking.remove(number)
    assert sum(seen.count(1) for seen in epochs.values()) == len(jobs) + 1
    for job in jobs:
        seen = epochs[job.number]
        assert seen[-3:] == [1, 2, 3]
        alone = evaluate(job.genome, small_bench.skeleton, proxy, 5, small_bench.data, "cpu")
        assert measured_nothing(found[job.number].result) == measured_nothing(alone)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nobody_answers(scheme):
    ray.shutdown()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(InputError, match=f"^no Ray cluster at {address}: .*refused$"):
        RayWorkers(evaluate_job, EMPTY, 1, address=address).__enter__()


def test_an_address_that_is_none():
    ray.shutdown()
    with pytest.raises(InputError, match=r"^no Ray cluster at nonsense: [^\n]*$"):
        RayWorkers(evaluate_job, EMPTY, 1, address="nonsense").__enter__()


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r'--workers ray needs Ray: pip install "skipnas\[ray\]"'):
        RayWorkers(evaluate_job, EMPTY, 1).__enter__()


@pytest.mark.parametrize(
    ("gpus", "visible", "device"),
    [([], None, "cpu"), (["2"], None, "cuda:2"), (["2"], "0,2", "cuda:1"), (["1"], "", "cuda:1")],
)
def test_pytorch_counts_visible_gpus(gpus, visible, device):
    assert device_of(gpus, visible) == device


def test_plugins_that_cannot_be_read():
    context = SimpleNamespace(devices=("cpu",), plugins=(Path("/nowhere/mine.py"),))
    with pytest.raises(InputError, match=r"--plugin /nowhere/mine\.py: No such file"):
        RayWorkers(evaluate_job, context, 1)

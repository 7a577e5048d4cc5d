"""Evaluations as Ray tasks: the same results as of local workers, whatever dies."""

import os
import socket
import sys
import time
import warnings
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest

ray = pytest.importorskip("ray")

from nas import Genome, InputError, evaluate  # noqa: E402
from nas.devices.device import device_kind, find_device  # noqa: E402
from nas.evaluation.jobs import Epoch, EvaluationContext, EvaluationJob, evaluate_job  # noqa: E402
from nas.workers.process_pool import Workers  # noqa: E402
from nas.workers.protocol import UNLIMITED, Finished  # noqa: E402
from nas.workers.ray_cluster import room  # noqa: E402
from nas.workers.ray_pool import RayWorkers  # noqa: E402
from nas.workers.ray_tasks import Shared, device_of, serve  # noqa: E402
from tests.nas.workers.tasks import Act, Context, act  # noqa: E402

PATTERNS = ["-*4", "add(1)*4", "add(1) concat(1,2@0.5) - add(3)"]
EMPTY = SimpleNamespace(devices=("cpu",), prepare=lambda device: None)
"""A context for tasks that need none."""


@pytest.fixture
def small_context(small_space, digits):
    return EvaluationContext(small_space.skeleton, digits, ("cpu",))


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


def measured_nothing(evaluation):
    return replace(evaluation, seconds=0.0, peak_bytes=None)


@pytest.mark.slow
def test_results_are_those_of_local_workers(small_space, small_context):
    proxy = replace(small_space.proxy, epochs=2)
    jobs = [EvaluationJob(i, Genome.parse(p), proxy, 5) for i, p in enumerate(PATTERNS)]
    kind = device_kind(find_device("cpu"))
    there = small_context.for_cluster(kind)
    far, far_epochs = run_jobs(RayWorkers(evaluate_job, there, 2), jobs)
    near, near_epochs = run_jobs(Workers(evaluate_job, small_context, 1), jobs)
    for job in jobs:
        one, other = near[job.number].result, far[job.number].result
        assert measured_nothing(one) == measured_nothing(other)
        assert [e.epoch for e in far_epochs[job.number]] == [1, 2]
    assert far_epochs == near_epochs
    assert not ray.is_initialized()


@pytest.mark.usefixtures("local_ray")
@pytest.mark.slow
def test_a_pack_is_one_task_and_answers_reach_each_of_its_jobs(small_space, small_context):
    proxy = replace(small_space.proxy, epochs=3)
    jobs = [EvaluationJob(i, Genome.parse(p), proxy, 5, ask=True) for i, p in enumerate(PATTERNS)]
    found = {}
    with RayWorkers(evaluate_job, small_context, 1, pack=3) as workers:
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
from nas.architecture.merges import Add
class Die(Add):
    def forward(self, learnt, branch, skips, previous):
        os.kill(os.getpid(), signal.SIGKILL)
MERGES = {"die": Die()}
"""


@pytest.mark.usefixtures("local_ray")
@pytest.mark.slow
def test_plugins_travel_and_a_dying_candidate_costs_only_itself(
    small_space, small_context, tmp_path, monkeypatch
):
    from nas.architecture.merges import MERGES, Add

    monkeypatch.setitem(MERGES, "die", Add())
    plugin = tmp_path / "merges.py"
    plugin.write_text(PLUGIN)
    jobs = [
        EvaluationJob(i, Genome.parse(p), small_space.proxy, 0)
        for i, p in enumerate(["die(1)*4", "add(1)*4"])
    ]
    context = replace(small_context, plugins=(plugin,)).for_cluster(device_kind(find_device("cpu")))
    plugin.unlink()  # other machines do not have it either
    found, _ = run_jobs(RayWorkers(evaluate_job, context, 2), jobs)
    assert "its process ended 3 times, the last time with a crash on" in found[0].why
    assert found[1].result.status == "ok"


@pytest.mark.usefixtures("local_ray")
@pytest.mark.slow
def test_data_is_put_once_and_fetched_once_a_process(
    small_space, small_context, tmp_path, monkeypatch
):
    puts, put = [], ray.put
    monkeypatch.setattr(ray, "put", lambda value: puts.append(value) or put(value))
    fetches = Context(tmp_path)

    @dataclass(frozen=True)
    class Fetched:
        """Notes the processes that fetch it."""

        inner: Any
        devices: tuple[str, ...] = ("cpu",)

        def prepare(self, device):
            self.inner.prepare(device)

        def __setstate__(self, state):
            fetches.note("fetch", os.getpid())
            self.__dict__.update(state)

    def task(job, context, device, send):
        assert not context.inner.data.images.flags.writeable  # it is the object store's memory
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return os.getpid(), evaluate_job(job, context.inner, device, send).accuracy

    jobs = [EvaluationJob(i, Genome.residual(4), small_space.proxy, 0) for i in range(6)]
    found, _ = run_jobs(RayWorkers(task, Fetched(small_context), 1), jobs)
    assert len(puts) == 1
    pids = {found[i].result[0] for i in range(6)}
    assert sorted(int(pid) for (pid,) in fetches.log("fetch")) == sorted(pids)
    alone = evaluate(Genome.residual(4), small_context.skeleton, small_space.proxy, 0,
                     small_context.data, "cpu")  # fmt: skip
    assert {found[i].result[1] for i in range(6)} == {alone.accuracy}


@pytest.mark.slow
def test_a_process_is_prepared_once_for_each_device_that_ray_gives_it(tmp_path):
    context, posted = Context(tmp_path), []

    class Reference:
        def __init__(self, value):
            self.value = value

        def future(self):
            return SimpleNamespace(result=lambda: self.value)

    def post(tag, message):
        posted.append(message)
        return Reference(None)

    place = Reference(Shared(act, context, UNLIMITED))
    mailbox = SimpleNamespace(post=SimpleNamespace(remote=post))
    for tag, device in enumerate(("cuda:0", "cuda:1", "cuda:0", "cuda:1")):
        serve(place, mailbox, tag, Act(tag), device)
    assert [device for _, device in context.log("prepare")] == ["cuda:0", "cuda:1"]
    assert [m.result for m in posted if isinstance(m, Finished)] == ["worked"] * 4


@pytest.mark.usefixtures("local_ray")
@pytest.mark.slow
def test_reports_come_at_once_and_nobody_polls_for_them(monkeypatch):
    """Every wait ends with a message, and there are no more waits than messages."""
    arrived, wait = [], ray.wait

    def counted(refs, **more):
        ready, waiting = wait(refs, **more)
        arrived.append(len(ready))
        return ready, waiting

    def task(job, context, device, send):
        for _ in range(5):
            time.sleep(0.4)
            assert send(SimpleNamespace(number=job.number), wait=True) == "seen"

    messages: list[Any] = []
    with RayWorkers(task, EMPTY, 1) as workers:
        monkeypatch.setattr(ray, "wait", counted)
        workers.submit(SimpleNamespace(number=0))
        while not messages or not isinstance(messages[-1], Finished):
            messages += workers.reports(timeout=600)
            workers.answer(0, "seen")
    assert len(messages) == 6
    assert messages[-1].why == ""
    assert all(arrived)
    assert len(arrived) <= len(messages) + 2  # the process has started; the task has ended


@pytest.mark.usefixtures("local_ray")
@pytest.mark.slow
def test_a_node_of_another_kind_ends_the_run(small_space, small_context):
    kind = device_kind(find_device("cpu")) | {"torch": "0.1"}
    jobs = [EvaluationJob(0, Genome.residual(4), small_space.proxy, 0)]
    workers = RayWorkers(evaluate_job, small_context.for_cluster(kind), 1)
    with pytest.raises(InputError, match=r"computes with .*, but the search with .*torch 0.1"):
        run_jobs(workers, jobs)


@pytest.mark.usefixtures("local_ray")
def test_resources_that_no_node_has():
    assert (room(), room(0.5), room(1, 1)) == (2, 4, 0)
    with pytest.raises(InputError, match=r"1 CPUs and 1 GPUs .* 2 CPUs and 0 GPUs"):
        RayWorkers(evaluate_job, EMPTY, 1, gpus=1).__enter__()


@pytest.mark.slow
def test_the_death_of_a_node_changes_no_result(small_space, small_context, request):
    ray.shutdown()  # of other tests
    cluster = request.getfixturevalue("ray_cluster")
    proxy = replace(small_space.proxy, epochs=3)
    jobs = [EvaluationJob(i, Genome.parse(p), proxy, 5, ask=True) for i, p in enumerate(PATTERNS)]

    def task(job, context, device, send):
        send(SimpleNamespace(number=job.number, node=ray.get_runtime_context().get_node_id()))
        return evaluate_job(job, context, device, send)

    found, epochs, where, asking = {}, {}, {}, set()
    with RayWorkers(task, small_context, 2, address=cluster.address) as workers:
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
        alone = evaluate(job.genome, small_context.skeleton, proxy, 5, small_context.data, "cpu")
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

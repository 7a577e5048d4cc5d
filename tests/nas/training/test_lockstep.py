"""Networks in lockstep: each ends as if alone; memory is predicted, and its end costs only halves."""

import math
import random
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from nas import Genome, Proxy, compile_network, plan
from nas.architecture.merges import MERGES
from nas.devices.device import say_once
from nas.evaluation.evaluate import evaluate, evaluate_together
from nas.evaluation.jobs import EvaluationContext, EvaluationJob, at_once, evaluate_job
from nas.extend import Merge, parts, total
from nas.network.parameters import flatten, in_precision
from nas.training import optimizer
from nas.training.cuda_graphs import Branches, Repeated
from nas.training.folding import folded
from nas.training.lockstep import train
from nas.training.memory import SHARE, WORKSPACE_BYTES, side_by_side, training_bytes
from nas.workers.process_pool import Workers
from nas.workers.protocol import Finished
from search_spaces import SPACES

SEVERAL = ["-*4", "add(1) gate(1,2) concat(1@0.5) se(2)", "dense(1) scale(1,2) - attention(1,3)"]


def result(evaluation):
    """All that is not a measurement."""
    return replace(evaluation, seconds=0.0, peak_bytes=None)


@pytest.fixture
def proxy(small_space):
    return replace(small_space.proxy, epochs=3, precision="fp32", augment="crop-flip")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_together_is_as_alone(small_space, digits, proxy, precision):
    """Also when one is pruned and one diverges in the midst of the others."""
    proxy = replace(proxy, precision=precision)
    genomes = [Genome.parse(text) for text in SEVERAL]
    alone = [
        evaluate(g, small_space.skeleton, proxy, 2, digits, "cpu",
                 on_epoch=lambda e, _, i=i: i == 1 and e == 1)
        for i, g in enumerate(genomes)
    ]  # fmt: skip
    together = evaluate_together(
        genomes, small_space.skeleton, proxy, 2, digits, "cpu",
        on_score=lambda i, e, _: i == 1 and e == 1,
    )  # fmt: skip
    assert [e.status for e in together] == ["ok", "pruned", "ok"]
    assert list(map(result, together)) == list(map(result, alone))


def test_what_a_merge_declares_and_does_not_use_stays(small_space, digits, proxy, monkeypatch):
    class Idle(Merge):
        def parts(self, site):
            return {"idle": parts.Vector(site.shape[0], 0.5)}

        def forward(self, learnt, branch, skips, previous):
            return branch + total(skips)

    monkeypatch.setitem(MERGES, "idle", Idle())
    network = compile_network(Genome.parse("idle(1)*4"), small_space.skeleton, 0)
    curves = train(network, digits, replace(proxy, weight_decay=0.0), 0, torch.device("cpu"))
    assert not curves.diverged
    idle = [value for name, value in network.named_parameters() if "idle" in name]
    assert len(idle) == 4
    assert all((value == 0.5).all() for value in idle)


def test_a_diverging_one_leaves_the_others_alone(small_space, digits, proxy):
    skeleton = replace(small_space.skeleton, norm="none")
    wild = replace(proxy, learning_rate=1e3)
    genomes = [Genome.dense(4), Genome.plain(4)]
    alone = [evaluate(g, skeleton, wild, 0, digits, "cpu") for g in genomes]
    together = evaluate_together(genomes, skeleton, wild, 0, digits, "cpu")
    assert [e.status for e in alone] == ["diverged", "ok"]
    assert repr(list(map(result, together))) == repr(list(map(result, alone)))  # NaN is not NaN


def test_where_memory_ends_half_as_many_run(small_space, digits, proxy, monkeypatch):
    import nas.training.lockstep

    tried, real = [], nas.training.lockstep.train_together

    def limited(trainees, *arguments, **options):
        tried.append(len(trainees))
        if len(trainees) > 1 or trainees[0].network.genome == Genome.residual(4):
            raise torch.OutOfMemoryError("CUDA out of memory")
        real(trainees, *arguments, **options)

    monkeypatch.setattr(nas.training.lockstep, "train_together", limited)
    genomes = [Genome.parse(SEVERAL[1]), Genome.plain(4), Genome.residual(4)]
    found = evaluate_together(genomes, small_space.skeleton, proxy, 0, digits, "cpu")
    assert tried == [3, 1, 2, 1, 1]
    assert [e.genome for e in found] == genomes
    assert [e.status for e in found] == ["ok", "ok", "out of memory"]
    monkeypatch.undo()
    alone = [evaluate(g, small_space.skeleton, proxy, 0, digits, "cpu") for g in genomes[:2]]
    assert list(map(result, found[:2])) == list(map(result, alone))


@pytest.mark.slow
def test_packs_give_the_results_of_single_jobs(small_space, digits, proxy):
    rng = random.Random(3)
    jobs = [
        EvaluationJob(n, small_space.sample(rng), proxy, n % 2, latencies=n == 4) for n in range(7)
    ]
    context = EvaluationContext(small_space.skeleton, digits, ("cpu",))
    with Workers(evaluate_job, context, 2, pack=3) as workers:
        assert workers.idle == 6
        found = {r.number: r.result for r in workers.run(jobs) if isinstance(r, Finished)}
    for job in jobs:
        alone = evaluate(job.genome, small_space.skeleton, proxy, job.seed, digits, "cpu")
        none = {"latency_1": None, "latency_full": None}
        assert result(replace(found[job.number], **none)) == result(alone)
    assert [n for n, e in found.items() if e.latency_1] == [4]


@pytest.mark.parametrize(
    ("devices", "asked", "workers", "jobs"),
    [
        (("cpu",), True, 2, 1),
        (("cuda:0",), False, 1, 1),
        (("cuda:0",), True, 1, 8),
        (("cuda:0", "cuda:1"), True, 2, 4),
        (("cuda:0",), True, 16, 1),
        (("mps",), True, 1, 1),
    ],
)
def test_a_gpu_gets_what_the_lag_allows_where_lockstep_is_asked_for(
    devices, asked, workers, jobs, small_space, digits
):
    context = EvaluationContext(small_space.skeleton, digits, devices, lockstep=asked)
    assert at_once(context, workers, 8) == jobs


@pytest.mark.parametrize("name", ["digits9", "fashion9", "cifar9", "exercise28"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_predicted_memory_is_what_a_step_saves(name, precision):
    """PyTorch's own list of tensors that are kept for the backward pass, each storage once."""
    space, rng = SPACES[name], random.Random(5)
    proxy = replace(space.proxy, batch=4, precision=precision)
    ratios = []
    for _ in range(4):
        genome = space.sample(rng)
        network = compile_network(genome, space.skeleton).to(memory_format=torch.channels_last)
        flats = flatten(network, proxy)
        parameters = sum(
            t.numel() * t.element_size()
            for flat in flats
            for t in {flat.master, flat.gradient, flat.momentum, flat.computed}
        )
        own = {t.untyped_storage().data_ptr() for flat in flats for t in (flat.master, flat.computed)}  # fmt: skip
        kept = {}

        def keep(tensor, own=own, kept=kept):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = (storage.nbytes(), tensor)
            return tensor

        side = proxy.resolution or space.skeleton.input_shape[1]
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        images = torch.randn(4, space.skeleton.input_shape[0], side, side).to(dtype)
        with saved_tensors_hooks(keep, lambda t: t):
            loss = F.cross_entropy(network(images).float(), torch.zeros(4, dtype=torch.int64))
        real = parameters + sum(size for size, _ in kept.values())
        ratios.append(training_bytes(plan(genome, space.skeleton), proxy, space.skeleton) / real)
        del loss
    assert min(ratios) > 0.7, ratios
    assert max(ratios) < 1.3, ratios


def test_packs_are_as_large_as_memory_allows():
    gib = 1 << 30
    each = math.ceil((SHARE * gib / 2 - WORKSPACE_BYTES) / 1.5) - 1  # two of them just fit
    assert side_by_side([each] * 5, gib) == [2, 2, 1]
    assert side_by_side([each] * 5, 100 * gib) == [5]
    assert side_by_side([100 * gib, each, each], gib) == [1, 2]
    assert side_by_side([], gib) == []


def test_a_folded_norm_computes_the_same(small_space):
    for text in SEVERAL:
        network = compile_network(Genome.parse(text), small_space.skeleton, 1)
        with torch.no_grad():
            for norm in (m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)):
                norm.running_mean.normal_()
                norm.running_var.uniform_(0.5, 2)
                norm.weight.normal_()
                norm.bias.normal_()
            network.eval()
            images = torch.randn(3, *small_space.skeleton.input_shape)
            before, names = network(images), [n for n, _ in network.named_modules()]
            with folded(network):
                inside = network(images)
                assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())
        torch.testing.assert_close(inside, before, rtol=1e-4, atol=1e-4)
        assert [n for n, _ in network.named_modules()] == names
        assert torch.equal(network(images), before)


def test_flat_parameters_are_the_networks(small_space):
    network = compile_network(Genome.parse(SEVERAL[2]), small_space.skeleton, 1)
    network = network.to(memory_format=torch.channels_last)
    before = {n: t.clone() for n, t in network.state_dict().items()}
    flats = flatten(network, Proxy(precision="bf16"))
    norms = [p for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d) for p in m.parameters()]  # fmt: skip
    assert {p.dtype for p in norms} == {torch.float32}
    assert {p.dtype for p in network.parameters()} == {torch.float32, torch.bfloat16}
    assert sum(flat.master.numel() for flat in flats) == plan(network.genome, small_space.skeleton).params  # fmt: skip
    for flat in flats:
        flat.release()
    assert all(torch.equal(t, before[n]) for n, t in network.state_dict().items())
    with in_precision(network, Proxy(precision="bf16")):
        assert network.head.fc.weight.dtype == torch.bfloat16
    assert network.head.fc.weight.dtype == torch.float32


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_on_a_gpu_together_is_as_alone_to_the_bit(digits, precision):
    space, rng = SPACES["digits9"], random.Random(1)
    proxy = replace(space.proxy, precision=precision)
    genomes = [space.sample(rng) for _ in range(8)]
    alone = [evaluate(g, space.skeleton, proxy, 0, digits, "cuda") for g in genomes]
    together = evaluate_together(genomes, space.skeleton, proxy, 0, digits, "cuda", graphs=True)
    assert list(map(result, together)) == list(map(result, alone))


@pytest.mark.gpu
def test_fast_on_a_gpu_is_within_seed_noise(digits):
    space, rng = SPACES["digits9"], random.Random(1)
    genomes = [space.sample(rng) for _ in range(8)]
    exact = evaluate_together(genomes, space.skeleton, space.proxy, 0, digits, "cuda")
    other = evaluate_together(genomes, space.skeleton, space.proxy, 1, digits, "cuda")
    fast = evaluate_together(genomes, space.skeleton, space.proxy, 0, digits, "cuda", fast=True)
    noise = sum(abs(a.accuracy - b.accuracy) for a, b in zip(exact, other, strict=True))
    moved = sum(abs(a.accuracy - b.accuracy) for a, b in zip(exact, fast, strict=True))
    assert moved <= noise


@pytest.mark.gpu
def test_a_replayed_step_equals_one_run_step_by_step(digits):
    from nas.training.lockstep import Trainee, train_together

    space, device = SPACES["digits9"], torch.device("cuda")
    proxy = replace(space.proxy, precision="fp32")
    curves = []
    for graphs in (True, False):
        network = compile_network(Genome.residual(9), space.skeleton, 0).to(device)
        network = network.to(memory_format=torch.channels_last)
        trainee = Trainee(network)
        train_together([trainee], digits, proxy, 0, device, graphs=graphs)
        curves.append(trainee.curves)
    assert curves[0].losses == pytest.approx(curves[1].losses, rel=1e-3)
    assert curves[0].accuracies == pytest.approx(curves[1].accuracies, abs=0.03)


class FakeCuda:
    """Notes what is asked of torch.cuda, in order; a graph's replay runs what was captured."""

    def __init__(self, monkeypatch):
        self.log, self.current = [], "trunk"
        self.streams = 0
        for name, value in {
            "Stream": self.stream,
            "current_stream": lambda device=None: Named(self, self.current),
            "stream": self.using,
            "CUDAGraph": lambda: Graph(self),
            "graph": self.capturing,
        }.items():
            monkeypatch.setattr(torch.cuda, name, value)

    def stream(self, device):
        self.streams += 1
        return Named(self, f"s{self.streams}")

    @contextmanager
    def using(self, stream):
        before, self.current = self.current, stream.name
        yield
        self.current = before

    @contextmanager
    def capturing(self, graph, stream):
        self.log.append(f"capture on {stream.name}")
        yield
        self.log.append("captured")


@dataclass
class Named:
    cuda: FakeCuda
    name: str

    def wait_stream(self, other):
        self.cuda.log.append(f"{self.name} waits for {other.name}")


@dataclass
class Graph:
    cuda: FakeCuda

    def replay(self):
        self.cuda.log.append("replay")


def test_a_repeated_step_is_run_then_captured_then_only_replayed(monkeypatch):
    cuda = FakeCuda(monkeypatch)
    work = Repeated(lambda: cuda.log.append(f"work on {cuda.current}"), torch.device("cuda"))
    for _ in range(4):
        work()
    assert cuda.log == [
        "s1 waits for trunk", "work on s1", "trunk waits for s1",
        "capture on s2", "work on trunk", "captured", "replay", "replay", "replay",
    ]  # fmt: skip


def test_a_step_that_cannot_be_captured_is_run_as_it_is_and_said_once(monkeypatch, caplog):
    cuda, done = FakeCuda(monkeypatch), []

    @contextmanager
    def refusing(graph, stream):
        yield
        done.pop()  # what is captured does not run
        raise RuntimeError("operation not permitted when stream is capturing\nmore of it")

    monkeypatch.setattr(torch.cuda, "graph", refusing)
    say_once.cache_clear()
    for _ in range(2):
        work = Repeated(lambda: done.append(cuda.current), torch.device("cuda"))
        for _ in range(3):
            work()
    assert done == ["s1", "trunk", "trunk", "s3", "trunk", "trunk"]
    assert "replay" not in cuda.log
    assert [record.getMessage() for record in caplog.records] == [
        "no CUDA graph, steps are run one by one: operation not permitted when stream is capturing"
    ]


def test_memory_that_ends_in_a_capture_is_no_refusal(monkeypatch):
    FakeCuda(monkeypatch)

    @contextmanager
    def full(graph, stream):
        yield
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.cuda, "graph", full)
    work = Repeated(lambda: None, torch.device("cuda"))
    work()
    with pytest.raises(torch.OutOfMemoryError):
        work()


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_a_device_without_fused_optimizers_takes_the_plain_ones(
    kind, small_space, digits, proxy, monkeypatch, caplog
):
    proxy = replace(proxy, optimizer=kind, learning_rate=0.01)
    genome = small_space.sample(random.Random(0))
    fused = evaluate(genome, small_space.skeleton, proxy, 0, digits, "cpu")
    real = getattr(optimizer, kind)

    def refusing(*args, **options):
        if options["fused"]:
            raise RuntimeError("`fused=True` requires all the params to be on supported devices")
        real(*args, **options)

    monkeypatch.setattr(optimizer, kind, refusing)
    monkeypatch.setattr(optimizer, "_UNFUSED", set())
    say_once.cache_clear()
    plain = evaluate(genome, small_space.skeleton, proxy, 0, digits, "cpu")
    assert plain.losses == pytest.approx(fused.losses, rel=1e-3)
    assert [record.getMessage()[:26] for record in caplog.records] == ["no fused optimizer on cpu:"]


def test_an_operation_without_a_deterministic_algorithm_runs_and_is_said(
    small_space, digits, proxy, monkeypatch, caplog
):
    import nas.training.lockstep

    real = nas.training.lockstep.train_together

    def refusing(*args, **options):
        if not torch.is_deterministic_algorithms_warn_only_enabled():
            raise RuntimeError("cumsum does not have a deterministic implementation, but …")
        real(*args, **options)

    monkeypatch.setattr(nas.training.lockstep, "train_together", refusing)
    genome = small_space.sample(random.Random(0))
    with pytest.raises(RuntimeError, match="deterministic"):  # nobody asked for it
        evaluate(genome, small_space.skeleton, proxy, 0, digits, "cpu")
    say_once.cache_clear()
    torch.use_deterministic_algorithms(True)
    try:
        assert evaluate(genome, small_space.skeleton, proxy, 0, digits, "cpu").status == "ok"
    finally:
        torch.use_deterministic_algorithms(False)
    assert "results may not repeat to the bit" in caplog.text


def test_branches_fork_from_the_trunk_and_join_it(monkeypatch):
    cuda = FakeCuda(monkeypatch)
    branches = Branches(2, torch.device("cuda"))
    branches.run([lambda n=n: cuda.log.append(f"{n} on {cuda.current}") for n in (1, 2)])
    assert cuda.log == [
        "s1 waits for trunk", "1 on s1", "s2 waits for trunk", "2 on s2",
        "trunk waits for s1", "trunk waits for s2",
    ]  # fmt: skip
    cuda.log.clear()
    Branches(1, torch.device("cuda")).run([lambda: cuda.log.append(f"alone on {cuda.current}")])
    assert cuda.log == ["alone on trunk"]

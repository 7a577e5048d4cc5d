"""Where the time of an evaluation goes, against the arithmetic limit of the machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.profiler import ProfilerActivity, profile

from nas.batches import prepare
from nas.device import find_device, one_thread
from nas.evaluation import evaluate
from nas.flat import DTYPES
from nas.genome import Genome
from nas.kernels.library import library
from nas.plan import plan
from studies.settings import SearchSettings

KINDS: dict[str, tuple[str, ...]] = {
    "convolutions, forward": ("mkldnn_convolution", "cudnn_convolution", "addmm", "aten::linear"),
    "convolutions, backward": ("convolution_backward", "aten::mm"),
    "batch norm": ("batch_norm",),
    "activations and sums": (
        "add", "mul", "sub", "div", "clamp", "relu", "threshold", "sigmoid", "mean", "sum", "cat",
    ),
    "optimizer": ("sgd",),
    "copies and memory": ("copy", "empty", "index", "zero", "fill", "resize", "clone"),
}  # fmt: skip
"""Operators by a part of their name; the first that fits counts."""
OTHER = "Python and the rest"


@dataclass(frozen=True)
class Limit:
    """What the machine could do, were there nothing but arithmetic."""

    gflops: float
    """Measured rate of a large matrix product, in 10⁹ operations a second on one core or GPU."""
    gflop: float
    """Arithmetic of one evaluation: two operations a MAC, a backward pass twice its forward."""

    @property
    def seconds(self) -> float:
        return self.gflop / self.gflops


def arithmetic(settings: SearchSettings, genome: Genome) -> float:
    """10⁹ operations of one evaluation: training steps, calibration, scores."""
    proxy, skeleton, data = settings.space.proxy, settings.space.skeleton, settings.data
    cpu = torch.device("cpu")
    count = len(prepare(data, proxy, "train", cpu).labels)
    batch = min(proxy.batch, count)
    trained = proxy.epochs * (count // batch) * batch
    scored = len(prepare(data, proxy, "validation", cpu).labels)
    forward = proxy.epochs * (min(proxy.calibration_images, count) + scored)
    side = min(skeleton.input_shape[1:])
    share = ((proxy.resolution or side) / side) ** 2
    return 2e-9 * plan(genome, skeleton).macs * share * (3 * trained + forward)


def matrix_gflops(device: str, precision: str, side: int = 2048) -> float:
    """The rate of a large matrix product, the best of ten, on one core or on a GPU."""
    where = find_device(device)
    side = 4 * side if where.type == "cuda" else side
    first, second = (torch.randn(side, side, device=where).to(DTYPES[precision]) for _ in range(2))
    best = float("inf")
    with one_thread(where):
        for _ in range(10):
            _wait(where)
            started = time.perf_counter()
            first @ second
            _wait(where)
            best = min(best, time.perf_counter() - started)
    return 2e-9 * side**3 / best


def where_time_goes(
    settings: SearchSettings, genomes: Sequence[Genome], device: str
) -> dict[str, float]:
    """Shares of an evaluation's time by kind of work, of the first process on the device."""
    space, where = settings.space, find_device(device)
    cuda = where.type == "cuda"

    def run() -> float:
        started = time.perf_counter()
        for genome in genomes:
            evaluate(genome, space.skeleton, space.proxy, 0, settings.data, device)
        _wait(where)
        return time.perf_counter() - started

    run()
    seconds = run()
    activities = [ProfilerActivity.CUDA] if cuda else [ProfilerActivity.CPU]
    kernels = library()
    if kernels:
        kernels.time(True)
    with profile(activities=activities) as profiler:
        run()
    shares = dict.fromkeys(KINDS, 0.0)
    if kernels:
        shares |= {kind: spent / seconds for kind, spent in kernels.time(False).items()}
    for event in profiler.key_averages():
        spent = event.self_device_time_total if cuda else event.self_cpu_time_total
        kind = next((k for k, parts in KINDS.items() if any(p in event.key for p in parts)), None)
        if kind:
            shares[kind] += spent * 1e-6 / seconds
    return shares | {OTHER: max(0.0, 1 - sum(shares.values()))}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

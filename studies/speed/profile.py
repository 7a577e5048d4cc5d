"""Where the time of an evaluation goes, against the arithmetic limit of the machine."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch.profiler import ProfilerActivity, profile

from nas.architecture.genome import Genome
from nas.architecture.parts import Chain, Conv, Part
from nas.architecture.plan import plan
from nas.devices.device import find_device, one_thread
from nas.evaluation.evaluate import evaluate
from nas.kernels.library import ConvSizes, Kind, Step, library, narrow
from nas.network.parameters import DTYPES
from nas.training.batches import prepare
from studies.search.settings import SearchSettings

KINDS: dict[str, tuple[str, ...]] = {
    "convolutions, forward": ("mkldnn_convolution", "cudnn_convolution", "slow_conv"),
    "convolutions, backward": ("convolution_backward",),
    "linear layers and attention": (
        "addmm", "aten::mm", "bmm", "aten::linear", "mkldnn_linear", "scaled_dot_product",
        "attention", "aten::_softmax",
    ),
    "batch norm": ("batch_norm",),
    "layer norm": ("layer_norm", "rms_norm"),
    "activations and sums": (
        "add", "mul", "sub", "div", "clamp", "relu", "threshold", "sigmoid", "mean", "sum", "cat",
        "gelu",
    ),
    "optimizer": ("sgd", "adam"),
    "copies and memory": ("copy", "empty", "index", "zero", "fill", "resize", "clone"),
}  # fmt: skip
"""Operators by a part of their name; the first that fits counts."""
OTHER = "Python and the rest"


def arithmetic(settings: SearchSettings, genome: Genome) -> float:
    """10⁹ operations of one evaluation: training steps, calibration, scores."""
    proxy, skeleton, data = settings.space.proxy, settings.space.skeleton, settings.data
    cpu = torch.device("cpu")
    count = len(prepare(data, proxy, "train", cpu).labels)
    batch = min(proxy.batch, count)
    trained = proxy.epochs * (count // batch) * batch
    scored = len(prepare(data, proxy, "validation", cpu).labels)
    forward = proxy.epochs * (min(proxy.calibration_images, count) + scored)
    side = skeleton.side
    share = ((proxy.resolution or side) / side) ** 2
    return 2e-9 * plan(genome, skeleton).macs * share * (3 * trained + forward)


def without_padding(settings: SearchSettings, genome: Genome) -> float:
    """The share of the arithmetic that reads pixels: small maps are largely border."""
    skeleton, resolution = settings.space.skeleton, settings.space.proxy.resolution
    if resolution:
        channels, *sides = skeleton.input_shape
        height, width = (round(side * resolution / min(sides)) for side in sides)
        skeleton = skeleton.for_data((channels, height, width), skeleton.classes)
    planned = plan(genome, skeleton)
    parts = [planned.stem, *(part for layer in planned.layers for part in layer.parts())]
    padding = sum(conv.macs - _inside(conv) for part in parts for conv in _convolutions(part))
    return 1 - padding / planned.macs


def _convolutions(part: Part) -> Iterator[Conv]:
    if isinstance(part, Conv):
        yield part
    elif isinstance(part, Chain):
        for _, step in part:
            yield from _convolutions(step)


def _inside(conv: Conv) -> int:
    """MACs that read pixels."""
    taps = [
        sum(
            0 <= place * conv.stride + tap - conv.kernel // 2 < side
            for place in range(-(-side // conv.stride))
            for tap in range(conv.kernel)
        )
        for side in conv.inputs[1:]
    ]
    return conv.channels * (conv.inputs[0] // conv.groups) * taps[0] * taps[1]


def matrix_gflops(device: str, precision: str, side: int = 2048) -> float:
    """The rate of a large matrix product, the best of ten, on one core or on a GPU.

    On a CPU the better of PyTorch's and the kernels', as PyTorch's own does not always use the
    widest instructions.
    """
    where = find_device(device)
    side = 4 * side if where.type == "cuda" else side
    first, second = (torch.randn(side, side, device=where).to(DTYPES[precision]) for _ in range(2))
    with one_thread(where):
        rate = 2e-9 * side**3 / _best(lambda: first @ second, where)
        kernels = library() if where.type == "cpu" else None
        if kernels and (kernels.bf16 or precision == "fp32"):
            rate = max(rate, _kernel_gflops(side, first.dtype, where))
    return rate


def _kernel_gflops(rows: int, dtype: torch.dtype, where: torch.device) -> float:
    """The kernels' product: a 1×1 convolution of maps of one pixel, with weights that a cache holds."""
    kernels, channels = library(), 256
    assert kernels
    map_, result = (torch.randn(rows, channels).to(dtype) for _ in range(2))
    weight = torch.randn(channels, channels).to(dtype)
    inputs = (ctypes.c_void_p * 1)(map_.data_ptr())
    step = Step(
        kind=Kind.CONV, bf=dtype == torch.bfloat16, pixels=1, channels=channels,
        conv=ConvSizes(0, 1, 1, 1, channels, channels, 1, 1), inputs=ctypes.addressof(inputs),
        weight=weight.data_ptr(), output=result.data_ptr(),
    )  # fmt: skip
    seconds = _best(lambda: kernels.forward(ctypes.addressof(step), 1, rows), where)
    return 2e-9 * rows * channels**2 / seconds


def _best(work: Callable[[], object], where: torch.device) -> float:
    """Seconds, the least of ten."""
    best = float("inf")
    for _ in range(10):
        _wait(where)
        started = time.perf_counter()
        work()
        _wait(where)
        best = min(best, time.perf_counter() - started)
    return best


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
    kernels = [found for found in (library(), narrow()) if found]
    for each in kernels:
        each.time(True)
    with profile(activities=activities) as profiler:
        run()
    shares = dict.fromkeys(KINDS, 0.0)
    for each in kernels:
        for work, spent in each.time(False).items():
            shares[work] = shares.get(work, 0.0) + spent / seconds
    for event in profiler.key_averages():
        spent = event.self_device_time_total if cuda else event.self_cpu_time_total
        kind = next((k for k, parts in KINDS.items() if any(p in event.key for p in parts)), None)
        if kind:
            shares[kind] += spent * 1e-6 / seconds
    return shares | {OTHER: max(0.0, 1 - sum(shares.values()))}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

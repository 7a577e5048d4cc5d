"""What the exercises measure on one network: trainings, gradients, features, lesions.

Each job is one network; its result is a plain dictionary that is kept as JSON. Gradient norms are
those of a branch's convolution weights (biases before batch norm have gradients of about zero).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.architecture.genome import Genome
from nas.architecture.plan import plan
from nas.architecture.skeletons.convolutional import Skeleton, Stage
from nas.data.load import Data
from nas.devices.device import find_device, one_thread, reproducible
from nas.network.network import Layer, Network, compile_network
from nas.proxy import Proxy
from nas.training.batches import prepare
from nas.training.lockstep import Curves, accuracy, gradient_norm, train
from nas.training.precision import resolved

NEAR_ZERO = 0.05
"""A value is near zero below this share of its tensor's standard deviation (Gaussian: 4.0 %)."""
FEATURE_IMAGES = 256
LESION_IMAGES = 1000
HISTOGRAM_BINS = 61


@dataclass(frozen=True)
class ExerciseBench:
    """What all jobs of a run share."""

    data: Data
    devices: tuple[str, ...]
    plugins: tuple[Path, ...] = ()


@dataclass(frozen=True)
class TrainingJob:
    """One network trained once."""

    number: int
    key: str
    genome: Genome
    skeleton: Skeleton
    proxy: Proxy
    seed: int
    features: bool = False
    """Measure x, F(x), F(x)+x before and after training, and remove branches one by one."""
    steps: int | None = None
    """Only so many steps, without scores: whether a very deep network trains at all."""


@dataclass(frozen=True)
class LawJob:
    """Gradient norms at initialisation over depth, in float64 (exercise 1)."""

    number: int
    key: str
    norm: str
    init: str
    relu_after: bool
    mode: str
    """train or eval: before any training, batch norm in eval mode is an identity."""
    width: int
    blocks: tuple[int, ...]
    seeds: tuple[int, ...]


def run_job(
    job: TrainingJob | LawJob, bench: ExerciseBench, device: str, send: Callable[[Any], None]
) -> dict[str, Any]:
    """The task of the exercises' workers."""
    where = find_device(device)
    started = time.perf_counter()
    with one_thread(where), reproducible(where, True):
        if isinstance(job, LawJob):
            found = gradient_law(job)
        elif job.steps is not None:
            found = few_steps(job, bench.data, where)
        else:
            found = full_training(job, bench.data, where)
    return {"key": job.key, **found, "seconds": time.perf_counter() - started}


def full_training(job: TrainingJob, data: Data, device: torch.device) -> dict[str, Any]:
    """Trains, scores every epoch on validation images and once on test images."""
    network = _network(job, data, device)
    proxy = resolved(job.proxy, job.skeleton, device)
    found: dict[str, Any] = _describe(job, network)
    batch = min(proxy.batch, len(prepare(data, proxy, "train", device).labels))
    steps = len(prepare(data, proxy, "train", device).labels) // batch
    watched = {0, 1, 2, 5, 10} | {(e + 1) * steps - 1 for e in range(proxy.epochs)}
    gradients: dict[int, list[float]] = {}
    losses: list[float] = []

    def on_step(step: int, loss: Tensor) -> None:
        if step in watched:
            gradients[step] = layer_gradients(network)
        losses.append(float(loss))

    if job.features:
        found["features_before"] = features(network, data, proxy, device)
    started = time.perf_counter()
    curves: Curves = train(network, data, proxy, job.seed, device, on_step=on_step)
    found |= {
        "train_seconds": time.perf_counter() - started,
        "status": "diverged" if curves.diverged else "ok",
        "train_loss": curves.losses,
        "validation_accuracy": curves.accuracies,
        "step_loss": losses,
        "gradients": [{"step": step, "norms": norms} for step, norms in gradients.items()],
        "steps_per_epoch": steps,
        "test_accuracy": 0.0,
    }
    if not curves.diverged:
        found["test_accuracy"] = accuracy(network, prepare(data, proxy, "test", device), proxy)
        if job.features:
            found["features_after"] = features(network, data, proxy, device)
            found["lesions"] = lesions(network, data, proxy, device)
    return found


def few_steps(job: TrainingJob, data: Data, device: torch.device) -> dict[str, Any]:
    """The losses of the first steps of a training that ends there."""
    steps = job.steps or 1
    network = _network(job, data, device)
    images = max(steps * job.proxy.batch, 2 * job.skeleton.classes)
    proxy = replace(
        job.proxy,
        epochs=1,
        images=images,
        validation_images=max(64, 2 * job.skeleton.classes),
        calibration_images=0,
    )
    losses: list[float] = []
    gradients: dict[int, list[float]] = {}

    def on_step(step: int, loss: Tensor) -> None:
        losses.append(float(loss))
        if step in (0, steps - 1):
            gradients[step] = layer_gradients(network)

    curves = train(
        network, data, resolved(proxy, job.skeleton, device), job.seed, device, on_step=on_step
    )
    return {
        **_describe(job, network),
        "status": "diverged" if curves.diverged else "ok",
        "step_loss": losses,
        "gradients": [{"step": s, "norms": norms} for s, norms in gradients.items()],
    }


def gradient_law(job: LawJob) -> dict[str, Any]:
    """First and last layer's gradient norms for every depth and seed, noise for images."""
    rows = []
    for blocks in job.blocks:
        skeleton = Skeleton(
            (3, 8, 8), 10, (Stage(blocks, job.width),), norm=job.norm, init=job.init,  # type: ignore[arg-type]
            activation=job.relu_after, bias=True,
        )  # fmt: skip
        for seed in job.seeds:
            network = compile_network(Genome.plain(blocks), skeleton, seed).double()
            network.train(job.mode == "train")
            generator = torch.Generator().manual_seed(seed)
            images = torch.randn(32, 3, 8, 8, generator=generator, dtype=torch.float64)
            labels = torch.randint(0, 10, (32,), generator=generator)
            nn.functional.cross_entropy(network(images), labels).backward()
            layers = [_layer(network, index) for index in (1, blocks)]
            first = _norm([layers[0].branch.get_parameter("conv1.weight")])
            last = _norm([layers[1].branch.get_parameter("conv2.weight")])
            rows.append({"blocks": blocks, "seed": seed, "first": first, "last": last})
    return {"rows": rows}


def layer_gradients(network: Network) -> list[float]:
    """Gradient norm of every layer's convolution weights, first to last."""
    return [
        _norm([p for p in _layer(network, index).branch.parameters() if p.ndim > 1])
        for index in range(1, len(network.layers) + 1)
    ]


def _norm(parameters: Sequence[nn.Parameter]) -> float:
    return gradient_norm([p.grad for p in parameters if p.grad is not None])


@torch.no_grad()
def features(
    network: Network, data: Data, proxy: Proxy, device: torch.device
) -> list[dict[str, Any]]:
    """Statistics of x, F(x), F(x)+x and the layer's output for every layer, on validation images."""
    part = prepare(data, proxy, "validation", device)
    count = min(FEATURE_IMAGES, len(part.labels))
    images, _ = part.batch(torch.arange(count, device=part.images.device))
    rows: list[dict[str, Any]] = []
    shown = shown_layers(len(network.layers))
    hooks = []

    def watch(index: int, layer: Layer) -> None:
        seen: dict[str, Tensor] = {}

        def branch(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            seen["x"], seen["F"] = inputs[0].float().clone(), output.float().clone()
            if layer.merge is None:
                seen["sum"] = seen["F"]

        def merge(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            seen["sum"] = output.float().clone()

        def whole(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            seen["output"] = output.float()
            row: dict[str, Any] = {"layer": index}
            for name, tensor in seen.items():
                row[name] = statistics(tensor, histogram=index in shown)
            if seen["F"].shape == seen["x"].shape:
                row["ratio"] = (seen["F"].norm() / seen["x"].norm().clamp_min(1e-30)).item()
            rows.append(row)
            seen.clear()

        hooks.append(layer.branch.register_forward_hook(branch))
        if layer.merge is not None:
            hooks.append(layer.merge.register_forward_hook(merge))
        hooks.append(layer.register_forward_hook(whole))

    for index in range(1, len(network.layers) + 1):
        watch(index, _layer(network, index))
    network.eval()
    network(images)
    for hook in hooks:
        hook.remove()
    return rows


def shown_layers(layers: int) -> list[int]:
    """The four depths whose histograms are kept: first, a third, two thirds, last."""
    return sorted({1, max(1, round(layers / 3)), max(1, round(2 * layers / 3)), layers})


def statistics(values: Tensor, histogram: bool = False) -> dict[str, Any]:
    """Moments and range; `near_zero` is the share of values within NEAR_ZERO standard deviations."""
    flat = values.flatten().double()
    mean, std = flat.mean(), flat.std()
    centred = (flat - mean) / std.clamp_min(1e-30)
    found: dict[str, Any] = {
        "mean": mean.item(),
        "std": std.item(),
        "min": flat.min().item(),
        "max": flat.max().item(),
        "excess_kurtosis": centred.pow(4).mean().item() - 3,
        "near_zero": (flat.abs() < NEAR_ZERO * std).double().mean().item(),
    }
    if histogram:
        limit = max(abs(found["min"]), abs(found["max"]), 1e-12)
        limit = min(limit, 5 * float(std) + abs(float(mean)) or limit)
        counts = torch.histc(flat.float().cpu(), HISTOGRAM_BINS, -limit, limit)
        found["histogram"] = {"limit": limit, "counts": (counts / len(flat)).tolist()}
    return found


@torch.no_grad()
def lesions(network: Network, data: Data, proxy: Proxy, device: torch.device) -> dict[str, Any]:
    """Validation accuracy with each layer taken out (Veit et al. 2016).

    Of a layer with skips the branch is removed, so the skips remain; of a plain layer the whole
    layer is removed, where its input has its output's shape.
    """
    part = prepare(data, proxy, "validation", device)
    count = min(LESION_IMAGES, len(part.labels))
    part = replace(part, images=part.images[:count], labels=part.labels[:count])
    scores: list[float | None] = []
    for index in range(1, len(network.layers) + 1):
        layer = _layer(network, index)
        if layer.merge is not None:
            hook = layer.branch.register_forward_hook(lambda m, i, o: torch.zeros_like(o))
        elif _keeps_shape(layer):
            hook = layer.register_forward_hook(lambda m, i, o: i[0])
        else:
            scores.append(None)
            continue
        scores.append(accuracy(network, part, proxy))
        hook.remove()
    return {"whole": accuracy(network, part, proxy), "without": scores}


def _keeps_shape(layer: Layer) -> bool:
    convolutions = [m for m in layer.branch.modules() if isinstance(m, nn.Conv2d)]
    strides = math.prod(c.stride[0] for c in convolutions)
    return strides == 1 and convolutions[0].in_channels == convolutions[-1].out_channels


def _layer(network: Network, index: int) -> Layer:
    layer = network.layers[str(index)]
    assert isinstance(layer, Layer)
    return layer


def _network(job: TrainingJob, data: Data, device: torch.device) -> Network:
    network = compile_network(job.genome, job.skeleton, job.seed)
    return network.to(device).to(memory_format=torch.channels_last)


def _describe(job: TrainingJob, network: Network) -> dict[str, Any]:
    planned = plan(job.genome, job.skeleton)
    convolutions = [m for m in network.layers.modules() if isinstance(m, nn.Conv2d)]
    return {
        "params": planned.params,
        "macs": planned.macs,
        "layers": len(job.genome),
        "convolutions": len(convolutions),
        "seed": job.seed,
    }


def geometric_factor(depths: Sequence[float], ratios: Sequence[float]) -> tuple[float, float]:
    """(factor, R²) of the fit ratio = c · factor^depth, by least squares on the logarithm."""
    x = torch.tensor(depths, dtype=torch.float64)
    y = torch.tensor([math.log(r) if r > 0 else -745.0 for r in ratios], dtype=torch.float64)
    slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    residual = y - y.mean() - slope * (x - x.mean())
    total = ((y - y.mean()) ** 2).sum()
    r2 = 1.0 if total == 0 else 1 - (residual**2).sum().item() / total.item()
    return math.exp(slope.item()), float(r2)

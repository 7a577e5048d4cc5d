"""What layers compute: statistics of their features, and lesions (exercise 3)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from baselines.exercises.gradients import layer_of
from nas.data.dataset import Data
from nas.network.network import CompiledLayer, Network
from nas.proxy import Proxy
from nas.training.batches import prepare
from nas.training.scoring import accuracy

NEAR_ZERO = 0.05
"""A value is near zero below this share of its tensor's standard deviation (Gaussian: 4.0 %)."""
FEATURE_IMAGES = 256
LESION_IMAGES = 1000
HISTOGRAM_BINS = 61


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

    def watch(index: int, layer: CompiledLayer) -> None:
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
        watch(index, layer_of(network, index))
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
        layer = layer_of(network, index)
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


def _keeps_shape(layer: CompiledLayer) -> bool:
    convolutions = [m for m in layer.branch.modules() if isinstance(m, nn.Conv2d)]
    strides = math.prod(c.stride[0] for c in convolutions)
    return strides == 1 and convolutions[0].in_channels == convolutions[-1].out_channels

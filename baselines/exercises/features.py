"""What layers compute: statistics of features and lesions (exercise 3), what gates choose (5)."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from baselines.exercises.gradients import layer_of
from nas.architecture.genome import Genome
from nas.data.dataset import Data
from nas.network.network import CompiledLayer, Network
from nas.proxy import Proxy
from nas.training.batches import Subset, prepare
from nas.training.scoring import accuracy

NEAR_ZERO = 0.05
"""A value is near zero below this share of its tensor's standard deviation (Gaussian: 4.0 %)."""
FEATURE_IMAGES = 256
LESION_IMAGES = 1000
HISTOGRAM_BINS = 61
GATED = {"attention", "se"}
"""Merges whose squeeze-and-excitation gate weighs every channel of every image."""


@torch.no_grad()
def features(
    network: Network, data: Data, proxy: Proxy, device: torch.device, trained: bool = True
) -> list[dict[str, Any]]:
    """Statistics of x, F(x), F(x)+x and the layer's output for every layer, on validation images.

    Args:
        trained: compute in evaluation mode; otherwise with the statistics of these images, as
            training does, since batch norm's own are an identity before any training.
    """
    network = network if trained else deepcopy(network)  # whose statistics this would change
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
            row["channel_kurtosis"] = channel_kurtosis(seen["F"])
            rows.append(row)
            seen.clear()

        hooks.append(layer.branch.register_forward_hook(branch))
        if layer.merge is not None:
            hooks.append(layer.merge.register_forward_hook(merge))
        hooks.append(layer.register_forward_hook(whole))

    for index in range(1, len(network.layers) + 1):
        watch(index, layer_of(network, index))
    network.train(not trained)
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


def channel_kurtosis(values: Tensor) -> float:
    """Median over channels of the excess kurtosis of a channel's own values, (N, C, H, W)."""
    flat = values.transpose(0, 1).flatten(1).double()
    centred = flat - flat.mean(1, keepdim=True)
    variance = centred.square().mean(1).clamp_min(1e-30)
    return (centred.pow(4).mean(1) / variance.square() - 3).median().item()


@torch.no_grad()
def lesions(network: Network, data: Data, proxy: Proxy, device: torch.device) -> dict[str, Any]:
    """Validation accuracy with each layer taken out (Veit et al. 2016).

    Of a layer with skips the branch is removed, so the skips remain; of a plain layer the whole
    layer is removed, where its input has its output's shape.
    """
    part = _validation(data, proxy, device)
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


def has_gates(genome: Genome) -> bool:
    return any(layer.merge in GATED for layer in genome.layers)


@torch.no_grad()
def gates(network: Network, data: Data, proxy: Proxy, device: torch.device) -> dict[str, float]:
    """Whether gates choose by image: validation accuracy as it is, and with every gate held fixed.

    A gate that is held has for every image the mean, over images, of each of its channels.

    Returns:
        `whole` and `held`, two accuracies, and how far gates differ: `between_images` is the
        standard deviation over images, `between_channels` that of channels' means, both averaged
        over layers.
    """
    part = _validation(data, proxy, device)
    merges = [layer_of(network, index).merge for index in range(1, len(network.layers) + 1)]
    seen: dict[nn.Module, list[Tensor]] = {
        merge.get_submodule("excitation"): [] for merge in merges if merge and merge.name in GATED
    }
    hooks = [m.register_forward_hook(lambda m, i, o: seen[m].append(o.float())) for m in seen]
    whole = accuracy(network, part, proxy)
    for hook in hooks:
        hook.remove()
    found = {module: torch.cat(values).flatten(1) for module, values in seen.items()}
    means = {module: values.mean(0) for module, values in found.items()}
    hooks = [
        m.register_forward_hook(lambda m, i, o: means[m].to(o.dtype).view_as(o[:1]).expand_as(o))
        for m in seen
    ]
    held = accuracy(network, part, proxy)
    for hook in hooks:
        hook.remove()
    return {
        "whole": whole,
        "held": held,
        "between_images": _mean([values.std(0, correction=0).mean() for values in found.values()]),
        "between_channels": _mean([values.std(correction=0) for values in means.values()]),
    }


def _mean(values: list[Tensor]) -> float:
    return torch.stack(values).mean().item()


def _validation(data: Data, proxy: Proxy, device: torch.device) -> Subset:
    part = prepare(data, proxy, "validation", device)
    return replace(part, images=part.images[:LESION_IMAGES], labels=part.labels[:LESION_IMAGES])


def _keeps_shape(layer: CompiledLayer) -> bool:
    convolutions = [m for m in layer.branch.modules() if isinstance(m, nn.Conv2d)]
    strides = math.prod(c.stride[0] for c in convolutions)
    return strides == 1 and convolutions[0].in_channels == convolutions[-1].out_channels

"""Gradients by layer and depth, and the law that they follow (exercise 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nas.architecture.genome import Genome
from nas.architecture.skeletons.convolutional import Skeleton, Stage
from nas.network.compile import compile_network
from nas.network.network import CompiledLayer, Network
from nas.statistics import geometric_factor
from nas.training.lockstep import gradient_norm

if TYPE_CHECKING:
    import pandas as pd

SETTINGS = {
    (norm, init, relu): (
        f"{'sheet block' if not relu else 'conv-BN-ReLU' if norm == 'batch' else 'conv-ReLU'}, "
        f"{'batch norm' if norm == 'batch' else 'no norm'}, {'PyTorch' if init == 'pytorch' else 'He'}"
    )
    for norm, init, relu in product(("batch", "none"), ("pytorch", "he"), (False, True))
}
"""(norm, initialisation, ReLU at a block's end) and what it is called."""
SHEET = ("batch", "pytorch", False)


def law_key(norm: str, init: str, relu: bool, mode: str) -> str:
    return f"law {norm} {init} {'relu' if relu else 'linear'} {mode}"


def modes(setting: tuple[str, str, bool]) -> tuple[str, ...]:
    """Without norm both modes are the same."""
    return ("train", "eval") if setting[0] == "batch" else ("train",)


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
            layers = [layer_of(network, index) for index in (1, blocks)]
            first = _norm([layers[0].branch.get_parameter("conv1.weight")])
            last = _norm([layers[1].branch.get_parameter("conv2.weight")])
            rows.append({"blocks": blocks, "seed": seed, "first": first, "last": last})
    return {"rows": rows}


def law_table(results: Mapping[str, Mapping[str, Any] | None]) -> pd.DataFrame:
    """A row a setting: the factor per convolution and its fit."""
    import pandas as pd

    rows = []
    for setting, label in SETTINGS.items():
        for mode in modes(setting):
            found = results[law_key(*setting, mode)]
            assert found is not None
            depths = [2 * row["blocks"] for row in found["rows"]]
            ratios = [row["first"] / max(row["last"], 1e-300) for row in found["rows"]]
            factor, r2 = geometric_factor(depths, ratios)
            seeds = sorted({row["seed"] for row in found["rows"]})
            per_seed = [
                geometric_factor(
                    [2 * row["blocks"] for row in found["rows"] if row["seed"] == seed],
                    [
                        r
                        for r, row in zip(ratios, found["rows"], strict=True)
                        if row["seed"] == seed
                    ],
                )[0]
                for seed in seeds
            ]
            rows.append(
                {
                    "setting": label,
                    "mode": mode,
                    "factor per convolution": factor,
                    "least": min(per_seed),
                    "largest": max(per_seed),
                    "R²": r2,
                    "geometric": r2 >= 0.95,
                    "n": len(seeds),
                }
            )
    return pd.DataFrame(rows)


def sheet_row(law: pd.DataFrame) -> pd.Series[Any]:
    return law[(law.setting == SETTINGS[SHEET]) & (law["mode"] == "train")].iloc[0]


def layer_gradients(network: Network) -> list[float]:
    """Gradient norm of every layer's convolution weights, first to last."""
    return [
        _norm([p for p in layer_of(network, index).branch.parameters() if p.ndim > 1])
        for index in range(1, len(network.layers) + 1)
    ]


def _norm(parameters: Sequence[nn.Parameter]) -> float:
    return gradient_norm([p.grad for p in parameters if p.grad is not None])


def layer_of(network: Network, index: int) -> CompiledLayer:
    layer = network.layers[str(index)]
    assert isinstance(layer, CompiledLayer)
    return layer

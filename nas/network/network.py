"""What a genome on a skeleton is compiled to: an ordinary `torch.nn.Module`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from nas.architecture import parts
from nas.architecture.genome import Genome
from nas.architecture.merges import MERGES
from nas.architecture.plan import LayerPlan, Plan
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.network.modules import build


class Network(nn.Module):
    """Stem, layers and head; node tensors are dropped after their last reader."""

    def __init__(self, planned: Plan, genome: Genome, skeleton: AnySkeleton) -> None:
        super().__init__()
        self.genome, self.skeleton = genome, skeleton
        self.stem = build(planned.stem)
        self.layers = nn.ModuleDict({str(p.index): CompiledLayer(p) for p in planned.layers})
        self.head = build(planned.head)
        dropped: list[list[int]] = [[] for _ in range(len(planned.layers) + 2)]
        for node, layer in enumerate(planned.last_use):
            dropped[layer].append(node)
        self._dropped = dropped

    def forward(self, images: Tensor) -> Tensor:
        previous = self.stem(images)
        nodes = {0: previous}
        for index, layer in enumerate(cast(Iterable[CompiledLayer], self.layers.values()), 1):
            previous = layer(previous, [nodes[source] for source in layer.sources])
            nodes[index] = previous
            for node in self._dropped[index]:
                del nodes[node]
        nodes.clear()
        return self.head(previous)


class CompiledLayer(nn.Module):
    """The branch on the previous node, merged with the skips, then what the skeleton has after that."""

    def __init__(self, planned: LayerPlan) -> None:
        super().__init__()
        self.token = planned.token
        self.sources = [source for source, _ in planned.skips]
        self.strengths = [strength for _, strength in planned.skips]
        self.branch = build(planned.branch)
        self.adapters = nn.ModuleDict(
            {
                str(planned.index - source): build(adapter) if adapter else nn.Identity()
                for source, adapter in zip(self.sources, planned.adapters, strict=True)
            }
        )
        self.merge = Merged(planned.merge, planned.learnt) if planned.merge else None
        self.after = build(planned.after) if planned.after else nn.Identity()

    def forward(self, previous: Tensor, sources: list[Tensor]) -> Tensor:
        """`previous` and `sources` are nodes, (N, C, H, W) of any shape; the result is node i."""
        out = self.branch(previous)
        if self.merge is not None:
            skips = []
            for adapter, strength, source in zip(
                self.adapters.values(), self.strengths, sources, strict=True
            ):
                skip = adapter(source)
                skips.append(skip if strength == 1 else strength * skip)
            out = self.merge(out, skips, previous)
        return self.after(out)

    def extra_repr(self) -> str:
        return f"{self.token!r}, sources={self.sources}"


class Merged(nn.Module):
    """A merge with its learnt parts as submodules and parameters."""

    def __init__(self, name: str, learnt: tuple[tuple[str, parts.Part], ...]) -> None:
        super().__init__()
        self.name = name
        for part_name, part in learnt:
            if isinstance(part, parts.Vector):
                self.register_parameter(part_name, nn.Parameter(torch.empty(part.size)))
            else:
                self.add_module(part_name, build(part))
        self.starts = {n: p.start for n, p in learnt if isinstance(p, parts.Vector)}

    def forward(self, branch: Tensor, skips: list[Tensor], previous: Tensor) -> Tensor:
        return MERGES[self.name].forward(self, branch, skips, previous)

    def extra_repr(self) -> str:
        return self.name

"""How a layer's branch F and its skips become one: a class per merge, and the table of them.

With z the sum of the skips (each already adapted to the layer's shape and multiplied by its
strength), a merge says which learnt parts it has (`parts`), what it computes (`forward`), and what
is left of its parts when a skip is taken out of a trained network (`without`). Tensors are
(N, C, H, W), all of the layer's output shape except `previous`, the layer's input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

from nas.architecture.parts import Chain, Conv, GlobalPool, Norm, Part, Relu, Shape, Sigmoid, Vector

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Site:
    """Where a merge is placed: what it needs to know to declare its parts."""

    inputs: Shape
    """Shape of the layer's input h of the layer before."""
    shape: Shape
    """Shape of the branch, of every adapted skip and of the output."""
    stride: int
    skips: int
    """Number of skips."""
    bias: bool
    """Whether the skeleton's convolutions have a bias."""
    norm: Callable[[Shape], Norm | None]
    """The skeleton's norm for a shape, or None."""
    branch: Callable[[], Chain]
    """Declares one more branch like F."""


class Merge:
    """Base of all merges. Without parts by default."""

    colour: str | None = None
    """`#rrggbb` in drawings; None is the colour of the text. Ours are Paul Tol's, which the
    colour-blind can tell apart."""

    any_shape: bool = False
    """Whether it also merges what is no map (C, H, W), such as tokens (T, D)."""
    second_branch: bool = False
    """Whether it has a second branch like F."""

    def parts(self, site: Site) -> dict[str, Part]:
        """The learnt parts by name; `forward` finds them as attributes of `learnt`."""
        return {}

    def forward(
        self, learnt: Any, branch: Tensor, skips: Sequence[Tensor], previous: Tensor
    ) -> Tensor:
        """The merged tensor, of the branch's shape."""
        raise NotImplementedError

    def without(self, learnt: Mapping[str, Tensor], skip: int) -> dict[str, Tensor]:
        """The trained tensors of the parts, for the same layer with one skip less.

        A merge whose parts have a share for every skip takes that share out.

        Args:
            learnt: by name, as in `learnt.state_dict()`.
            skip: which one is taken out, from 0, nearest first.
        """
        return dict(learnt)


def total(skips: Sequence[Tensor]) -> Tensor:
    """z, the sum of the skips."""
    return reduce(add, skips)


def excitation(shape: Shape) -> Chain:
    """Squeeze-and-excitation gate, reduction 16, one channel at least (Hu et al. 2018, eq. 3)."""
    squeeze = GlobalPool(shape)
    reduced = Conv(squeeze.shape, max(1, shape[0] // 16), bias=True)
    expand = Conv(reduced.shape, shape[0], bias=True)
    return Chain.of(
        squeeze=squeeze,
        reduce=reduced,
        relu=Relu(reduced.shape),
        expand=expand,
        sigmoid=Sigmoid(expand.shape),
    )


class Add(Merge):
    """F + z (He et al. 2015)."""

    colour = "#4477aa"
    any_shape = True

    def forward(self, learnt, branch, skips, previous):
        return branch + total(skips)


class Scale(Merge):
    """α·F + z, α one learnt number from 0 (De & Smith 2020, SkipInit; Bachlechner 2020, ReZero)."""

    colour = "#66ccee"
    any_shape = True

    def parts(self, site):
        return {"alpha": Vector(1, 0.0)}

    def forward(self, learnt, branch, skips, previous):
        return learnt.alpha * branch + total(skips)


class Channel(Merge):
    """w ⊙ F + z, w learnt per channel from 0.5 (exercise 5, channel weighting)."""

    colour = "#228833"

    def parts(self, site):
        return {"weight": Vector(site.shape[0], 0.5)}

    def forward(self, learnt, branch, skips, previous):
        return learnt.weight[:, None, None] * branch + total(skips)


class Attention(Merge):
    """a(z) ⊙ F + z, a squeeze-and-excitation gate that reads the skip (exercise 5, attention)."""

    colour = "#ccbb44"

    def parts(self, site):
        return {"excitation": excitation(site.shape)}

    def forward(self, learnt, branch, skips, previous):
        z = total(skips)
        return learnt.excitation(z) * branch + z


class SqueezeExcitation(Merge):
    """a(F) ⊙ F + z (Hu et al. 2018, SE-ResNet)."""

    colour = "#ee6677"

    def parts(self, site):
        return {"excitation": excitation(site.shape)}

    def forward(self, learnt, branch, skips, previous):
        return learnt.excitation(branch) * branch + total(skips)


class Gate(Merge):
    """T ⊙ F + (1-T) ⊙ z, T = σ(1×1 convolution of the input), bias from -2 (Srivastava 2015)."""

    colour = "#aa3377"

    def parts(self, site):
        conv = Conv(site.inputs, site.shape[0], stride=site.stride, bias=True, bias_start=-2.0)
        return {"transform": Chain.of(conv=conv, sigmoid=Sigmoid(conv.shape))}

    def forward(self, learnt, branch, skips, previous):
        t = learnt.transform(previous)
        return t * branch + (1 - t) * total(skips)


class Dense(Merge):
    """F + G(h) + z, G a second branch like F on the same input (exercise 5, multiple paths)."""

    colour = "#bbbbbb"
    second_branch = True

    def parts(self, site):
        return {"branch": site.branch()}

    def forward(self, learnt, branch, skips, previous):
        return branch + learnt.branch(previous) + total(skips)


class Concat(Merge):
    """norm(1×1 convolution of [F, skips…]) back to the width (DenseNet 2017; CGP-CNN 2017)."""

    colour = "#ee8866"

    def parts(self, site):
        channels, *side = site.shape
        conv = Conv((channels * (1 + site.skips), *side), channels, bias=site.bias)
        return {"project": Chain.of(conv=conv, norm=site.norm(conv.shape))}

    def forward(self, learnt, branch, skips, previous):
        import torch

        return learnt.project(torch.cat([branch, *skips], dim=1))

    def without(self, learnt, skip):
        import torch

        name = "project.conv.weight"  # (C, C·(1 + skips), 1, 1), the branch's channels first
        shares = list(learnt[name].split(len(learnt[name]), dim=1))
        del shares[1 + skip]
        return {**learnt, name: torch.cat(shares, dim=1)}


class Graft(Merge):
    """F + Σ β·z, β learnt for every skip from 0: a trained network begins as it was.

    Bachlechner et al. (2020, ReZero) begin a new residual branch so; here it is the skip.
    """

    colour = "#332288"
    any_shape = True

    def parts(self, site):
        return {"beta": Vector(site.skips, 0.0)}

    def forward(self, learnt, branch, skips, previous):
        for beta, skip in zip(learnt.beta, skips, strict=True):
            branch = branch + beta * skip
        return branch

    def without(self, learnt, skip):
        import torch

        beta = learnt["beta"]
        return {**learnt, "beta": torch.cat([beta[:skip], beta[skip + 1 :]])}


MERGES: dict[str, Merge] = {
    "add": Add(),
    "scale": Scale(),
    "channel": Channel(),
    "attention": Attention(),
    "se": SqueezeExcitation(),
    "gate": Gate(),
    "dense": Dense(),
    "concat": Concat(),
    "graft": Graft(),
}

"""How a layer's branch F and its skips become one: a class per merge, and the table of them.

With z the sum of the skips (each already adapted to the layer's shape and multiplied by its
strength), a merge says which learnt parts it has (`parts`), what it computes (`forward`), and what
is left of its parts when a skip is taken out of a trained network (`without`). Tensors are maps
(N, C, H, W), tokens (N, T, D) or features (N, D), all of the layer's output shape except `previous`,
the layer's input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

from nas.architecture.parts import (
    Chain,
    Conv,
    GlobalPool,
    Norm,
    Part,
    Project,
    Relu,
    Shape,
    Sigmoid,
    Vector,
)

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
    """Whether the skeleton's convolutions, or its linear layers over tokens, have a bias."""
    norm: Callable[[Shape], Norm | None]
    """The skeleton's norm for a shape, or None."""
    branch: Callable[[], Chain]
    """Declares one more branch like F."""

    @property
    def channels(self) -> int:
        """C of a map (C, H, W), D of tokens (T, D) and features (D,)."""
        return self.shape[0] if len(self.shape) == 3 else self.shape[-1]

    def pointwise(
        self, inputs: Shape, bias: bool, stride: int = 1, bias_start: float | None = None
    ) -> Conv | Project:
        """A 1×1 layer from this shape to the layer's channels: a convolution of maps, a linear layer over
        the last axis of tokens and features, which have no stride."""
        if len(inputs) == 3:
            return Conv(inputs, self.channels, 1, stride, bias, bias_start)
        return Project(inputs, self.channels, bias, bias_start)


class Merge:
    """Base of all merges. Without parts by default."""

    colour: str | None = None
    """`#rrggbb` in drawings; None is the colour of the text. Ours are Paul Tol's, which the
    colour-blind can tell apart."""

    any_shape: bool = False
    """Whether it also merges what is no map (C, H, W): tokens (T, D), features (D,)."""
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


def channel_axis(x: Tensor) -> int:
    """Which axis has the channels: of maps (N, C, H, W) the third from the end, else the last."""
    return -3 if x.ndim == 4 else -1


def per_channel(vector: Tensor, x: Tensor) -> Tensor:
    """A vector (C,) as a factor of a tensor's channels."""
    return vector[:, None, None] if x.ndim == 4 else vector


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
    any_shape = True
    start = 0.5

    def parts(self, site):
        return {"weight": Vector(site.channels, self.start)}

    def forward(self, learnt, branch, skips, previous):
        return per_channel(learnt.weight, branch) * branch + total(skips)


class LayerScale(Channel):
    """λ ⊙ F + z, λ learnt per channel from 1e-6 (Touvron et al. 2021, CaiT; Liu et al. 2022, ConvNeXt).

    CaiT begins with 0.1 up to 18 layers, 1e-5 at 24 and 1e-6 beyond, ConvNeXt with 1e-6 at all depths.
    A pattern is stretched to other depths, so its start does not depend on one.
    """

    colour = "#999933"
    start = 1e-6


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
    any_shape = True

    def parts(self, site):
        conv = site.pointwise(site.inputs, bias=True, stride=site.stride, bias_start=-2.0)
        return {"transform": Chain.of(conv=conv, sigmoid=Sigmoid(conv.shape))}

    def forward(self, learnt, branch, skips, previous):
        t = learnt.transform(previous)
        return t * branch + (1 - t) * total(skips)


class Dense(Merge):
    """F + G(h) + z, G a second branch like F on the same input (exercise 5, multiple paths)."""

    colour = "#bbbbbb"
    any_shape = True
    second_branch = True

    def parts(self, site):
        return {"branch": site.branch()}

    def forward(self, learnt, branch, skips, previous):
        return branch + learnt.branch(previous) + total(skips)


class Concat(Merge):
    """norm(1×1 convolution of [F, skips…]) back to the width (DenseNet 2017; CGP-CNN 2017)."""

    colour = "#ee8866"
    any_shape = True

    def parts(self, site):
        wide = site.channels * (1 + site.skips)
        maps = len(site.shape) == 3
        inputs = (wide, *site.shape[1:]) if maps else (*site.shape[:-1], wide)
        conv = site.pointwise(inputs, site.bias)
        return {"project": Chain.of(conv=conv, norm=site.norm(conv.shape))}

    def forward(self, learnt, branch, skips, previous):
        import torch

        return learnt.project(torch.cat([branch, *skips], dim=channel_axis(branch)))

    def without(self, learnt, skip):
        import torch

        name = "project.conv.weight"  # (C, C·(1 + skips), …), the branch's channels first
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


class Mix(Graft):
    """α·F + Σ β·h, α and a β for every skip learnt from 1, of any sign (Pagliardini et al. 2024).

    With skips to all earlier nodes these are DenseFormer's averages over depth; with one skip it is
    LAuReL's residual weight (Menghani et al. 2024).
    """

    colour = "#cc3311"

    def parts(self, site):
        return {"alpha": Vector(1, 1.0), "beta": Vector(site.skips, 1.0)}

    def forward(self, learnt, branch, skips, previous):
        weighted = [beta * skip for beta, skip in zip(learnt.beta, skips, strict=True)]
        return learnt.alpha * branch + total(weighted)


class Route(Merge):
    """F + Σ softmax(q·RMSNorm(h))·h over the skips, q learnt per channel from 0 (attention residuals).

    Every position of a map or a text has shares of its own. At first they are equal: F + the mean of the
    skips. With one skip it stays F + h. The norm's own factors are left out, as q has them.
    """

    colour = "#225555"
    any_shape = True
    epsilon = 1e-6

    def parts(self, site):
        return {"query": Vector(site.channels, 0.0)}

    def forward(self, learnt, branch, skips, previous):
        import torch

        axis, query = channel_axis(branch), per_channel(learnt.query, branch)
        scores = []  # a number for every position
        for skip in skips:
            root = (skip.square().mean(axis, keepdim=True) + self.epsilon).sqrt()
            scores.append((query * skip).sum(axis, keepdim=True) / root)
        shares = torch.stack(scores).softmax(0)
        weighted = [share * skip for share, skip in zip(shares, skips, strict=True)]
        return branch + total(weighted)


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
    "mix": Mix(),
    "layerscale": LayerScale(),
    "route": Route(),
}

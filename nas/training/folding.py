"""Batch norm folded into the convolutions before it, for scoring."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from nas.network.modules import UninitialisedConv


class FoldedConv(nn.Module):
    """A convolution followed by a norm in evaluation mode, as one convolution."""

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        self.weight, self.bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var,
            norm.eps, norm.weight, norm.bias,
        )  # fmt: skip
        self.stride, self.padding = conv.stride, conv.padding
        self.dilation, self.groups = conv.dilation, conv.groups

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


def _folds(conv: nn.Module, norm: nn.Module) -> bool:
    """Whether both are what they seem: a model of a user's own may have derived classes."""
    if type(conv) not in (nn.Conv2d, UninitialisedConv) or type(norm) is not nn.BatchNorm2d:
        return False
    return conv.padding_mode == "zeros" and norm.running_mean is not None


@contextmanager
def folded(network: nn.Module) -> Iterator[None]:
    """Inside, every convolution whose norm follows it computes both, for evaluation only."""
    replaced: list[tuple[nn.Sequential, str, nn.Module]] = []
    for chain in [m for m in network.modules() if type(m) is nn.Sequential]:
        for (first, conv), (second, norm) in pairwise(list(chain.named_children())):
            if _folds(conv, norm):
                assert isinstance(conv, nn.Conv2d)
                assert isinstance(norm, nn.BatchNorm2d)
                replaced += [(chain, first, conv), (chain, second, norm)]
                chain._modules[first] = FoldedConv(conv, norm)
                chain._modules[second] = nn.Identity()
    try:
        yield
    finally:
        for chain, name, module in replaced:
            chain._modules[name] = module

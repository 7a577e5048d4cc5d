"""ConvNeXt against timm's, and the U-Net against one written out from its paper."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from baselines import BASELINES
from baselines.networks import convnext_genome, convnext_skeleton, mirrored, unet_skeleton
from nas import Genome, compile_network, plan
from nas.architecture.skeletons.unet import UNet
from tests.baselines.test_exactness import randomised


def macs_of(network, pictures):
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(pictures)
    return counter.get_total_flops() / 2


def assert_same(ours, theirs, pictures):
    """Counts of parameters and MACs, and outputs."""
    planned = plan(ours.genome, ours.skeleton)
    assert planned.params == sum(p.numel() for p in theirs.parameters())
    assert planned.macs == macs_of(theirs.eval(), pictures[:1])
    with torch.no_grad():
        torch.testing.assert_close(
            ours.eval()(pictures), theirs(pictures), rtol=1e-5, atol=1e-5
        )  # fmt: skip


@pytest.mark.parametrize("conv_mlp", [False, True])
@pytest.mark.parametrize("depths", [(1, 1, 1, 1), (2, 1, 3, 2)])
def test_timms_convnext(depths, conv_mlp):
    convnext = pytest.importorskip("timm.models.convnext", reason="timm is not installed")
    widths = (8, 12, 16, 20)
    theirs = randomised(
        convnext.ConvNeXt(depths=depths, dims=widths, num_classes=7, conv_mlp=conv_mlp)
    )
    skeleton = convnext_skeleton(depths, widths).for_data((3, 64, 96), 7)
    ours = compile_network(convnext_genome(depths), skeleton)
    own, given = dict(ours.named_parameters()), dict(theirs.named_parameters())
    scales = {name: own.pop(name) for name in [*own] if ".merge." in name}
    theirs_scales = {name: given.pop(name) for name in [*given] if name.endswith("gamma")}
    for mine, their in ((own, given), (scales, theirs_scales)):
        for one, other in zip(mine.values(), their.values(), strict=True):
            one.data.copy_(other.data.view(one.shape))
    assert_same(ours, theirs, torch.randn(2, 3, 64, 96))


def test_the_parameters_of_convnext_tiny():
    baseline = BASELINES["convnext-tiny"]
    assert plan(baseline.genome, baseline.skeleton).params == 28_589_128  # timm's, torchvision's


class Twice(nn.Sequential):
    """3×3 convolution and ReLU, twice."""

    def __init__(self, inputs, channels):
        super().__init__(
            nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(),
        )  # fmt: skip


class Ronneberger(nn.Module):
    """Figure 1 of the paper, with padding, and a 1×1 convolution where maps are put side by side."""

    def __init__(self, channels, classes, widths, join):
        super().__init__()
        pairs = [*zip((channels, *widths), widths, strict=False)]
        self.down = nn.ModuleList(Twice(*pair) for pair in pairs)
        up = [*zip(widths[:0:-1], widths[-2::-1], strict=True)]
        self.up = nn.ModuleList(nn.ConvTranspose2d(*pair, 2, 2) for pair in up)
        self.join = nn.ModuleList(nn.Conv2d(2 * w, w, 1) for _, w in up if join == "concat")
        self.blocks = nn.ModuleList(Twice(w, w) for _, w in up)
        self.head = nn.Conv2d(widths[0], classes, 1)
        self.how = join

    def forward(self, x):
        kept = []
        for block in self.down:
            x = block(x if not kept else nn.functional.max_pool2d(x, 2))
            kept.append(x)
        for index, (up, block) in enumerate(zip(self.up, self.blocks, strict=True)):
            x, mirror = up(x), kept[-2 - index]
            if self.how == "concat":
                x = self.join[index](torch.cat([x, mirror], 1))
            elif self.how == "add":
                x = x + mirror
            x = block(x)
        return self.head(x)


@pytest.mark.parametrize("join", ["concat", "add", "plain"])
def test_the_u_net_of_the_paper(join):
    widths = (4, 8, 12, 16, 24)
    skeleton = replace(unet_skeleton(), levels=widths).for_data((3, 48, 64), 5)
    genome = Genome.plain(skeleton.layers) if join == "plain" else mirrored(skeleton, join)
    theirs = randomised(Ronneberger(3, 5, widths, join))
    ours = compile_network(genome, skeleton)
    given = [p for block in theirs.down for p in block.parameters()]
    for index in range(4):
        for module in (theirs.up, theirs.join, theirs.blocks):
            given += [*module[index].parameters()] if len(module) else []
    given += [*theirs.head.parameters()]
    for mine, their in zip(ours.parameters(), given, strict=True):
        mine.data.copy_(their.data)
    assert_same(ours, theirs, torch.randn(2, 3, 48, 64))


def test_its_baselines_have_the_papers_widths():
    """23 convolutions (section 2), a 1×1 one a join besides."""
    for name, joins in (("unet", 4), ("unet/add", 0), ("unet/plain", 0)):
        network = BASELINES[name].narrowed(16).network()
        convolutions = [
            m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)
        ]
        assert len(convolutions) == 23 + joins
        assert isinstance(BASELINES[name].skeleton, UNet)
        assert BASELINES[name].skeleton.shapes[5] == (1024, 36, 36)

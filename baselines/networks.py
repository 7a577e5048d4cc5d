"""The fixed genomes: the five exercises' networks and the variants they compare, by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nas.architecture.genome import Genome
from nas.architecture.layers import MIRROR, STEM, Layer, Skip
from nas.architecture.merges import MERGES
from nas.architecture.skeletons.convolutional import Skeleton, Stage
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.architecture.skeletons.transformer import Transformer
from nas.architecture.skeletons.unet import UNet
from nas.errors import unknown

if TYPE_CHECKING:
    from nas.network.network import Network


@dataclass(frozen=True)
class Baseline:
    """A genome with its skeleton."""

    name: str
    genome: Genome
    skeleton: AnySkeleton
    source: str
    """The exercise or paper it comes from."""

    def network(self, seed: int = 0) -> Network:
        """The compiled network: images (N, C, H, W) -> logits (N, classes), or maps (N, classes, H, W)."""
        from nas.network.compile import compile_network

        return compile_network(self.genome, self.skeleton, seed)

    def narrowed(self, divisor: int) -> Baseline:
        """The same architecture with every width divided, one channel at least."""
        return replace(self, skeleton=narrow(self.skeleton, divisor))


def narrow(skeleton: AnySkeleton, divisor: int) -> AnySkeleton:
    """A skeleton with every width divided by a number, one channel at least."""
    less = skeleton.widened([max(1, width // divisor) for width in skeleton.widths])
    if isinstance(less, Skeleton) and less.stem_width:
        return replace(less, stem_width=max(1, less.stem_width // divisor))
    return less


BOTTLENECKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Layers of the four stages (He et al. 2015, table 1)."""
VARIANTS = ("scale", "channel", "attention", "se", "gate", "dense", "concat")
"""Merges of exercise 5, beside identity's `add`."""


def sheet_skeleton(layers: int, relu_after_merge: bool = True) -> Skeleton:
    """Exercises 1 to 3: one stage of 64 channels behind the 7×7 stem, convolutions with bias."""
    return Skeleton(
        (3, 32, 32),
        10,
        (Stage(layers, 64),),
        stem="7x7",
        bias=True,
        activation=relu_after_merge,
    )


def bottleneck_skeleton(depth: int, **changes: object) -> Skeleton:
    """ResNet-50, 101 or 152: torchvision's unless changed."""
    widths = ((64, 1), (128, 2), (256, 2), (512, 2))
    stages = tuple(
        Stage(layers, width, stride)
        for layers, (width, stride) in zip(BOTTLENECKS[depth], widths, strict=True)
    )
    plain = Skeleton((3, 224, 224), 1000, stages, stem="7x7", block="bottleneck", init="he")
    return replace(plain, **changes)  # type: ignore[arg-type]


def cifar_skeleton(depth: int) -> Skeleton:
    """6n+2 layers in three stages, option A shortcuts (He et al. 2015, section 4.2)."""
    n = (depth - 2) // 6
    stages = (Stage(n, 16), Stage(n, 32, 2), Stage(n, 64, 2))
    return Skeleton((3, 32, 32), 10, stages, adapter="A", init="he")


def convnext_skeleton(depths: Sequence[int], widths: Sequence[int]) -> Skeleton:
    """ConvNeXt on ImageNet: a stage's blocks, after a layer that halves the sides in all but the first."""
    stages = [Stage(depths[0], widths[0])]
    stages += [Stage(1 + n, width, 2) for n, width in zip(depths[1:], widths[1:], strict=True)]
    return Skeleton(
        (3, 224, 224), 1000, tuple(stages), stem="patch", block="convnext", norm="layer", bias=True
    )  # fmt: skip


def convnext_genome(depths: Sequence[int], merge: str = "layerscale") -> Genome:
    """A skip around every block, and none around the layers that halve the sides."""
    first, *others = (f"{merge}(1)*{blocks}" for blocks in depths)
    return Genome.parse(" - ".join([first, *others]))


def unet_skeleton() -> UNet:
    """The U-Net of 2015, of five levels, with padding: pictures keep their sides."""
    levels = (64, 128, 256, 512, 1024)
    return UNet((1, 572, 572), 2, levels, stem="none", norm="none", bias=True, init="he")


def mirrored(skeleton: UNet, merge: str) -> Genome:
    """The mirrored node in every layer on the way up, of levels of one layer, and no other skips."""
    down = len(skeleton.levels)
    return Genome.parse(f"-*{down} {merge}(m)*{down - 1}")


def _maps_and_convnexts() -> Iterator[Baseline]:
    unet, paper = unet_skeleton(), "Ronneberger et al. 2015"
    yield Baseline(
        "unet", mirrored(unet, "concat"), unet, f"{paper}, with a 1×1 convolution a join"
    )
    yield Baseline(
        "unet/add", mirrored(unet, "add"), unet, f"{paper}, with sums for concatenations"
    )
    yield Baseline("unet/plain", Genome.plain(unet.layers), unet, f"{paper}, without its skips")
    depths, widths = (3, 3, 9, 3), (96, 192, 384, 768)
    yield Baseline(
        "convnext-tiny", convnext_genome(depths), convnext_skeleton(depths, widths),
        "Liu et al. 2022; timm's convnext_tiny",
    )  # fmt: skip


def gpt2_skeleton(**changes: object) -> Transformer:
    """GPT-2 small, whose last layer has weights of its own here; unless changed."""
    plain = Transformer((1024,), 50_257, 12, 768, 12, activation="gelu-tanh")
    return replace(plain, **changes)  # type: ignore[arg-type]


def u_skips(skeleton: Transformer) -> Genome:
    """The skip from the layer before, and a sum of mirrored blocks' outputs as U-ViT reads them."""
    layers = []
    for index in range(1, skeleton.layers + 1):
        far = (Skip(MIRROR),) if index % 2 == 0 and skeleton.mirror(index) else ()
        layers.append(Layer("add", (Skip(1), *far)))
    return Genome(tuple(layers))


def denseformer(skeleton: Transformer) -> Genome:
    """Every block's MLP reads, by learnt numbers, the nodes of all blocks before it and the stem, too."""
    layers = []
    for index in range(1, skeleton.layers + 1):
        far = () if index % 2 else (*map(Skip, range(2, index, 2)), Skip(STEM))
        layers.append(Layer("mix" if far else "add", (Skip(1), *far)))
    return Genome(tuple(layers))


def _transformers() -> Iterator[Baseline]:
    """Not among them are parallel blocks (PaLM, Chowdhery et al. 2022): their MLP reads what attention
    reads, and a layer here reads the layer before it."""
    gpt2, residual = gpt2_skeleton(), Genome.residual(24)
    paper = "Radford et al. 2019"
    yield Baseline("gpt2", residual, gpt2, f"{paper}: norms before the branches")
    yield Baseline("gpt2/plain", Genome.plain(24), gpt2, f"{paper}, without its skips")
    yield Baseline(
        "gpt2/post", residual, gpt2_skeleton(position="post"),
        "Vaswani et al. 2017: norms after the sums",
    )  # fmt: skip
    yield Baseline(
        "gpt2/rezero", Genome.parse("scale(1)*24"), gpt2_skeleton(norm="none"),
        "Bachlechner et al. 2020: no norms, branches scaled from 0",
    )  # fmt: skip
    yield Baseline(
        "gpt2/u-skips", u_skips(gpt2), gpt2, "after Bao et al. 2023, with sums for concatenations"
    )
    yield Baseline(
        "gpt2/denseformer", denseformer(gpt2), gpt2,
        "after Pagliardini et al. 2024, whose mixes read what blocks give before they are mixed, and "
        "begin as no change: here they read the mixed nodes, and all numbers begin at 1",
    )  # fmt: skip
    vit = Transformer((3, 224, 224), 1000, 12, 192, 3, patch=16, epsilon=1e-6)
    yield Baseline(
        "vit-tiny", residual, vit, "Dosovitskiy et al. 2021; timm's vit_tiny_patch16_224"
    )


def _baselines() -> Iterator[Baseline]:
    for blocks in (20, 28, 56):
        yield Baseline(
            f"plain-{blocks}",
            Genome.plain(blocks),
            sheet_skeleton(blocks, relu_after_merge=False),
            f"exercise 1: {blocks} blocks ({2 * blocks} convolutions), no ReLU at a block's end",
        )
    for depth in (56, 110, 1202, 2002):
        blocks = depth // 2
        yield Baseline(
            f"resnet-{depth}",
            Genome.residual(blocks),
            sheet_skeleton(blocks),
            f"exercise 2: {blocks} blocks ({depth} convolutions)",
        )
    yield Baseline(
        "resnet-56/plain", Genome.plain(28), sheet_skeleton(28),
        "exercise 2: resnet-56 without its skips, ReLUs included",
    )  # fmt: skip
    for depth, layers in BOTTLENECKS.items():
        sheet = bottleneck_skeleton(
            depth, input_shape=(3, 32, 32), classes=10, bias=True, init="pytorch"
        )
        residual = Genome.residual(sum(layers))
        yield Baseline(f"resnet-{depth}", residual, sheet, "exercise 4")
        yield Baseline(
            f"torchvision/resnet-{depth}", residual, bottleneck_skeleton(depth), "torchvision"
        )
        if depth == 50:
            yield Baseline("resnet-50/identity", residual, sheet, "exercise 5: x + F(x)")
            yield Baseline("resnet-50/plain", Genome.plain(16), sheet, "exercise 5: no skips")
            for merge in VARIANTS:  # and not what plugins have added by now
                genome = Genome.parse(f"{merge}(1)*16")
                text = (MERGES[merge].__doc__ or "").partition("\n")[0]
                yield Baseline(f"resnet-50/{merge}", genome, sheet, f"exercise 5: {text}")
            yield Baseline(
                "torchvision/se-resnet-50", Genome.parse("se(1)*16"), bottleneck_skeleton(50),
                "Hu et al. 2018; timm's seresnet50",
            )  # fmt: skip
    for depth in (20, 32, 44, 56, 110, 1202):
        skeleton = cifar_skeleton(depth)
        paper = "He et al. 2015, section 4.2, option A"
        yield Baseline(f"cifar/resnet-{depth}", Genome.residual(skeleton.layers), skeleton, paper)
        yield Baseline(f"cifar/plain-{depth}", Genome.plain(skeleton.layers), skeleton, paper)


BASELINES: dict[str, Baseline] = {
    baseline.name: baseline
    for baseline in (*_baselines(), *_maps_and_convnexts(), *_transformers())
}


def find_baseline(name: str) -> Baseline:
    """The baseline of a name.

    Raises:
        InputError: unknown; the nearest names are suggested.
    """
    if name not in BASELINES:
        raise unknown("baseline", name, BASELINES)
    return BASELINES[name]

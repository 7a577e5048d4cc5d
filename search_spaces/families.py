"""The named spaces of the other residual families: Transformers, U-Nets and ConvNeXt.

Their proxies take seconds of a core; docs/results.md says how far they can be trusted. Those whose names
end in -large have sizes for a GPU.
"""

from dataclasses import replace

from nas.architecture.skeletons.convolutional import Skeleton, Stage
from nas.architecture.skeletons.transformer import Transformer
from nas.architecture.skeletons.unet import UNet
from nas.architecture.space import SearchSpace
from nas.proxy import Proxy

ADAMW = Proxy(
    batch=16, learning_rate=4e-3, warmup=0.1, weight_decay=0.1, calibration_images=0,
    optimizer="adamw", schedule="cosine", clip=1.0,
)  # fmt: skip
"""What Transformers are trained with."""
RATES = (2e-3, 4e-3, 8e-3)
LARGE_RATES = (5e-4, 1e-3, 2e-3)


LARGE_PICTURES = replace(
    ADAMW, batch=256, epochs=5, images=20_000, learning_rate=1e-3, augment="crop-flip"
)
LARGE_PICTURES_LONGER = replace(LARGE_PICTURES, epochs=20, images=None)


def _text(images: int) -> Proxy:
    return replace(ADAMW, task="language", epochs=1, images=images, validation_images=400)


GPT12 = SearchSpace(
    Transformer((64,), 76, blocks=6, width=32, heads=2, activation="relu"),
    distances=(1, 2, 4),
    sources=("0",),
    merges=("add", "scale", "mix"),
    learning_rates=RATES,
    period=4,
    data="shakespeare",
    proxy=_text(3200),
    final=_text(6400),
    name="gpt12",
)
"""Six blocks of a Transformer, twelve layers, on the characters of a text; a motif of two blocks."""

GPT24 = replace(GPT12, skeleton=GPT12.skeleton.deepened(2), name="gpt24")

GPT24_LARGE = replace(
    GPT24,
    skeleton=Transformer((256,), 76, blocks=12, width=256, heads=8),
    learning_rates=LARGE_RATES,
    proxy=replace(ADAMW, task="language", batch=64, epochs=4, learning_rate=1e-3),
    final=replace(ADAMW, task="language", batch=64, epochs=8, learning_rate=1e-3),
    name="gpt24-large",
)

VIT12 = SearchSpace(
    Transformer(
        (1, 8, 8), 10, blocks=6, width=32, heads=2, patch=2, pooling="mean", activation="relu",
        init="pytorch",
    ),
    distances=(1, 2, 4),
    sources=("0",),
    merges=("add", "scale", "mix"),
    learning_rates=RATES,
    period=4,
    data="digits",
    proxy=replace(ADAMW, epochs=4, images=1000),
    final=replace(ADAMW, epochs=8, images=1000),
    name="vit12",
)  # fmt: skip
"""Six blocks of a Transformer on the patches of a picture."""

VIT12_LARGE = replace(
    VIT12,
    skeleton=Transformer((3, 32, 32), 10, blocks=6, width=192, heads=3, pooling="mean"),
    learning_rates=LARGE_RATES,
    data="cifar10",
    proxy=LARGE_PICTURES,
    final=LARGE_PICTURES_LONGER,
    name="vit12-large",
)

UNET = SearchSpace(
    UNet((1, 28, 28), 1, levels=(8, 16, 32)),
    distances=(1, 2),
    sources=("m",),
    merges=("add", "mix", "concat"),
    learning_rates=(3e-3, 1e-2),
    data="fashion-mnist",
    proxy=replace(
        ADAMW, task="denoising", epochs=3, images=500, validation_images=250, resolution=14,
        learning_rate=3e-3,
    ),
    final=replace(
        ADAMW, task="denoising", epochs=6, images=500, resolution=14, learning_rate=3e-3
    ),
    name="unet",
)  # fmt: skip
"""Three levels down and two up, on noisy pictures."""

UNET_LARGE = replace(
    UNET,
    skeleton=UNet((3, 32, 32), 3, levels=(64, 128, 256), per_level=2),
    data="cifar10",
    proxy=replace(ADAMW, task="denoising", batch=128, epochs=5, images=20_000, learning_rate=1e-3),
    final=replace(ADAMW, task="denoising", batch=128, epochs=20, learning_rate=1e-3),
    name="unet-large",
)

CONVNEXT9 = SearchSpace(
    Skeleton(
        (1, 28, 28),
        10,
        (Stage(3, 16), Stage(3, 32, 2), Stage(3, 64, 2)),
        block="convnext",
        norm="layer",
    ),
    distances=(1, 2, 3),
    merges=("add", "layerscale", "scale", "mix"),
    learning_rates=RATES,
    data="fashion-mnist",
    proxy=replace(ADAMW, batch=32, epochs=3, images=500, validation_images=500, resolution=14),
    final=replace(ADAMW, batch=32, epochs=6, images=500, resolution=14),
    name="convnext9",
)

CONVNEXT18_LARGE = replace(
    CONVNEXT9,
    skeleton=Skeleton(
        (3, 32, 32),
        10,
        (Stage(3, 96), Stage(3, 192, 2), Stage(9, 384, 2), Stage(3, 768, 2)),
        block="convnext",
        norm="layer",
    ),
    learning_rates=LARGE_RATES,
    data="cifar10",
    proxy=LARGE_PICTURES,
    final=LARGE_PICTURES_LONGER,
    name="convnext18-large",
)
"""ConvNeXt-T's stages (Liu et al. 2022), on small pictures."""

FAMILIES = (
    GPT12,
    GPT24,
    VIT12,
    UNET,
    CONVNEXT9,
    GPT24_LARGE,
    VIT12_LARGE,
    UNET_LARGE,
    CONVNEXT18_LARGE,
)

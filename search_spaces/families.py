"""The named spaces of the other residual families: a Transformer on texts, and a U-Net.

Their proxies take seconds on two cores. How far they can be trusted has not been measured yet.
"""

from dataclasses import replace

from nas.architecture.skeletons.transformer import Transformer
from nas.architecture.skeletons.unet import UNet
from nas.architecture.space import SearchSpace
from nas.proxy import Proxy

ADAMW = Proxy(
    batch=32, learning_rate=4e-3, warmup=0.1, weight_decay=0.1, calibration_images=0,
    optimizer="adamw", schedule="cosine", clip=1.0,
)  # fmt: skip
"""What Transformers are trained with."""
RATES = (2e-3, 4e-3, 8e-3)

GPT12 = SearchSpace(
    Transformer((64,), 76, blocks=6, width=32, heads=4),
    distances=(1, 2, 4),
    merges=("add", "scale", "gate"),
    learning_rates=RATES,
    period=4,
    data="shakespeare",
    proxy=replace(ADAMW, task="language", epochs=1, images=3200, validation_images=400),
    final=replace(ADAMW, task="language", epochs=2, images=3200, validation_images=400),
    name="gpt12",
)
"""Six blocks of a Transformer, twelve layers, on the characters of a text."""

UNET = SearchSpace(
    UNet((1, 28, 28), 1, levels=(8, 16, 32)),
    distances=(1, 2, 3),
    merges=("add", "scale", "concat"),
    learning_rates=(1e-3, 3e-3),
    data="fashion-mnist",
    proxy=replace(ADAMW, task="denoising", epochs=2, images=1000, validation_images=500),
    final=replace(ADAMW, task="denoising", epochs=4, images=1000),
    name="unet",
)

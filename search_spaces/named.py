"""The named search spaces, one constant each.

A space carries the input shape and classes of its usual data; a search on other data replaces them.
"""

from dataclasses import replace

from nas.architecture.skeletons.convolutional import Skeleton, Stage
from nas.architecture.space import SearchSpace
from nas.proxy import Proxy
from search_spaces.families import FAMILIES

MERGES = ("add", "scale", "se", "gate", "concat")
"""What the named spaces choose from; `dense` doubles a layer and is left to those who want it."""


def _stages(layers: int, width: int = 16) -> tuple[Stage, ...]:
    """Three stages of so many layers; 16, 32 and 64 channels are those of He et al. 2015, 4.2."""
    return (Stage(layers, width), Stage(layers, 2 * width, 2), Stage(layers, 4 * width, 2))


DEEP_DISTANCES = (1, 3, 9)
"""What deep spaces choose from: with long skips, a network of many layers has short ways as well."""
RATES = (0.05, 0.1, 0.2)

DIGITS27 = SearchSpace(
    Skeleton((1, 8, 8), 10, _stages(9, 8)),
    distances=DEEP_DISTANCES,
    merges=MERGES,
    period=3,
    learning_rates=RATES,
    data="digits",
    proxy=Proxy(epochs=4, images=300, batch=32, learning_rate=0.1),
    final=Proxy(epochs=8, images=300, batch=32, learning_rate=0.1),
    name="digits27",
)
"""The default: 27 layers, whose motif of three layers is searched, with its learning rate."""

DIGITS54 = replace(DIGITS27, skeleton=Skeleton((1, 8, 8), 10, _stages(18, 8)), name="digits54")

DIGITS27_NO_NORM = replace(
    DIGITS27,
    skeleton=Skeleton((1, 8, 8), 10, _stages(9, 8), norm="none", bias=True, init="he"),
    learning_rates=(0.01, 0.02, 0.05),
    name="digits27-no-norm",
)
"""Without batch norm, in He's initialisation: skips have to keep signals in bounds."""

FASHION27 = SearchSpace(
    Skeleton((1, 28, 28), 10, _stages(9, 8)),
    distances=DEEP_DISTANCES,
    merges=MERGES,
    period=3,
    learning_rates=RATES,
    data="fashion-mnist",
    proxy=Proxy(epochs=4, images=1000, validation_images=2000, resolution=14, learning_rate=0.1),
    final=Proxy(epochs=8, images=1000, resolution=14, learning_rate=0.1),
    name="fashion27",
)

DIGITS9 = SearchSpace(
    Skeleton((1, 8, 8), 10, _stages(3)),
    merges=MERGES,
    data="digits",
    proxy=Proxy(epochs=4, images=300, batch=32, learning_rate=0.05),
    final=Proxy(epochs=12, images=300, batch=32, learning_rate=0.05),
    name="digits9",
)

FASHION9 = SearchSpace(
    Skeleton((1, 28, 28), 10, _stages(3)),
    merges=MERGES,
    data="fashion-mnist",
    proxy=Proxy(epochs=6, images=1000, validation_images=2000, resolution=14, learning_rate=0.05),
    final=Proxy(epochs=18, images=1000, resolution=14, learning_rate=0.05),
    name="fashion9",
)

DIGITS9_DISTANCES = replace(
    DIGITS9, merges=("add",), strengths=(1.0,), distances=(1, 2, 3, 4), name="digits9-distances"
)
"""Only where skips start is searched."""

DIGITS9_MERGES = replace(DIGITS9, distances=(1,), always=True, name="digits9-merges")
"""ResNet's skips; how they are combined and how strongly is searched."""

CIFAR9 = SearchSpace(
    Skeleton((3, 32, 32), 10, _stages(3)),
    merges=MERGES,
    data="cifar10",
    proxy=Proxy(epochs=4, images=10_000, resolution=16, batch=128, augment="crop-flip"),
    name="cifar9",
)

CIFAR27 = SearchSpace(
    Skeleton((3, 32, 32), 10, _stages(9)),
    distances=(1, 2, 3, 4),
    merges=MERGES,
    data="cifar10",
    proxy=Proxy(epochs=4, images=10_000, resolution=16, batch=128, augment="crop-flip"),
    name="cifar27",
)

CIFAR54 = replace(
    CIFAR27,
    skeleton=Skeleton((3, 32, 32), 10, _stages(18)),
    distances=DEEP_DISTANCES,
    period=3,
    learning_rates=RATES,
    name="cifar54",
)
"""Motifs of three layers at a depth and size that a GPU is needed for."""

EXERCISE28 = SearchSpace(
    Skeleton((3, 32, 32), 10, (Stage(28, 64),), stem="7x7", bias=True),
    distances=(1, 2, 3, 4),
    merges=MERGES,
    data="cifar10",
    proxy=Proxy(epochs=3, images=10_000, batch=128, augment="crop-flip"),
    name="exercise28",
)

RESNET50 = SearchSpace(
    Skeleton(
        (3, 224, 224),
        1000,
        (Stage(3, 64), Stage(4, 128, 2), Stage(6, 256, 2), Stage(3, 512, 2)),
        stem="7x7",
        block="bottleneck",
        init="he",
    ),
    distances=(1, 2, 3),
    merges=MERGES,
    data="imagenet",
    proxy=Proxy(epochs=5, batch=256, learning_rate=0.2, augment="crop-flip"),
    name="resnet50",
)

SPACES: dict[str, SearchSpace] = {
    space.name: space
    for space in (
        DIGITS27,
        DIGITS54,
        DIGITS27_NO_NORM,
        FASHION27,
        DIGITS9,
        DIGITS9_DISTANCES,
        DIGITS9_MERGES,
        FASHION9,
        CIFAR9,
        CIFAR27,
        CIFAR54,
        EXERCISE28,
        RESNET50,
        *FAMILIES,
    )
}

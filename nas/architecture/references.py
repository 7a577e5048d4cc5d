"""References: named patterns of any depth that a search's winner has to beat.

To add one, name its motif in REFERENCES; a plugin adds its own in a table of that name.
"""

from __future__ import annotations

from nas.architecture.genome import Genome, Motif
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.architecture.stretch import fitted
from nas.errors import unknown

REFERENCES: dict[str, Motif] = {
    name: Motif.parse(notation)
    for name, notation in {
        "plain": "-",
        "residual": "add(1)",  # He et al. 2015
        "dense": "add(1,2,3)",
        "rezero": "scale(1)",  # Bachlechner et al. 2020; SkipInit, De & Smith 2020
        "highway": "gate(1)",  # Srivastava et al. 2015
        "se": "se(1)",  # squeeze-and-excitation, Hu et al. 2018
        "densenet": "concat(1,2,3)",  # after Huang et al. 2017
        "distance-2": "add(2)",  # exercise 2
        "every-second": "- add(2)",  # exercise 2
        "half": "add(1@0.5)",  # exercise 2
        "channel": "channel(1)",  # exercise 5
        "attention": "attention(1)",  # exercise 5
        "mix": "mix(1)",  # residual weights of LAuReL, Menghani et al. 2024
        "layerscale": "layerscale(1)",  # CaiT, Touvron et al. 2021
        "unet": "concat(m)",  # Ronneberger et al. 2015
        "u-skips": "add(1) add(1,m)",  # after U-ViT, Bao et al. 2023
        "x0": "add(1) mix(1,0)",  # x0-lambdas, Jordan et al. 2024
    }.items()
}
"""The motif of each. Plain is what skips are compared with, residual the pattern of ResNet."""

FIRST = ("plain", "residual", "dense")
"""Those that every search evaluates, whatever the merges of its space."""


def reference(name: str, skeleton: AnySkeleton) -> Genome:
    """A reference on a skeleton, less the skips from nodes that this does not have.

    Raises:
        InputError: an unknown name.
    """
    if name not in REFERENCES:
        raise unknown("reference", name, REFERENCES)
    return fitted(REFERENCES[name].tiled(skeleton.layers), skeleton)


def named_or_parsed(text: str, skeleton: AnySkeleton) -> Genome:
    """A reference on a skeleton by its name, or the genome of a notation."""
    return reference(text, skeleton) if text in REFERENCES else Genome.parse(text)

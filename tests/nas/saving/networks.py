"""Networks that tests of this folder save."""

import torch

from nas import Genome, Skeleton, Stage

EVERY_MERGE = Genome.parse(
    "- add(1) scale(1,2) channel(2@0.5) attention(1) se(1,3) gate(2) dense(1) concat(1,2@1.5)"
)


def skeleton(**more):
    values = {"input_shape": (1, 12, 12), "classes": 10, "stages": (Stage(4, 4), Stage(5, 8, 2))}
    return Skeleton(**{**values, **more})


def moved(network):
    """The network with statistics that are not the initial ones."""
    rng = torch.Generator().manual_seed(0)
    network.train()
    with torch.no_grad():
        network(torch.randn(16, *network.skeleton.input_shape, generator=rng))
    return network.eval()

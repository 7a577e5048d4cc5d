"""A small table whose numbers are made up."""

import numpy as np

from nas import SearchSpace, Skeleton, Stage
from nas.architecture.plan import plan
from nas.evaluation.result import Evaluation
from nas.proxy import Proxy
from nas.tables.file import Contents
from nas.tables.header import Header
from nas.tables.numbers import all_numbers, numbered
from nas.tables.rows import Rows

SPACE = SearchSpace(
    Skeleton((1, 8, 8), 10, (Stage(4, 4),)),
    distances=(1, 2, 3),
    merges=("add", "scale"),
    strengths=(1.0,),
    period=2,
    proxy=Proxy(epochs=3, images=100, batch=32, precision="fp32"),
    name="tiny",
)
IMAGES = (449, 450)
EPOCHS = (3, 15)
SEEDS = (0, 1, 2)


def quality(genome):
    """More skips are better, and `scale` a little: what a table's scores are made of."""
    skips = sum(len(layer.skips) for layer in genome.layers)
    return 0.3 + 0.04 * skips + 0.02 * sum(layer.merge == "scale" for layer in genome.layers)


def made_up(genome, seed, epochs, rng):
    """An evaluation of a pattern."""
    final = min(0.99, max(0.1, quality(genome) + rng.normal(0, 0.01)))
    rising = final * (1 - 0.5 ** np.arange(1, epochs + 1))
    scores = tuple((np.rint(rising * IMAGES[0]) / IMAGES[0]).tolist())
    losses = tuple((2 - rising).tolist())
    planned = plan(genome, SPACE.skeleton)
    return Evaluation(
        genome, seed, "ok", "", scores[-1], scores, losses, (), planned.params, planned.macs, 2.0, None,
        scored_losses=tuple((2.5 - rising).tolist()), test=(0.5, 1.25),
    )  # fmt: skip


def contents():
    """Of all patterns over three seeds; every fifth trained longer."""
    rng = np.random.default_rng(0)
    numbers = all_numbers(SPACE)
    genomes = [numbered(SPACE, int(number)) for number in numbers]
    rows = []
    for epochs, seeds, step in ((EPOCHS[0], SEEDS, 1), (EPOCHS[1], (0,), 5)):
        pairs = [
            (n, g, seed)
            for n, g in list(zip(numbers, genomes, strict=True))[::step]
            for seed in seeds
        ]
        evaluations = [made_up(g, seed, epochs, rng) for _, g, seed in pairs]
        rows.append(Rows.empty(epochs).joined([int(n) for n, _, _ in pairs], evaluations))
    longer = Proxy(epochs=15, images=100, batch=32, precision="fp32")
    data = {"name": "digits", "fingerprint": "0", "split_seed": 0}
    header = Header("tiny", SPACE, longer, data, IMAGES, SEEDS, {"type": "cpu"})
    plans = [plan(genome, SPACE.skeleton) for genome in genomes]
    costs = np.array([(one.params, one.macs) for one in plans])
    return Contents(header, numbers, costs[:, 0], costs[:, 1], (rows[0], rows[1]))

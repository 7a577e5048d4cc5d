"""What the patterns of a space cost: the least, a middle one, the most; and what limits leave of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from statistics import median

from nas.architecture.genome import Genome
from nas.architecture.plan import plan
from nas.architecture.space import Gene, SearchSpace
from nas.evaluation.evaluate import evaluate
from nas.strategies.problem import Limits
from studies.search.request import SearchRequest, prepare_settings

SAMPLES = 200
"""Random patterns that say what is usual."""


@dataclass(frozen=True)
class Costs:
    """Of the patterns of a space."""

    names: tuple[str, ...]
    """`params`, `macs`, and `seconds` where evaluations were timed."""
    least: tuple[float, ...]
    middle: tuple[float, ...]
    """The median of random patterns; of seconds those of the pattern with the median of parameters."""
    most: tuple[float, ...]
    within: float | None
    """Share of random patterns within the limits; None without any."""
    reachable: bool
    """Whether the least is within the limits."""

    @property
    def limits_sentence(self) -> str:
        """Whether the limits can be reached."""
        if not self.reachable:
            return (
                f"The limit cannot be reached: no pattern has fewer than {self.least[0]:,.0f} "
                f"parameters or {self.least[1]:,.0f} multiply-adds."
            )
        share = 100 * (self.within or 0.0)
        return f"The limit can be reached; {share:.0f} % of random patterns are within it."


def space_costs(space: SearchSpace, limits: Limits = Limits()) -> Costs:  # noqa: B008
    """Parameters and multiply-adds over a space, from plans alone.

    The least and the most are exact: what layers cost adds up, so each is looked at by itself.
    """
    rng = random.Random(0)
    samples = [space.sample(rng) for _ in range(SAMPLES)]
    columns = list(zip(*(_sizes(genome, space) for genome in samples), strict=True))
    ends = [(extreme(space, which, min), extreme(space, which, max)) for which in (0, 1)]
    least = tuple(float(_sizes(low, space)[which]) for which, (low, _) in enumerate(ends))
    most = tuple(float(_sizes(high, space)[which]) for which, (_, high) in enumerate(ends))
    within = None
    if limits != Limits():
        within = sum(limits.admit(genome, space) for genome in samples) / SAMPLES
    reachable = all(
        limit is None or low <= limit
        for limit, low in zip((limits.max_params, limits.max_macs), least, strict=True)
    )
    return Costs(
        ("params", "macs"), least, tuple(median(map(float, column)) for column in columns), most,
        within, reachable,
    )  # fmt: skip


def timed_costs(
    request: SearchRequest, max_params: int | None = None, max_macs: int | None = None
) -> Costs:
    """The same, with the seconds that an evaluation takes on this machine, as one process.

    Raises:
        InputError: no such space, data or device.
    """
    settings, devices = prepare_settings(request)
    space = settings.space
    found = space_costs(space, Limits(max_params, max_macs))
    rng = random.Random(0)
    samples = sorted(
        (space.sample(rng) for _ in range(SAMPLES)), key=lambda genome: _sizes(genome, space)
    )
    middle = samples[SAMPLES // 2]

    def seconds(genome: Genome) -> float:
        return evaluate(genome, space.skeleton, space.proxy, 0, settings.data, devices[0]).seconds

    seconds(middle)  # what only the first evaluation of a process takes
    times = [seconds(one) for one in (extreme(space, 0, min), middle, extreme(space, 0, max))]
    rows = zip((found.least, found.middle, found.most), times, strict=True)
    least, between, most = ((*row, time) for row, time in rows)
    return Costs((*found.names, "seconds"), least, between, most, found.within, found.reachable)


def extreme(space: SearchSpace, which: int, better: Callable) -> Genome:
    """The pattern with the least (`min`) or the most (`max`) parameters (0) or multiply-adds (1)."""
    genes = space.genes
    vector = [0] * len(genes)
    for layer in range(1, len(space.sites) + 1):
        places = [place for place, gene in enumerate(genes) if gene.layer == layer]
        if not places:
            continue

        def cost(
            choice: tuple[int, ...],
            places: list[int] = places,
        ) -> int:
            tried = list(vector)
            for place, value in zip(places, choice, strict=True):
                tried[place] = value
            return _sizes(space.decode(tried), space)[which]

        best = better(product(*(_different(genes[place]) for place in places)), key=cost)
        for place, value in zip(places, best, strict=True):
            vector[place] = value
    return space.decode(vector)


def _different(gene: Gene) -> range:
    """Indices of choices that cost differently: all merges; of strengths none, and one."""
    return range(len(gene.choices) if gene.distance is None else min(2, len(gene.choices)))


def _sizes(genome: Genome, space: SearchSpace) -> tuple[int, int]:
    planned = plan(genome, space.skeleton)
    return planned.params, planned.macs

"""A wider skeleton on which a pattern costs as much as another: size as an explanation is ruled out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from nas.architecture.genome import Genome
from nas.architecture.plan import plan
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.errors import InputError, unknown

COSTS = ("params", "macs")
CLOSE = 0.01
"""Relative difference of costs that are called equal."""
FAR = 1.5
"""Times what is wanted, beyond which nothing wider is tried."""
STEPS = 400
"""Widths are tried up to (1 + STEPS / 100) times."""


def matched(genome: Genome, skeleton: AnySkeleton, cost: str, wanted: int) -> AnySkeleton:
    """The skeleton, its stages or MLPs widened, on which the genome costs what is wanted within 1 %.

    Where widths are so small that none comes so close, it is the next that costs more. The first with
    near even widening is taken. A genome that costs as much already keeps its skeleton.

    Args:
        cost: a name in COSTS.
        wanted: parameters, or MACs.

    Raises:
        InputError: an unknown cost, no widths come so close, or the family has no wider skeletons.
    """
    if cost not in COSTS:
        raise unknown("cost", cost, COSTS)
    if getattr(plan(genome, skeleton), cost) >= (1 - CLOSE) * wanted:
        return skeleton
    more: tuple[int, AnySkeleton] | None = None
    for wider in _wider(skeleton):
        found = getattr(plan(genome, wider), cost)
        if abs(found - wanted) <= CLOSE * wanted:
            return wider
        if found > wanted and (more is None or found < more[0]):
            more = found, wider
        if found > FAR * wanted:
            break
    if more:
        return more[1]
    raise InputError(f"no widths give '{genome}' {wanted} {cost} within {CLOSE:.0%}")


def _wider(skeleton: AnySkeleton) -> Iterator[AnySkeleton]:
    """Skeletons with greater widths, evenly widened and with one more or less in any of them."""
    seen = set()
    for step in range(STEPS):
        even = [round((1 + step / 100) * width) for width in skeleton.widenable]
        for shifts in product((0, 1, -1), repeat=len(even)):
            widths = tuple(width + shift for width, shift in zip(even, shifts, strict=True))
            if widths in seen or min(widths, default=1) < 1:
                continue
            seen.add(widths)
            yield skeleton.widened(widths)

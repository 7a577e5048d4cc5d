"""Patterns of a space as whole numbers: the place of a pattern's gene vector among all vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from nas.architecture.genome import Genome
from nas.architecture.space import SearchSpace
from nas.errors import InputError

MOST_VECTORS = 2_000_000
"""Of a space that can be listed."""


def check_listable(space: SearchSpace) -> None:
    """Raises InputError for a space of too many gene vectors, or of one pattern."""
    if not space.genes or space.size > MOST_VECTORS:
        raise InputError(
            f"space {space.name} has {space.size:,} gene vectors; a table is of a space of 2 to "
            f"{MOST_VECTORS:,}"
        )


def number_of(space: SearchSpace, genome: Genome) -> int:
    """The number of a pattern.

    Raises:
        InputError: it lies outside the space.
    """
    number = 0
    for gene, value in zip(space.genes, space.encode(genome), strict=True):
        number = number * len(gene.choices) + value
    return number


def numbered(space: SearchSpace, number: int) -> Genome:
    """The pattern of a number."""
    vector = []
    for gene in reversed(space.genes):
        number, value = divmod(number, len(gene.choices))
        vector.append(value)
    return space.decode(vector[::-1])


def all_numbers(space: SearchSpace) -> np.ndarray:
    """The numbers of all patterns, rising: (N,).

    Raises:
        InputError: there are too many.
    """
    check_listable(space)
    return np.array([number_of(space, genome) for genome in space.listed()])


def neighbour_numbers(space: SearchSpace, numbers: Sequence[int]) -> Iterator[tuple[int, set[int]]]:
    """Each of some patterns' numbers with those of its neighbours, as `SearchSpace.neighbours` has them."""
    known: dict[
        int, int
    ] = {}  # of every vector, the number of its pattern: vectors share neighbours
    for number in numbers:
        around, rest, step = set[int](), number, 1
        for gene in reversed(space.genes):
            rest, value = divmod(rest, len(gene.choices))
            around |= {number + (other - value) * step for other in range(len(gene.choices))}
            step *= len(gene.choices)
        for vector in around - known.keys():
            known[vector] = number_of(space, numbered(space, vector))
        yield number, {known[vector] for vector in around} - {number}

"""What good patterns have in common: how often they use a skip, a merge, a strength."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from nas.architecture.genome import Genome
from nas.architecture.layers import skip_said, start_said
from nas.architecture.space import SearchSpace
from studies.store.trial import Trial, best_trials, candidates, status_of

LEAST = 50
"""Candidates below which there is no best tenth."""
Share = float | None
"""A share from 0 to 1; None where the question does not arise."""


@dataclass(frozen=True)
class Grid:
    """Shares among the best and among all candidates, by row and column."""

    name: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    best: tuple[tuple[Share, ...], ...]
    all: tuple[tuple[Share, ...], ...]


@dataclass(frozen=True)
class Habits:
    best: int
    """Number of candidates in the best tenth."""
    all: int
    chance: float
    """Share of a reachable skip in a genome that is drawn evenly from gene vectors."""
    grids: tuple[Grid, ...]
    """skips: how often layer i (column) has a skip from d (row), a distance or a name; merges: how often layer i has it;
    strengths: at which strength the skips from d (column) are."""


def habits(trials: Sequence[Trial], space: SearchSpace) -> Habits | None:
    """Counts over candidates inside the space; None where too few were trained to the end."""
    every = [t for t in candidates(trials, space) if status_of(t) != "failed"]
    ranked = best_trials(trials, space)
    if len(ranked) < LEAST:
        return None
    best = [t.genome for t in ranked[: math.ceil(len(ranked) / 10)]]
    genomes = [t.genome for t in every]
    strengths = len(space.strengths)
    grids = [_skips(best, genomes, space)]
    if len(space.merges) > 1:
        grids.append(_merges(best, genomes, space))
    if strengths > 1:
        grids.append(_strengths(best, genomes, space))
    chance = 1.0 if space.always else strengths / (1 + strengths)
    return Habits(len(best), len(genomes), chance, tuple(grids))


def _skips(best: list[Genome], every: list[Genome], space: SearchSpace) -> Grid:
    starts = space.starts

    def share(genomes: list[Genome], row: int, column: int) -> Share:
        d = starts[row]
        if d not in space.reachable[column]:
            return None
        return _mean(any(s.distance == d for s in g.layers[column].skips) for g in genomes)

    rows = tuple(skip_said(d) for d in starts)
    return _grid("skips", rows, _layer_names(space), best, every, share)


def _merges(best: list[Genome], every: list[Genome], space: SearchSpace) -> Grid:
    names: list[str | None] = [*space.merges, None]

    def share(genomes: list[Genome], row: int, column: int) -> Share:
        return _mean(g.layers[column].merge == names[row] for g in genomes)

    rows = tuple(name or "plain" for name in names)
    return _grid("merges", rows, _layer_names(space), best, every, share)


def _strengths(best: list[Genome], every: list[Genome], space: SearchSpace) -> Grid:
    starts = space.starts

    def share(genomes: list[Genome], row: int, column: int) -> Share:
        found = [
            skip.strength == space.strengths[row]
            for genome in genomes
            for layer in genome.layers
            for skip in layer.skips
            if skip.distance == starts[column]
        ]
        return _mean(found) if found else None

    rows = tuple(f"strength {s:g}" for s in space.strengths)
    return _grid(
        "strengths",
        rows,
        tuple(start_said(d).removeprefix("distance ") for d in starts),
        best,
        every,
        share,
    )


def _grid(
    name: str,
    rows: tuple[str, ...],
    columns: tuple[str, ...],
    best: list[Genome],
    every: list[Genome],
    share: Callable[[list[Genome], int, int], Share],
) -> Grid:
    tables = [
        tuple(
            tuple(share(genomes, r, c) for c in range(len(columns))) for r in range(len(rows))
        )
        for genomes in (best, every)
    ]  # fmt: skip
    return Grid(name, rows, columns, *tables)


def _layer_names(space: SearchSpace) -> tuple[str, ...]:
    return tuple(str(i) for i in range(1, space.skeleton.layers + 1))


def _mean(truths: Iterable[bool]) -> float:
    values = list(truths)
    return sum(values) / len(values)

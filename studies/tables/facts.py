"""What a table says of its space: spread, luck, the optimum, local optima, references, what costs explain."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from nas.architecture.genome import Genome
from nas.errors import InputError
from nas.files.settings import finite
from nas.statistics import spearman
from nas.tables.numbers import neighbour_numbers
from nas.tables.table import Table
from studies.finals.tuning import references_of
from studies.tables.scores import losses_of, scores_of
from studies.validity.facts import Measure, measure

FEWEST = 10
"""Patterns below which nothing is said of a table."""


@dataclass(frozen=True)
class Known:
    """A pattern, with what the table knows of it; scores are means, of which larger is better."""

    notation: str
    rank: int
    """From 1, by the mean over the seeds that all patterns have."""
    score: float
    fresh: float | None
    """Over the other seeds, which did not choose it."""
    seeds: int
    """How many others."""


@dataclass(frozen=True)
class TableFacts:
    """The facts of a table."""

    name: str
    patterns: int
    """Trained from every seed; of others nothing else is said."""
    missing: int
    trainings: int
    seeds: tuple[int, ...]
    failed: float
    """Share of trainings that did not come to their end."""
    seconds: float
    """Of all trainings together."""
    quantiles: tuple[float, ...]
    """Of the patterns' mean scores: least, quarter, middle, three quarters, most."""
    measures: tuple[Measure, ...]
    """Of the score first, then of the loss."""
    longer: int
    """Patterns that were trained longer."""
    best: Known
    """The optimum as the seeds that all have chose it."""
    local_optima: int
    """Patterns than which no neighbour, of one other gene, has a better mean."""
    references: dict[str, Known]
    explained: dict[str, float]
    """Rank correlation of the mean score with skips, parameters and multiply-adds."""
    r_squared: float
    """Share of the mean scores' variance that a linear regression on all three explains."""

    def as_json(self) -> dict[str, Any]:
        return finite(asdict(self))


def facts_of(table: Table) -> TableFacts:
    """The facts of a table.

    Raises:
        InputError: too few of its patterns are complete.
    """
    contents, seeds = table.contents, table.seeds
    scores = scores_of(contents, seeds)
    whole = ~np.isnan(scores).any(axis=1)
    if whole.sum() < FEWEST or len(seeds) < 2:
        raise InputError(
            f"table {table.name}: {whole.sum()} patterns were trained from all of its {len(seeds)} "
            f"seeds; facts need at least {FEWEST} patterns and 2 seeds"
        )
    numbers, scores = contents.numbers[whole], scores[whole]
    means = scores.mean(axis=1)
    order = np.argsort(-means, kind="stable")
    ranks = np.empty(len(order), int)
    ranks[order] = np.arange(1, len(order) + 1)
    others = [s for s in np.unique(contents.trainings[0].seed).tolist() if s not in seeds]
    fresh = scores_of(contents, others, numbers)

    def known(place: int, genome: Genome) -> Known:
        found = fresh[place][~np.isnan(fresh[place])]
        told = float(found.mean()) if len(found) else None
        return Known(str(genome), int(ranks[place]), float(means[place]), told, len(found))

    places = {int(number): place for place, number in enumerate(numbers)}
    genomes = {
        name: places.get(int(contents.numbers[table.index(genome)]))
        for name, genome in _references(table).items()
    }
    rows = contents.trainings
    longer = scores_of(contents, np.unique(rows[1].seed).tolist(), numbers, longer=True)
    trained = ~np.isnan(longer).all(axis=1)
    skips = np.array([_skips(table.genomes[place]) for place in np.flatnonzero(whole)])
    explained, r_squared = _explained(
        means, {"skips": skips, "parameters": contents.params[whole], "MACs": contents.macs[whole]}
    )
    return TableFacts(
        table.name, len(numbers), len(contents.numbers) - len(numbers), sum(map(len, rows)), seeds,
        float(np.mean(np.concatenate([one.status for one in rows]) != 0)),
        float(sum(one.seconds.sum() for one in rows)),
        tuple(np.quantile(means, (0, 0.25, 0.5, 0.75, 1)).tolist()),
        (
            _measured("score", scores, longer, trained),
            _measured(
                "loss", -np.log(losses_of(contents, seeds, numbers)),
                longer, trained,
            ),
        ),
        int(trained.sum()), known(int(order[0]), _genome(table, numbers[order[0]])),
        _local_optima(table, places, means),
        {n: known(p, _genome(table, numbers[p])) for n, p in genomes.items() if p is not None},
        explained, r_squared,
    )  # fmt: skip


def _genome(table: Table, number: int) -> Genome:
    return table.genomes[int(np.searchsorted(table.contents.numbers, number))]


def _skips(genome: Genome) -> int:
    return sum(len(layer.skips) for layer in genome.layers)


def _references(table: Table) -> dict[str, Genome]:
    """Those that lie in the table; at the proxy's own learning rate where rates are searched."""
    rates, usual = table.space.learning_rates, table.space.proxy.learning_rate
    rate = None if not rates else usual if usual in rates else rates[0]
    found = {name: genome.at(rate) for name, genome in references_of(table.space).items()}
    return {name: genome for name, genome in found.items() if genome in table}


def _measured(name: str, short: np.ndarray, longer: np.ndarray, trained: np.ndarray) -> Measure:
    """How a score tells patterns apart, and how its ranks survive the longer training where there was one."""
    found = measure(name, short, None)
    if trained.sum() < FEWEST:
        return found
    some = measure(name, short[trained], np.nanmean(longer[trained], axis=1))
    return replace(found, ranks=some.ranks, ranks_best=some.ranks_best, ranks_mean=some.ranks_mean)


def _local_optima(table: Table, places: dict[int, int], means: np.ndarray) -> int:
    best = 0
    for number, around in neighbour_numbers(table.space, list(places)):
        near = [means[places[one]] for one in around if one in places]
        best += all(means[places[number]] >= one for one in near)
    return best


def _explained(means: np.ndarray, counts: dict[str, np.ndarray]) -> tuple[dict[str, float], float]:
    """What numbers alone say of the mean scores: rank correlations, and R² of a regression on all."""
    ranks = {name: float(np.nan_to_num(spearman(column, means))) for name, column in counts.items()}
    columns = np.stack([np.ones(len(means)), *map(np.log1p, counts.values())], axis=1)
    fitted = columns @ np.linalg.lstsq(columns, means, rcond=None)[0]
    rest, all_ = np.var(means - fitted), np.var(means)
    return ranks, float(1 - rest / all_) if all_ else 0.0

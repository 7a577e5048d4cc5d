"""Searches in a table, without a study: hundreds of seeds of every strategy, and what they miss.

A search sees one training of every pattern, from a seed that its own seed draws, and picks the best that
it saw. Its *regret* is what it misses by the pick: the mean score of the table's best pattern less that
of the pick over the seeds that the search did not see, so that luck in the search counts for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from nas.strategies.known import Known
from nas.strategies.problem import Exhausted, PastTrial, Problem
from nas.tables.table import Table
from studies.samplers.strategies import propose
from studies.tables.scores import scores_of, seconds_of

BEST = (0.01, 0.001)
"""Shares of all patterns that a search is to find one of."""


@dataclass(frozen=True)
class Simulation:
    """How searches are run."""

    strategy: str
    evaluations: int
    lag: int = 8
    population: int = 16


@dataclass(frozen=True)
class Run:
    """A search of one seed; arrays (evaluations,), each value after so many evaluations."""

    regrets: np.ndarray
    seconds: np.ndarray
    """Of the trainings so far, as they were recorded."""
    until: tuple[int | None, ...]
    """Evaluations until its pick was among each of the shares of BEST; None if it never was."""


class Judge:
    """A table's scores as arrays, to look at picks fast."""

    def __init__(self, table: Table) -> None:
        self.table = table
        rows = table.contents.trainings[0]
        every = np.unique(rows.seed).tolist()
        self.columns = {seed: column for column, seed in enumerate(every)}
        self.scores = scores_of(table.contents, every)
        self.seconds = seconds_of(table.contents, every)
        self.means = np.nanmean(self.scores, axis=1)
        self.counts = (~np.isnan(self.scores)).sum(axis=1)
        self.best = float(self.means.max())
        order = np.argsort(-self.means, kind="stable")
        self.ranks = np.empty(len(order), int)
        self.ranks[order] = np.arange(len(order))

    def unseen(self, place: int, column: int) -> float:
        """A pattern's mean score over the other seeds than the one of this column."""
        count = int(self.counts[place])
        whole, seen = float(self.means[place]), float(self.scores[place, column])
        return (whole * count - seen) / (count - 1) if count > 1 else whole

    def run(self, how: Simulation, seed: int) -> Run:
        """One search."""
        problem = Problem(self.table.space, (1.0,), population=how.population)
        known, places, columns = Known(problem.weights, how.lag), list[int](), list[int]()
        for k in range(how.evaluations):
            try:
                genome = propose(how.strategy, problem, known.history(k), k, seed).genome
            except Exhausted:
                break
            places.append(self.table.index(genome))
            columns.append(self.columns[self.table.drawn(genome, seed)])
            value = float(self.scores[places[-1], columns[-1]])
            known.put(PastTrial(k, genome, (value,), True, True))
        return self._told(np.array(places), np.array(columns), how.evaluations)

    def _told(self, places: np.ndarray, columns: np.ndarray, evaluations: int) -> Run:
        seen = self.scores[places, columns]
        rising = np.maximum.accumulate(seen)
        first = np.concatenate([[True], rising[1:] > rising[:-1]])
        picks = np.maximum.accumulate(np.where(first, np.arange(len(seen)), 0))
        regrets = np.array([self.best - self.unseen(places[k], columns[k]) for k in picks])
        wanted = [max(1, round(share * len(self.means))) for share in BEST]
        ranks = self.ranks[places[picks]]
        hits = [np.flatnonzero(ranks < count) for count in wanted]
        rest = evaluations - len(seen)  # of a space that was searched through
        return Run(
            np.pad(regrets, (0, rest), mode="edge"),
            np.pad(np.cumsum(self.seconds[places, columns]), (0, rest), mode="edge"),
            tuple(int(hit[0]) + 1 if len(hit) else None for hit in hits),
        )


def simulate(
    table: Table,
    strategies: Sequence[str],
    seeds: int,
    evaluations: int,
    workers: int = 1,
    lag: int = 8,
    population: int = 16,
    on_result: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, list[Run]]:
    """Searches of every strategy from as many seeds: their runs, by strategy, in the order of seeds.

    Args:
        workers: processes; one is this one.
        on_result: called with (searches done, searches in all).

    Raises:
        InputError: the table is not complete.
    """
    table.check_complete()
    hows = [Simulation(name, evaluations, lag, population) for name in strategies]
    jobs = [(how, seed) for seed in range(seeds) for how in hows]
    runs: dict[tuple[str, int], Run] = {}
    for (how, seed), run in _all(table, jobs, workers):
        runs[how.strategy, seed] = run
        on_result(len(runs), len(jobs))
    return {name: [runs[name, seed] for seed in range(seeds)] for name in strategies}


Jobs = Sequence[tuple[Simulation, int]]
_judges: list[Judge] = []
"""A process's own, made once."""


def _all(table: Table, jobs: Jobs, workers: int) -> Iterator[tuple[tuple[Simulation, int], Run]]:
    if workers == 1:
        judge = Judge(table)
        yield from ((job, judge.run(*job)) for job in jobs)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _prepare, (table.source,))
    try:
        futures = {pool.submit(_run, *job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _prepare(source: str) -> None:
    _judges.append(Judge(Table(source)))


def _run(how: Simulation, seed: int) -> Run:
    return _judges[0].run(how, seed)

"""Building a table: every pattern over a few seeds, then the longer trainings, then the best once more.

The file is the only state: it is replaced every minute and at the end, and what it has is not trained
again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from random import Random

import numpy as np

from nas.architecture.plan import plan
from nas.data.dataset import subset
from nas.errors import InputError
from nas.evaluation.jobs import EvaluationContext, EvaluationJob
from nas.evaluation.result import Evaluation, failed
from nas.proxy import MOST
from nas.tables.file import Contents
from nas.tables.header import Header
from nas.tables.numbers import all_numbers, numbered
from nas.tables.rows import Rows
from nas.tables.table import ENDING
from nas.workers.protocol import Finished, Pool
from studies.search.machines import connection, open_pool
from studies.search.request import SearchRequest, check_request, number, prepare_settings
from studies.search.run import MakePool
from studies.search.settings import SearchSettings
from studies.tables.scores import scores_of

WRITTEN_EVERY = 60.0
"""Seconds between two writings of the file."""
OnResult = Callable[[int, int, float], None]
"""Called with (trainings done, trainings in all, share of the epochs that were left at first)."""


@dataclass(frozen=True)
class TableRequest(SearchRequest):
    """What `nas table build` can be asked, beside what a search can."""

    out: Path = Path()
    """The file; where it exists, its build goes on."""
    patterns: int | None = number(None, 2, 10**7)
    """Of the space, drawn at random; None is all. More go on with those of fewer."""
    seeds: int = number(3, 1, 1000)
    """Trainings of each by the proxy, from seed 0 on."""
    longer: int = number(5, 2, 1000)
    """Epochs of the longer training, in those of the proxy."""
    sample: int = number(1000, 0, 10**7)
    """Patterns that are trained longer, evenly over all ranks."""
    longer_seeds: int = number(1, 1, 1000)
    best: int = number(500, 0, 10**7)
    """Patterns with the best mean scores, which get more seeds of the proxy."""
    best_seeds: int = number(8, 1, 1000)
    lag: int = number(1024, 1, 10**5)


def build_table(
    request: TableRequest,
    on_result: OnResult = lambda done, total, share: None,
    stop: Callable[[], bool] = lambda: False,
    make_pool: MakePool = open_pool,
) -> Contents | None:
    """Trains what a table's file does not have yet, and writes it.

    Args:
        stop: asked again and again; no training starts when it is true.
        make_pool: opens the workers, as `open_pool` does.

    Returns:
        What the table has; None if it was stopped before its end.

    Raises:
        InputError: something in the request is wrong, or the file is of other trainings.
    """
    check_request(request)
    if request.out.suffix != ENDING:
        raise InputError(f"--out {request.out}: a table's file ends in {ENDING}")
    if not request.out.parent.is_dir():
        raise InputError(f"--out {request.out}: there is no folder {request.out.parent}")
    with connection(request):
        settings, devices = prepare_settings(request)
        build = _Build(request, settings)
        context = EvaluationContext(
            settings.space.skeleton, settings.data, devices, settings.fast, tuple(settings.plugins)
        )
        with make_pool(request, context, settings.device, request.lag) as (workers, _):
            try:
                for wanted in build.stages():
                    if not build.train(wanted, workers, on_result, stop):
                        return None
            finally:
                build.write()
    return build.contents


def _header(request: TableRequest, settings: SearchSettings) -> Header:
    """The settings of a request's table."""
    space, data = settings.space, settings.data
    longer = replace(space.proxy, epochs=min(request.longer * space.proxy.epochs, MOST))
    validation = subset(
        data.validation, data.labels, space.proxy.validation_images, data.split_seed
    )
    return Header(
        request.out.stem, space, longer,
        {"name": data.name, "fingerprint": data.fingerprint, "split_seed": data.split_seed},
        (len(validation), len(data.test)), tuple(range(request.seeds)), settings.device, settings.fast,
    )  # fmt: skip


@dataclass(frozen=True)
class _Stage:
    """Trainings that are wanted: of which patterns, from which seeds, and whether the longer ones."""

    numbers: list[int]
    seeds: range
    longer: bool = False


class _Build:
    """A table in the making."""

    def __init__(self, request: TableRequest, settings: SearchSettings) -> None:
        self.request, self.header = request, _header(request, settings)
        self.order: list[int] = all_numbers(settings.space).tolist()
        """The patterns in the order of their training, so that a part of them is an even sample."""
        Random("table").shuffle(self.order)
        self.order = self.order[: request.patterns]
        self.contents = self._begun()
        self._new: tuple[list[tuple[int, Evaluation]], ...] = ([], [])
        """Patterns' numbers and results that the contents do not have yet, by fidelity."""
        self._written = time.monotonic()
        self._jobs = count()
        patterns, wanted = len(self.order), request
        trainings = [
            patterns * request.seeds + min(wanted.best, patterns) * wanted.best_seeds,
            min(wanted.sample, patterns) * wanted.longer_seeds,
        ]
        epochs = [proxy.epochs for proxy in self.header.proxies]
        self._total, self._done = sum(trainings), 0
        self._work = sum(n * one for n, one in zip(trainings, epochs, strict=True))
        self._begun_work, self._trained = 0, 0

    def _begun(self) -> Contents:
        """What the file has, and the patterns that it does not."""
        path, known = self.request.out, dict[int, tuple[int, int]]()
        rows = tuple(Rows.empty(proxy.epochs) for proxy in self.header.proxies)
        if path.exists():
            old = Contents.read(path)
            for text in old.header.differences(self.header):
                raise InputError(f"--out {path}: is a table of other trainings: {text}")
            columns = (old.numbers, old.params, old.macs)
            known = {n: (p, m) for n, p, m in zip(*(c.tolist() for c in columns), strict=True)}
            rows = old.trainings
        space = self.header.space
        for one in self.order:
            if one not in known:
                planned = plan(numbered(space, one), space.skeleton)
                known[one] = planned.params, planned.macs
        numbers, costs = zip(*sorted(known.items()), strict=True)
        params, macs = np.array(costs).T
        return Contents(self.header, np.array(numbers), params, macs, (rows[0], rows[1]))

    def stages(self) -> Iterator[_Stage]:
        """What is to be trained, each stage once the scores of those before it are known."""
        request, seeds = self.request, range(self.request.seeds)
        yield _Stage(self.order, seeds)
        numbers = np.sort(self.order)
        means = scores_of(self.contents, seeds, numbers).mean(axis=1)
        ranked = numbers[np.argsort(-means, kind="stable")].tolist()
        even = np.linspace(0, len(ranked) - 1, min(request.sample, len(ranked)))
        sample = [ranked[place] for place in np.rint(even).astype(int)]
        yield _Stage(sample, range(request.longer_seeds), longer=True)
        yield _Stage(ranked[: request.best], range(len(seeds), len(seeds) + request.best_seeds))

    def train(
        self, stage: _Stage, workers: Pool, on_result: OnResult, stop: Callable[[], bool]
    ) -> bool:
        """Trains what is missing of a stage; whether it is complete."""
        proxy, known = self.header.proxies[stage.longer], self._known(stage.longer)
        pairs = [(one, seed) for seed in stage.seeds for one in stage.numbers]
        missing = iter([pair for pair in pairs if pair not in known])
        there = sum(pair in known for pair in pairs)
        self._done += there
        self._begun_work += there * proxy.epochs
        running: dict[int, tuple[int, EvaluationJob]] = {}
        on_result(self._done, self._total, self._share)
        while True:
            while workers.idle and not stop() and (pair := next(missing, None)):
                number, seed = pair
                genome = numbered(self.header.space, number)
                job = EvaluationJob(next(self._jobs), genome, proxy, seed, also_test=True)
                running[job.number] = number, job
                workers.submit(job)
            if not running:
                break
            for report in workers.reports(timeout=5):
                if isinstance(report, Finished):
                    number, job = running.pop(report.number)
                    self._new[stage.longer].append((number, self._result(job, report)))
                    self._done += 1
                    self._trained += proxy.epochs
                    on_result(self._done, self._total, self._share)
            if time.monotonic() - self._written > WRITTEN_EVERY:
                self.write()
        self._join()
        return next(missing, None) is None and not stop()

    def write(self) -> None:
        """Replaces the file."""
        self._join()
        self.contents.write(self.request.out)
        self._written = time.monotonic()

    @property
    def _share(self) -> float:
        """Of the epochs that were left at first, as far as it is known."""
        return self._trained / max(1, self._work - self._begun_work)

    def _result(self, job: EvaluationJob, report: Finished) -> Evaluation:
        if report.result:
            return report.result
        status = "out of memory" if report.full else "failed"
        return failed(job.genome, self.header.space.skeleton, job.seed, report.why, status)

    def _known(self, longer: bool) -> set[tuple[int, int]]:
        """Numbers and seeds of what was trained."""
        rows = self.contents.trainings[longer]
        return {*zip(rows.number.tolist(), rows.seed.tolist(), strict=True)}

    def _join(self) -> None:
        """Puts the new results among the contents."""
        old, new = self.contents.trainings, self._new
        both = [
            rows.joined([number for number, _ in some], [one for _, one in some])
            for rows, some in zip(old, new, strict=True)
        ]
        self.contents = replace(self.contents, trainings=(both[0], both[1]))
        self._new = ([], [])

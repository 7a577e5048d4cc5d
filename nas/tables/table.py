"""A table: what was measured of every pattern of a space, as evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from nas.architecture.genome import Genome
from nas.architecture.space import SearchSpace
from nas.data.dataset import Data
from nas.errors import InputError, unknown
from nas.evaluation.result import Evaluation
from nas.tables.file import Contents
from nas.tables.numbers import number_of, numbered
from nas.tables.rows import STATUSES, Rows
from nas.tasks.table import find_task

ENDING = ".npz"


def table_names() -> list[str]:
    """The tables that come with the program."""
    return sorted(path.stem for path in Path(__file__).parent.glob(f"*{ENDING}"))


class Table:
    """Every pattern of a space, trained; `query` answers instead of a training.

    Args:
        source: the name of a table that comes with the program, or the path of an `.npz` file.

    Raises:
        InputError: there is no such table, or it is damaged or no table.
    """

    def __init__(self, source: str | Path) -> None:
        self.source = str(source)
        path = Path(source)
        if path.suffix != ENDING:
            if str(source) not in table_names():
                raise unknown("table", source, table_names(), place=f"--table (or a {ENDING} file)")
            path = Path(__file__).parent / f"{source}{ENDING}"
        self.contents = Contents.read(path)
        self.header = self.contents.header
        self.name = self.header.name
        self._places = [_places(rows) for rows in self.contents.trainings]
        self.checksum = self.contents.checksum
        self._numbers: dict[str, int] = {}
        """Of the patterns that were asked for, by key: to find one takes a while."""

    def __len__(self) -> int:
        """Number of patterns."""
        return len(self.contents.numbers)

    @property
    def space(self) -> SearchSpace:
        """With its proxy, as the table was made on its machine."""
        return self.header.space

    @property
    def seeds(self) -> tuple[int, ...]:
        """From each of which every pattern was trained."""
        return self.header.seeds

    @property
    def device(self) -> Mapping[str, str]:
        """The kind of machine that trained."""
        return self.header.device

    @property
    def data(self) -> Data:
        """The name and sizes of the data; their images are not in the table, and nothing needs them."""
        shape, (validation, test) = self.space.skeleton.input_shape, self.header.images
        classes = tuple(map(str, range(self.space.skeleton.classes)))
        nothing = np.empty(0, np.int64)
        return Data(
            images=np.empty((0, *shape), np.uint8), labels=nothing, classes=classes, train=nothing,
            validation=np.arange(validation), test=np.arange(test), preprocessing=None,
            **self.header.data,
        )  # fmt: skip

    def check_complete(self) -> None:
        """Raises InputError if a pattern of its space or a training by the proxy is not there."""
        rows, wanted = self.contents.trainings[0], self.space.distinct * len(self.seeds)
        if (there := int(np.isin(rows.seed, self.seeds).sum())) < wanted:
            raise InputError(
                f"table {self.name}: has {there:,} of the {wanted:,} trainings of all patterns of its "
                "space; searches need all"
            )

    @cached_property
    def genomes(self) -> list[Genome]:
        """All patterns, in the order of the table."""
        return [numbered(self.space, int(number)) for number in self.contents.numbers]

    def __contains__(self, genome: Genome) -> bool:
        try:
            self.index(genome)
        except InputError:
            return False
        return True

    def index(self, genome: Genome) -> int:
        """The place of a pattern in the table.

        Raises:
            InputError: it is not there.
        """
        key = genome.key
        if key not in self._numbers:
            number, numbers = number_of(self.space, genome), self.contents.numbers
            place = int(np.searchsorted(numbers, number))
            if place == len(numbers) or numbers[place] != number:
                raise InputError(
                    f"table {self.name}: has no pattern {genome}; it is of a part of its space"
                )
            self._numbers[key] = place
        return self._numbers[key]

    def query(self, genome: Genome, epochs: int | None = None, seed: int = 0) -> Evaluation:
        """What a training of this pattern from this seed came to.

        Args:
            epochs: up to those of the proxy: what it had after so many, with its share of the seconds;
                or those of the longer training; None is all of the proxy's.

        Raises:
            InputError: the pattern, the seed or the epochs are not there.
        """
        place, proxies = self.index(genome), self.header.proxies
        asked = proxies[0].epochs if epochs is None else epochs
        longer = asked == proxies[1].epochs
        if not (1 <= asked <= proxies[0].epochs or longer):
            raise InputError(
                f"table {self.name}: {asked} epochs are not there; allowed: 1 to {proxies[0].epochs}, "
                f"and {proxies[1].epochs} of the longer trainings"
            )
        which = int(longer and asked > proxies[0].epochs)
        places = self._places[which]
        row = places.get((int(self.contents.numbers[place]), seed))
        if row is None:
            raise InputError(self._missing(genome, place, seed, which))
        rows = self.contents.trainings[which]
        return self._evaluation(genome, place, rows, row, asked, proxies[which].epochs)

    def drawn(self, genome: Genome, seed: int) -> int:
        """One of the seeds, drawn by a search's seed and the pattern, as luck is drawn in a search."""
        from random import Random

        return Random(f"table/{seed}/{genome.key}").choice(self.seeds)

    def _missing(self, genome: Genome, place: int, seed: int, which: int) -> str:
        """Why there is no such training, in a sentence."""
        number = int(self.contents.numbers[place])
        known = sorted(seed for one, seed in self._places[which] if one == number)
        if which and not known:
            return f"table {self.name}: {genome} was not trained for longer, as some patterns were"
        if seed in self.seeds and not which:
            return f"table {self.name}: is not complete, {genome} was not trained from seed {seed}"
        return (
            f"table {self.name}: {genome} was not trained from seed {seed}; "
            f"allowed: {', '.join(map(str, known)) or 'none'}"
        )

    def _evaluation(
        self, genome: Genome, place: int, rows: Rows, row: int, asked: int, epochs: int
    ) -> Evaluation:
        def curve(values: np.ndarray) -> tuple[float, ...]:
            some = values[row, :asked]
            return tuple(some[~np.isnan(some)].tolist())

        task, scores = find_task(self.space.proxy.task), curve(rows.scores)
        status = STATUSES[int(rows.status[row])]
        if len(scores) == asked < epochs:  # what ended it came later
            status = "ok"
        ok = status == "ok"
        score, loss = rows.test[row].tolist()
        own = ok and task.score != "accuracy"
        more: dict[str, Any] = {"scores": {task.score: task.sign * scores[-1]}} if own else {}
        if ok and asked == epochs and not isnan(score):
            more["test"] = (score, loss)
        return Evaluation(
            genome,
            int(rows.seed[row]),
            status,
            "" if ok else f"as recorded in table {self.name}",
            scores[-1] if ok else task.worst,
            scores,
            curve(rows.losses),
            (),
            int(self.contents.params[place]),
            int(self.contents.macs[place]),
            float(rows.seconds[row]) * asked / epochs,
            None,
            scored_losses=curve(rows.scored_losses),
            heeds_part=own,
            **more,
        )


def _places(rows: Rows) -> dict[tuple[int, int], int]:
    """The row of every pattern's number and seed."""
    pairs = zip(rows.number.tolist(), rows.seed.tolist(), strict=True)
    return {pair: row for row, pair in enumerate(pairs)}

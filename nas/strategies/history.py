"""What a proposal sees of the trials before it, and who of them lives on (DEAP compares and sorts).

A history grows with its search. What the strategies ask of it is kept from proposal to proposal, and
is the same as if it were made anew from all trials.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import overload

from nas.strategies.problem import PastTrial


class History(Sequence[PastTrial]):
    """Trials by number, and evaluations from elsewhere among them.

    Args:
        weights: of every objective, 1 if it is maximised, -1 if it is minimised.
    """

    def __init__(self, weights: Sequence[float], records: Iterable[PastTrial] = ()) -> None:
        from nas.strategies.population import Population  # here, so that reading needs no DEAP

        self._records: list[PastTrial] = []
        self._places: list[int] = []
        """Where among the records the trials are that were proposed here, in their order."""
        self.keys: set[str] = set()
        """Keys of all genomes."""
        self.inside = 0
        """Number of records that lie in the space and within the limits."""
        self.revealed = 0
        """Number of trials, from the first on, whose results can be seen."""
        self.parents = Population(weights)
        self.propose(records)
        self.reveal(list(self._records))

    @classmethod
    def of(cls, weights: Sequence[float], records: Sequence[PastTrial]) -> History:
        """These trials as a history, which they may be already."""
        return records if isinstance(records, cls) else cls(weights, records)

    def propose(self, records: Iterable[PastTrial]) -> None:
        """Adds the next trials, whose results are revealed later."""
        for record in records:
            self._places.append(len(self._records))
            self._add(record)

    def tell(self, records: Iterable[PastTrial]) -> None:
        """Adds what was evaluated elsewhere, with its results."""
        for record in records:
            self._add(record)
            self._breed(record)

    def _add(self, record: PastTrial) -> None:
        self._records.append(record)
        self.keys.add(record.genome.key)
        self.inside += record.inside

    def _breed(self, record: PastTrial) -> None:
        if record.parent and record.values is not None:
            self.parents.add(record)

    def reveal(self, records: Iterable[PastTrial]) -> None:
        """Puts the next trials, from `revealed` on, in the place of those without results."""
        for record in records:
            self._records[self._places[self.revealed]] = record
            self.revealed += 1
            self._breed(record)

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> PastTrial: ...

    @overload
    def __getitem__(self, index: slice) -> list[PastTrial]: ...

    def __getitem__(self, index: int | slice) -> PastTrial | list[PastTrial]:
        return self._records[index]

"""What proposal k may see: all proposals before k, and the results before k - lag.

What was evaluated elsewhere has a number as well. It is seen by the proposals after the first trial
that names it in its record, so that its time is no matter of timing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nas.strategies.history import History
from nas.strategies.problem import PastTrial


class Known:
    """A study's trials by number, which may have gaps.

    Args:
        weights: of every objective, 1 if it is maximised, -1 if it is minimised.
        earlier: evaluations from before the study, which every proposal sees.
    """

    def __init__(
        self, weights: Sequence[float], lag: int, earlier: Iterable[PastTrial] = ()
    ) -> None:
        self.lag = lag
        self.past: dict[int, PastTrial] = {}
        """The study's own trials, in their order."""
        self.told: dict[int, PastTrial] = {}
        """What was evaluated elsewhere."""
        self._order: list[int] = []
        self._names: dict[int, Sequence[int]] = {}
        """What was evaluated elsewhere and a trial's record names, by its number."""
        self._named: set[int] = set()
        self._shown = History(weights)
        self._shown.tell(earlier)
        self._stepped = 0

    def put(self, trial: PastTrial, names: Sequence[int] = ()) -> None:
        """Adds the next trial, or one with its results in the place of the same without.

        Args:
            names: of what was evaluated elsewhere, those that its record is the first to name.
        """
        if trial.number not in self.past:
            self._order.append(trial.number)
            self._names[trial.number] = names
            self._named.update(names)
        self.past[trial.number] = trial

    def unnamed(self) -> list[int]:
        """What was evaluated elsewhere and no record names yet."""
        return sorted(self.told.keys() - self._named)

    def seen(self, k: int) -> list[PastTrial]:
        """The trials whose results proposal k and its pruning may see."""
        return [trial for number, trial in self.past.items() if number < k - self.lag]

    def history(self, k: int) -> History:
        """What proposal k may see: the same by one step from the start as by many."""
        shown = self._shown
        while self._stepped < k:
            number = self._stepped
            self._stepped += 1
            if number in self.past:
                shown.propose([self.past[number].hidden])
            while shown.revealed < len(self._order):
                oldest = self._order[shown.revealed]
                if oldest >= self._stepped - self.lag:
                    break
                shown.reveal([self.past[oldest]])
            names = self._names.get(number, ())
            shown.tell(self.told[name] for name in names if name in self.told)
        return shown

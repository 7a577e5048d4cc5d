"""Screening: of several candidates drawn for one trial, the best by a score is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Any

from nas.architecture.genome import Genome
from nas.errors import InputError
from nas.predictors.zero_cost import check_score
from nas.strategies.problem import Exhausted, Proposal

MOST = 64
SCREENED_ON = "screened_on"
"""Key of a study's record: the kind of CPU that scores, where candidates are trained on another."""


@dataclass(frozen=True)
class Screen:
    """`str(screen)` is what `parse` reads, such as `synflow:4`."""

    score: str
    """A name in SCORES."""
    count: int
    """Candidates drawn for a trial."""

    @classmethod
    def parse(cls, text: str) -> Screen:
        """The screen of SCORE:N.

        Raises:
            InputError: another form, an unknown score, or N not from 2 to 64.
        """
        name, _, count = text.partition(":")
        check_score(name, f"--screen {text}")
        if not count.isdecimal() or not 2 <= int(count) <= MOST:
            raise InputError(
                f"--screen {text}: SCORE:N with N candidates from 2 to {MOST}, such as {name}:4"
            )
        return cls(name, int(count))

    def __str__(self) -> str:
        return f"{self.score}:{self.count}"

    def scored_on(self, device: Mapping[str, str]) -> dict[str, Any]:
        """What a study records besides: scores depend on the kind of CPU, as trainings do."""
        import torch  # here, so that reading studies needs none

        from nas.devices.device import device_kind

        on_cpu = device["type"] == "cpu"
        return {} if on_cpu else {SCREENED_ON: device_kind(torch.device("cpu"))}


def screened(
    screen: Screen, draw: Callable[[Set[str]], Proposal], score: Callable[[Genome], float]
) -> tuple[Proposal, dict[str, Any]]:
    """The best-scored of the drawn candidates, the first of equals; what is not finite is worst.

    Where fewer candidates than asked for are left, those are all.

    Args:
        draw: (keys drawn before) -> another candidate.

    Returns:
        The proposal, with the duplicates of all draws, and the trial's attributes: its score, and
        those of the rejected by notation (None where not finite).

    Raises:
        Exhausted: no candidate is left.
    """
    proposals: dict[str, Proposal] = {}
    while len(proposals) < screen.count:
        try:
            proposal = draw(proposals.keys())
        except Exhausted:
            if not proposals:
                raise
            break
        proposals[proposal.genome.key] = proposal
    values = {key: score(proposal.genome) for key, proposal in proposals.items()}
    scores = {key: value if isfinite(value) else None for key, value in values.items()}
    best = max(proposals, key=lambda key: -inf if scores[key] is None else values[key])
    duplicates = sum(proposal.duplicates for proposal in proposals.values())
    attrs = {"screen_score": scores.pop(best), "screen_rejected": scores}
    return replace(proposals[best], duplicates=duplicates), attrs

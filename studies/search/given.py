"""The patterns that no search found."""

from __future__ import annotations

from nas.architecture.genome import Genome
from nas.architecture.references import FIRST, reference
from studies.finals.tuning import buildable
from studies.search.settings import SearchSettings


def given_patterns(settings: SearchSettings) -> dict[str, Genome]:
    """What a search evaluates first: three references, and what it starts from.

    For very few layers some coincide, then the first name stays; what the skeleton's adapters
    cannot do is left out, and what a table does not have.
    """
    wanted = {name: reference(name, settings.space.skeleton) for name in FIRST}
    if settings.start:
        wanted["start"] = settings.start
    patterns: dict[str, Genome] = {}
    for name, genome in wanted.items():
        if settings.table and genome not in settings.table:
            continue
        if genome not in patterns.values() and buildable(genome, settings.space):
            patterns[name] = genome
    return patterns

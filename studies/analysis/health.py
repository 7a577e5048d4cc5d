"""What may be wrong with a search, in one plain sentence each; nothing where nothing is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nas.architecture.layers import skip_said
from nas.architecture.space import SearchSpace
from studies.analysis.importance import Importance, importance
from studies.formatting import Score, listed, plural
from studies.search.objectives import OBJECTIVES
from studies.search.settings import recorded_space
from studies.store.names import LOSS
from studies.store.store import Store
from studies.store.trial import Trial, candidates, role_of
from studies.validity.facts import Validity
from studies.validity.study import recorded_validity

LEAST = 30
"""Trained candidates below which nothing is said."""
LEAST_FOR_GENES = 100
"""Candidates below which nothing is said of genes."""
MOST = 500
"""Trials above which the end of a search does not look at genes, as that takes its time."""
UNRELIABLE = 0.5
"""Reliability of one training, over all candidates, below which its order is mostly luck."""
WITHOUT = 0.25
"""Of the noise: what the shares of all genes of a kind stay below that have no effect."""
REPEATED = 0.5
"""Share of a strategy's draws that were known, from which that is said."""


def health_of(store: Store) -> tuple[str, ...]:
    """The checks that apply to a recorded search."""
    record, trials = store.searched(), store.ranked()
    space = recorded_space(record)
    found = None
    if len(trials) <= MOST:
        found = importance(trials, space)
    return health(record, trials, space, found, recorded_validity(store))


def health(
    record: Mapping[str, Any],
    trials: Sequence[Trial],
    space: SearchSpace,
    genes: Importance | None,
    validity: Validity | None,
) -> tuple[str, ...]:
    """The checks that apply to a search.

    Args:
        record: its settings.
        genes: of its candidates; None leaves their check out.
        validity: what its contenders' trainings say of one training.
    """
    own = [trial for trial in candidates(trials, space) if trial.ok]
    if len(own) < LEAST:
        return ()
    found = [
        *_no_gain(record["objectives"][0], own, trials),
        *_unreliable(Score.of_study(record), own, validity),
    ]
    if genes is not None:
        found += _without_effect(genes, space)
    return (*found, *_repeats(record, trials))


def _no_gain(goal: str, own: Sequence[Trial], trials: Sequence[Trial]) -> Iterator[str]:
    """Whether a given pattern is as good as all that was found, by the search's own training."""
    given = [trial for trial in trials if trial.ok and role_of(trial)]
    if not given:
        return

    def score(trial: Trial) -> float:
        return -trial.attrs["scored_losses"][-1] if goal == LOSS else trial.attrs["accuracy"]

    bar, best = max(given, key=score), max(own, key=score)
    if score(best) > score(bar):
        return
    asked = OBJECTIVES[goal]
    shown = asked.show(score(bar) if asked.maximise else -score(bar))
    yield (
        f"None of {plural(len(own), 'candidate')} is better than the given pattern {role_of(bar)} "
        f"({shown}) by the search's own training: this space, or so short a search of it, has "
        "nothing to offer here."
    )


def _unreliable(score: Score, own: Sequence[Trial], validity: Validity | None) -> Iterator[str]:
    """Whether patterns differ by little more than the luck of their seeds.

    Contenders tell how far seeds scatter; all candidates, how far patterns and seeds together do.
    """
    if validity is None:
        return
    within = validity.measures[0].overall.within
    whole = float(np.std([trial.attrs["accuracy"] for trial in own], ddof=1))
    reliability = 1 - min(1.0, (within / whole) ** 2) if whole else 0.0
    if reliability < UNRELIABLE:
        yield (
            "The training of the search is unreliable: candidates scatter by "
            f"{score.show(score.sign * whole)} in {score.name}, and one pattern over seeds by "
            f"{score.show(score.sign * within)} (reliability {reliability:.2f}), so their order is mostly luck; more epochs or {score.examples} help "
            "(nas validate)."
        )


def _without_effect(found: Importance, space: SearchSpace) -> Iterator[str]:
    """Kinds of genes, none of which shows any effect, where others do."""
    kinds = defaultdict(list)
    for gene in found.genes:
        kind = "the merge" if gene.distance is None else skip_said(gene.distance)
        kinds["the learning rate" if gene.layer is None else kind].append(gene)
    enough = found.candidates >= LEAST_FOR_GENES
    if not enough or not any(gene.share > gene.noise for gene in found.genes):
        return
    still = [
        kind for kind, genes in kinds.items() if all(g.share < WITHOUT * g.noise for g in genes)
    ]
    if still:
        yield (
            f"Genes without effect: {listed(still)} can hardly be told from chance over "
            f"{plural(found.candidates, 'candidate')}; a space without that choice is smaller."
        )


def _repeats(record: Mapping[str, Any], trials: Sequence[Trial]) -> Iterator[str]:
    """Whether most of what a strategy drew was known already."""
    drawn = [t.attrs["duplicates"] for t in trials if not role_of(t) and "duplicates" in t.attrs]
    known = sum(drawn)
    if known and known / (known + len(drawn)) >= REPEATED:
        yield (
            f"Strategy {record['strategy']} drew {known} known patterns beside {len(drawn)} new "
            "ones: it turns in a circle, or the space is nearly searched through."
        )

"""Contenders: a search's best, trained again from fresh seeds; their means say which is the best.

One training's accuracy is the pattern's and its seed's luck, and the best of many has had luck. These
trainings are like the search's own, scored on the validation images, and a study beside the search's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nas.workers.protocol import Pool
from studies.finals.trainings import Trainings, beside_settings, fresh_seeds, train_all
from studies.search.settings import SearchSettings
from studies.store.store import CONTENDERS, Store
from studies.store.trial import Trial

FIRST_SEED = 500_000
"""Their seeds start here among a search's fresh ones; the finalists have others."""


def contenders_name(study: str) -> str:
    """The name of the study of a study's contenders."""
    return f"{study}-contenders"


def run_contenders(
    trials: Sequence[Trial],
    settings: SearchSettings,
    seeds: int,
    store: Store,
    url: str,
    workers: Pool,
    on_result: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Trains each over as many seeds, and notes their means in the search's study (`Store.ranked`).

    Args:
        store: the search's.
        url: the storage's.
        on_result: called with (trainings done, trainings in all).
        stop: asked again and again; no training starts, and nothing is noted, when it is true.
    """
    proxy = settings.space.proxy
    beside = Store.open(
        store.storage, contenders_name(store.name),
        beside_settings(settings, proxy, "contenders", store.name), [True], ["validation accuracy"],
    )  # fmt: skip
    fresh = fresh_seeds(settings.seed, seeds, FIRST_SEED)
    batch = Trainings([trial.genome for trial in trials], fresh, proxy, "validation", "contender")
    with beside.joined(url):
        results = train_all(batch, settings.space.skeleton, beside, workers, on_result, stop)
    if results is None:
        return
    means = {}
    for trial in trials:
        scores = [results[trial.genome.key, seed] for seed in fresh]
        known = [score for score in scores if score is not None]
        if known:
            means[str(trial.number)] = sum(known) / len(known)
    store.note(CONTENDERS, means)

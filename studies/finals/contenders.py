"""Contenders: a search's best, trained again from fresh seeds; their means say which is the best.

One training's accuracy is the pattern's and its seed's luck, and the best of many has had luck. These
trainings are like the search's own, scored on the validation images, and a study beside the search's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nas.architecture.skeletons.convolutional import Skeleton
from nas.proxy import Proxy
from nas.workers.protocol import Pool
from studies.finals.trainings import Trainings, train_all
from studies.store.names import CONTENDERS, MEANS
from studies.store.store import Store
from studies.store.trial import Trial

FIRST_SEED = 500_000
"""Their seeds start here among a search's fresh ones; the finalists have others."""


def run_contenders(
    trials: Sequence[Trial],
    skeleton: Skeleton,
    proxy: Proxy,
    seeds: Sequence[int],
    store: Store,
    url: str,
    workers: Pool,
    on_result: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Trains each over these seeds, and notes their means in the search's study (`Store.ranked`).

    Args:
        store: the search's.
        url: the storage's.
        on_result: called with (trainings done, trainings in all).
        stop: asked again and again; no training starts, and nothing is noted, when it is true.
    """
    beside = store.open_beside(CONTENDERS, skeleton, proxy, "validation accuracy")
    batch = Trainings.over_seeds(
        "contender", [trial.genome for trial in trials], seeds, proxy, "validation"
    )
    with beside.joined(url):
        results = train_all(batch, skeleton, beside, workers, on_result, stop, store)
    if results is None:
        return
    means = {}
    for trial in trials:
        scores = [results[trial.key, seed] for seed in seeds]
        known = [score for score in scores if score is not None]
        if known:
            means[str(trial.number)] = sum(known) / len(known)
    store.note(MEANS, means)

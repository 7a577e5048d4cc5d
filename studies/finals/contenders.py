"""Contenders: a search's best, trained again from fresh seeds, in a race.

One training's accuracy is the pattern's and its seed's luck, and the best of many has had luck. So the
contenders are trained as the search trained them, from seeds that it did not use, and scored on the
validation images. After every round the better half goes on with as many seeds again, until only the
finalists are left (successive halving, Jamieson & Talwalkar 2016, over seeds). The trainings are a study
beside the search's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.proxy import Proxy
from nas.workers.protocol import Pool
from studies.finals.trainings import Trainings, fresh_seeds, train_all
from studies.store.names import CONTENDERS, MEANS, worst_score
from studies.store.store import Store
from studies.store.trial import Trial

FIRST_SEED = 500_000
"""Their seeds start here among a search's fresh ones; the finalists have others."""


def rounds(count: int, seeds: int, least: int) -> list[tuple[int, int]]:
    """(contenders, seeds that each has at its end) of every round.

    Args:
        count: contenders of the first round.
        seeds: of the first round.
        least: contenders that are to be left.
    """
    found = [(count, seeds)]
    while (half := (count + 1) // 2) > least:
        count, seeds = half, 2 * seeds
        found.append((count, seeds))
    return found


def run_contenders(
    trials: Sequence[Trial],
    skeleton: AnySkeleton,
    proxy: Proxy,
    seed: int,
    seeds: int,
    least: int,
    store: Store,
    url: str,
    workers: Pool,
    on_result: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Races the trials, and notes their means and seeds in the search's study (`Store.ranked`).

    Args:
        seed: the search's.
        seeds: of the first round.
        least: contenders that are to be left.
        store: the search's.
        url: the storage's.
        on_result: called with (trainings done, trainings in all).
        stop: asked again and again; no training starts, and nothing is noted, when it is true.
    """
    beside = store.open_beside(CONTENDERS, skeleton, proxy, "validation accuracy")
    worst = worst_score(store.settings)
    left, means, gone, before = list(trials), dict[int, tuple[float, int]](), 0, 0
    plan = rounds(len(trials), seeds, least)
    total = _trainings(plan)
    for count, each in plan:
        gone += (len(left) - count) * before
        left = left[:count]
        before = each

        def told(done: int, _: int, gone: int = gone) -> None:
            on_result(gone + done, total)

        fresh = fresh_seeds(seed, each, FIRST_SEED)
        genomes = [trial.genome for trial in left]
        batch = Trainings.over_seeds("contender", genomes, fresh, proxy, "validation")
        with beside.joined(url):
            results = train_all(batch, skeleton, beside, workers, told, stop, store)
        if results is None:
            return
        for trial in left:
            scores = [s for one in fresh if (s := results[trial.key, one]) is not None]
            means[trial.number] = (sum(scores) / len(scores) if scores else worst, each)
        left.sort(key=lambda trial: -means[trial.number][0])
    store.note(MEANS, {str(number): list(found) for number, found in means.items()})


def _trainings(plan: Sequence[tuple[int, int]]) -> int:
    """Of a race in all."""
    new = [
        seeds - before for (_, seeds), before in zip(plan, [0, *(s for _, s in plan)], strict=False)
    ]
    return sum(count * seeds for (count, _), seeds in zip(plan, new, strict=True))

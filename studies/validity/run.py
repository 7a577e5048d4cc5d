"""Measuring a space's proxy: random patterns, trained over seeds, and once more for longer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from nas.architecture.genome import Genome
from nas.architecture.space import SearchSpace
from nas.errors import InputError
from nas.evaluation.jobs import EvaluationContext
from nas.proxy import MOST, Proxy
from nas.tasks.table import find_task
from studies.finals.trainings import Trainings, fresh_seeds, train_all
from studies.formatting import ACCURACY, Score
from studies.search.machines import connection, open_pool
from studies.search.request import SearchRequest, check_request, number, prepare_settings
from studies.search.settings import SearchSettings
from studies.store.storages import open_storage, storage_errors
from studies.store.store import Store
from studies.store.trial import Trial
from studies.validity.facts import Validity, measure

FIRST_SEED = 900_000
SHORT, LONG = "short", "long"
LEAST_PATTERNS = 20
LOSSES = (1e-6, 1e3)
"""Within which losses are told apart."""


@dataclass(frozen=True)
class ValidationRequest(SearchRequest):
    """What `nas validate` can be asked of a space, beside what a search can."""

    patterns: int = number(100, LEAST_PATTERNS, 10**5)
    """Random patterns of the space."""
    seeds: int = number(4, 2, 10**3)
    """Short trainings of each."""
    longer: int = number(5, 0, 1000)
    """Epochs of the longer training, in those of the proxy; 0 leaves it out."""
    longer_seeds: int = number(2, 1, 10**3)


def validate_space(
    request: ValidationRequest,
    on_result: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Validity | None:
    """Trains random patterns of a space, and says how far its proxy can be trusted.

    What was trained before is not trained again: the trainings are a study of the storage.

    Args:
        on_result: called with (trainings done, trainings in all).
        stop: asked again and again; no training starts when it is true.

    Returns:
        None if it was stopped.

    Raises:
        InputError: something in the request is wrong.
    """
    check_request(request)
    with storage_errors(request.storage), connection(request):
        settings, devices = prepare_settings(request)
        genomes, space = sampled(settings.space, request.patterns, request.seed), settings.space
        batches = [Trainings.over_seeds(
            SHORT, genomes, fresh_seeds(request.seed, request.seeds, FIRST_SEED), space.proxy, "validation",
        )]  # fmt: skip
        if request.longer:
            proxy = replace(space.proxy, epochs=min(request.longer * space.proxy.epochs, MOST))
            seeds = fresh_seeds(request.seed, request.longer_seeds, FIRST_SEED)
            batches.append(Trainings.over_seeds(LONG, genomes, seeds, proxy, "validation"))
        store = _store(request, settings, batches)
        context = EvaluationContext(
            space.skeleton, settings.data, devices, settings.fast, tuple(settings.plugins)
        )
        wanted = [len(batch.wanted) for batch in batches]
        with (
            open_pool(request, context, settings.device, settings.lag) as (workers, _),
            store.joined(request.storage),
        ):
            for index, batch in enumerate(batches):

                def told(done: int, _: int, before: int = sum(wanted[:index])) -> None:
                    on_result(before + done, sum(wanted))

                if not train_all(batch, space.skeleton, store, workers, told, stop):
                    return None
        part = space.proxy.validation_images or len(settings.data.validation)
        return facts_of(
            space.name, store.trials(), batches, min(part, len(settings.data.validation)),
            Score.of(settings.objectives, find_task(space.proxy.task).examples),
        )  # fmt: skip


def sampled(space: SearchSpace, count: int, seed: int) -> list[Genome]:
    """So many different random genomes.

    Raises:
        InputError: the space has fewer.
    """
    if space.distinct < count:
        raise InputError(f"--patterns {count}: space {space.name} has {space.distinct} patterns")
    rng, found = Random(f"validate/{seed}"), dict[Genome, None]()
    while len(found) < count:
        found[space.sample(rng)] = None
    return list(found)


def facts_of(
    name: str,
    trials: Sequence[Trial],
    batches: Sequence[Trainings],
    images: int,
    score: Score = ACCURACY,
) -> Validity:
    """What recorded trainings say."""
    short, *longer = batches
    known = [t.attrs["accuracy"] for t in trials if t.ok]
    if not known:
        raise InputError(f"{name}: none of its trainings came to an end with a score")
    worst = min(known) if score.own else 0.0
    accuracy = _scores(trials, short, "accuracy", worst)
    loss = _scores(trials, short, "loss")
    long = _scores(trials, longer[0], "accuracy", worst).mean(axis=1) if longer else None
    seconds = [t.attrs["seconds"] for t in trials if t.attrs["role"] == SHORT]
    return Validity(
        name, len(accuracy), accuracy.shape[1],
        longer[0].proxy.epochs / short.proxy.epochs if longer else 0.0, images,
        float(np.median(seconds)),
        (measure(score.name, accuracy, long), measure("loss", -np.log(loss), long)),
        tuple(map(tuple, accuracy.tolist())), False, tuple(long.tolist()) if long is not None else (),
        score,
    )  # fmt: skip


def _scores(trials: Sequence[Trial], batch: Trainings, what: str, worst: float = 0.0) -> np.ndarray:
    """Scores or losses (patterns, seeds) of a batch; the worst where it could not be trained."""
    known = {(t.attrs["role"], t.key, t.attrs["seed"]): t for t in trials}
    rows: dict[str, list[float]] = {}
    for role, genome, seed in batch.wanted:
        trial = known[role, genome.key, seed]
        rows.setdefault(genome.key, []).append(score_of(trial, what, worst))
    return np.array(list(rows.values()))


def score_of(trial: Trial, what: str, worst: float = 0.0) -> float:
    """A training's score, the worst where it failed, or its loss, which is cut to what a logarithm can tell."""
    if what == "accuracy":
        return trial.attrs["accuracy"] if trial.ok else worst
    losses = trial.attrs.get("scored_losses") or [np.inf] if trial.ok else [np.inf]
    return float(np.nan_to_num(np.clip(losses[-1], *LOSSES), nan=LOSSES[1]))


def _store(
    request: ValidationRequest, settings: SearchSettings, batches: Sequence[Trainings]
) -> Store:
    own = settings.record()
    record = {key: own[key] for key in ("data", "fast", "plugins", "trainer", "device")}
    proxies: list[Proxy] = [batch.proxy for batch in batches]
    record |= {
        "validation_of": settings.space.name,
        "validated": own["space"],
        "proxies": [one.record() for one in proxies],
    }
    name = request.study or f"{settings.default_name}-validation-{request.longer}"
    return Store.open(open_storage(request.storage), name, record, [True], ["validation accuracy"])

"""Running knock-outs: whatever is not recorded yet, in worker processes. Nothing is trained twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nas.architecture.genome import Genome
from nas.architecture.plan import plan
from nas.architecture.space import SearchSpace
from nas.devices.device import device_kind, find_device
from nas.devices.machine import MAX_WORKERS, default_count, default_devices
from nas.errors import InputError
from nas.evaluation.jobs import EvaluationContext
from nas.evaluation.result import Evaluation, failed
from nas.files.settings import differences
from nas.plugins import load_plugins
from nas.training.version import TRAINER_VERSION
from nas.workers.process_pool import Workers
from nas.workers.protocol import Finished, Job
from studies.finals.trainings import Trainings, train_all
from studies.knockouts.lesions import LesionJob, knockout_job, remove_skip, skips_of
from studies.knockouts.recorded import (
    CUT,
    RETRAINED,
    WHOLE,
    by_part,
    trained_keys,
)
from studies.search.settings import recorded_data, recorded_space
from studies.store.names import KNOCKOUTS, check_trained_here
from studies.store.store import Store
from studies.store.trial import best_trials


@dataclass(frozen=True)
class KnockoutRequest:
    """What knock-outs need beside the study."""

    data: str | None = None
    """As for a search; None is where the study noted that they lie."""
    data_dir: Path | None = None
    device: str = "auto"
    workers: int | None = None
    """Processes; None is one a core, or one a GPU."""
    plugins: tuple[Path, ...] = ()


def run_knockout(
    store: Store,
    url: str,
    means: KnockoutRequest,
    on_result: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Trains what is missing of the winner's knock-outs, and records it beside the study.

    Args:
        store: the search's.
        url: the storage's.
        on_result: called with (networks scored, networks in all).

    Raises:
        InputError: no winner, or data, plugins, trainer or device are not the study's.
    """
    settings = store.searched()
    check_trained_here(store.settings, store.name, "nas report --knock-out")
    space, trials = recorded_space(settings), store.ranked()
    best = best_trials(trials, space, 1)
    if not best:
        raise InputError(f"study {store.name!r} has no candidate that was trained: nothing to cut")
    plugins = load_plugins(means.plugins)
    _check(store.name, settings, means, plugins)
    data = recorded_data(settings, store.notes(), means.data, means.data_dir)
    devices = default_devices(means.device)
    context = EvaluationContext(space.skeleton, data, devices, settings["fast"], tuple(plugins))
    beside = store.open_beside(
        KNOCKOUTS, space.skeleton, space.proxy, "validation accuracy", seed=settings["seed"]
    )
    known, seed = trained_keys(trials), settings["seed"]
    with beside.owned(url):
        cuts = Cuts(beside, best[0].genome, space, seed)
        anew = [(RETRAINED, one, seed) for one in cuts.without if one.key not in known]
        total = 1 + 2 * len(cuts.without)
        count = means.workers or min(default_count(devices), max(1, len(anew)))
        on_result(total - len(cuts.numbers) - len(anew), total)
        with Workers(knockout_job, context, count) as workers:
            for report in workers.run(cuts.jobs(), idle=beside.renew):
                if isinstance(report, Finished):
                    cuts.finish(report)
            train_all(
                Trainings(anew, space.proxy, "validation"), space.skeleton, beside, workers,
                lambda done, of: on_result(total - of + done, total),
            )  # fmt: skip


def _check(
    study: str, settings: Mapping[str, Any], means: KnockoutRequest, plugins: Mapping[Path, str]
) -> None:
    """Raises InputError if a training here would not be like the study's."""
    if means.workers is not None and not 1 <= means.workers <= MAX_WORKERS:
        bound = "at least 1" if means.workers < 1 else f"at most {MAX_WORKERS}"
        raise InputError(f"--workers {means.workers}: it must be {bound}")
    recorded = {key: settings[key] for key in ("trainer", "device", "plugins")}
    here = {
        "trainer": TRAINER_VERSION,
        "device": device_kind(find_device(means.device)),
        "plugins": {path.name: digest for path, digest in plugins.items()},
    }
    differing = sorted(differences(recorded, here))
    if differing:
        raise InputError(
            f"study {study!r}: its skips can be knocked out only where it was searched "
            f"({'; '.join(differing)})"
        )


class Cuts:
    """The network of a winner, whole and without each of its skips: which of them are to be scored."""

    def __init__(self, store: Store, winner: Genome, space: SearchSpace, seed: int) -> None:
        self.store, self.space, self.seed, self.winner = store, space, seed, winner
        self.without = [remove_skip(winner, *skip) for skip in skips_of(winner)]
        self.genomes = {genome.key: genome for genome in (winner, *self.without)}
        self.numbers: dict[tuple[str, str], int] = {}
        """Of every network that is not scored yet, by (role, key)."""
        recorded = store.trials()
        found, number = by_part(recorded), len(recorded)
        for role, genome in [(WHOLE, winner), *((CUT, genome) for genome in self.without)]:
            trial = found.get((role, winner.key, genome.key))
            if trial is None:
                planned = plan(genome, space.skeleton)
                sizes = {"params": planned.params, "macs": planned.macs}
                store.add(number, genome, {"role": role, "of": winner.key, "seed": seed, **sizes})
                self.numbers[role, genome.key] = number
                number += 1
            elif not trial.state.is_finished():
                self.numbers[role, genome.key] = trial.number

    def jobs(self) -> list[Job]:
        """One training of the winner for all cuts, unless they are scored."""
        if not self.numbers:
            return []
        pairs = zip(skips_of(self.winner), self.without, strict=True)
        skips = tuple(skip for skip, genome in pairs if (CUT, genome.key) in self.numbers)
        return [LesionJob(0, self.winner, self.space.proxy, self.seed, skips)]

    def finish(self, report: Finished) -> None:
        """Records the scores; a job that failed fails all networks that it was about."""
        found = report.result
        for index, (layer, distance) in enumerate(found.skips if found else ()):
            key = remove_skip(self.winner, layer, distance).key
            score = found.accuracies[index]
            scored = self._scored(key, score, found.seconds[index])
            self._record(
                CUT, key, scored if score is not None else self._failed(key, found.why[index])
            )
        for role, key in [(r, k) for r, k in self.numbers if r == CUT]:
            self._record(role, key, self._failed(key, report.why))
        key = self.winner.key
        if (WHOLE, key) in self.numbers:
            whole = found and self._scored(key, found.whole, found.training_seconds)
            self._record(WHOLE, key, whole or self._failed(key, report.why))

    def _record(self, role: str, key: str, evaluation: Evaluation) -> None:
        self.store.finish(self.numbers.pop((role, key)), evaluation, [evaluation.accuracy])

    def _failed(self, key: str, why: str) -> Evaluation:
        return failed(self.genomes[key], self.space.skeleton, self.seed, why)

    def _scored(self, key: str, accuracy: float | None, seconds: float) -> Evaluation:
        """An evaluation of a network that was not trained by itself: no curves."""
        score = accuracy or 0.0
        return replace(
            self._failed(key, ""), status="ok", accuracy=score, accuracies=(score,), seconds=seconds
        )  # fmt: skip

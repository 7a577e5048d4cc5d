"""Running exercises: jobs to workers, results to files, pages from results.

Every job's result is one JSON file in `OUT/runs`, written whole or not at all, so a run that was
killed goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from baselines.exercises.gradients import LawJob
from baselines.exercises.jobs import (
    PROFILES,
    ExerciseContext,
    Profile,
    TrainingJob,
    complete,
    run_job,
)
from baselines.exercises.page import Page, render
from baselines.exercises.verdicts import Context
from nas.data.dataset import Data
from nas.devices.device import device_kind, find_device
from nas.devices.machine import default_count, default_devices
from nas.errors import InputError, unknown
from nas.files.safe import read_limited, write_text
from nas.training.version import TRAINER_VERSION
from nas.workers.process_pool import Workers
from nas.workers.protocol import Finished

EXERCISES = ("exercise-1", "exercise-2", "exercise-3", "exercise-4", "exercise-5")
Job = TrainingJob | LawJob
OnProgress = Callable[[int, int, str, float], None]
"""Called with jobs done, jobs in all, the last one's key, and the share of this run's work done."""
MAX_SEEDS = 1000
RESULT_BYTES = 64 << 20
"""Of the longest result that is read."""


@dataclass(frozen=True)
class RunPlan:
    """What a run is going to do."""

    exercises: tuple[str, ...]
    trainings: int
    networks: int
    """Of which each is trained with every seed."""
    laws: int
    """Measurements of gradients at initialisation."""
    done: int
    """Of all these, those whose results are there already."""
    data: Data
    profile: Profile
    workers: int
    devices: tuple[str, ...]
    out: Path


def run_exercises(
    names: Sequence[str],
    data: Data,
    profile: Profile,
    out: Path,
    *,
    device: str = "auto",
    workers: int | None = None,
    on_start: Callable[[RunPlan], None] = lambda plan: None,
    on_progress: OnProgress = lambda done, total, key, share: None,
) -> list[Page]:
    """Runs exercises and writes their pages and tables into `out`.

    Args:
        names: of EXERCISES.
        on_start: called with what is going to be done, before anything is trained.

    Raises:
        InputError: an unknown exercise, pictures too small for the stem, or a folder with the
            results of another run; nothing is touched then.
    """
    modules = [_exercise(name) for name in names]
    where = find_device(device)
    if (
        profile.proxy.precision == "auto"
    ):  # gradients are compared, so fp32 wherever it is no burden
        proxy = replace(profile.proxy, precision="bf16" if where.type == "cuda" else "fp32")
        profile = replace(profile, proxy=proxy)
    jobs: dict[str, Job] = {}
    for module in modules:
        for job in module.jobs(profile, data.shape, len(data.classes)):
            known = jobs.get(job.key)
            features = isinstance(known, TrainingJob) and known.features
            jobs[job.key] = replace(job, features=True) if features else job
    settings = _settings(data, profile, device_kind(where))
    runs = _claim(out, settings)
    results = {key: _read(runs, job) for key, job in jobs.items()}
    devices = default_devices(device)
    trainings = [job for job in jobs.values() if isinstance(job, TrainingJob)]
    plan = RunPlan(
        tuple(names), len(trainings), len({job.key.split(" ")[0] for job in trainings}),
        len(jobs) - len(trainings), sum(result is not None for result in results.values()),
        data, profile, workers or default_count(devices), devices, out,
    )  # fmt: skip
    on_start(plan)
    _train(jobs, results, plan, runs, on_progress)
    context = Context(data.name, profile.name, len(data.classes))
    pages = [module.page(results, profile, context) for module in modules]
    for page in pages:
        _write(page, plan)
    return pages


def _exercise(name: str) -> Any:
    if name not in EXERCISES:
        raise unknown("exercise", name, [*EXERCISES, "all"])
    return import_module(f"baselines.exercises.{name.replace('-', '')}")


def find_profile(name: str, seeds: int | None) -> Profile:
    """A profile of PROFILES, with another number of seeds if one is given."""
    if name not in PROFILES:
        raise unknown("profile", name, PROFILES, place="--profile")
    if seeds is not None and not 1 <= seeds <= MAX_SEEDS:
        bound = "at least 1" if seeds < 1 else f"at most {MAX_SEEDS}"
        raise InputError(f"--seeds {seeds}: it must be {bound}")
    return replace(PROFILES[name], seeds=seeds) if seeds else PROFILES[name]


def _settings(data: Data, profile: Profile, device: dict[str, str]) -> dict[str, Any]:
    """What all results in a folder have in common; the number of seeds may grow."""
    kept = asdict(profile) | {"proxy": profile.proxy.record()}
    del kept["seeds"]
    found = {
        "data": data.name,
        "fingerprint": data.fingerprint,
        "profile": kept,
        "trainer": TRAINER_VERSION,
        "device": device,
    }
    return json.loads(json.dumps(found))


def _claim(out: Path, settings: dict[str, Any]) -> Path:
    """The folder for results, if it is new or holds the same run's."""
    path = out / "settings.json"
    if path.exists():
        try:
            recorded = json.loads(read_limited(path, RESULT_BYTES))
            if not isinstance(recorded, dict):
                raise ValueError
        except (ValueError, RecursionError):
            raise InputError(f"--out {out}: {path} is not readable; name another folder") from None
        if recorded != settings:
            differing = [k for k in settings if recorded.get(k) != settings[k]]
            raise InputError(
                f"--out {out} holds another run's results ({', '.join(differing)} differ); they "
                "are kept; name another folder"
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out} exists and is not a run's folder; name another")
    (out / "runs").mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(settings, indent=1))
    return out / "runs"


def _file(runs: Path, key: str) -> Path:
    return runs / f"{key.replace('/', '_')}.json"


def _read(runs: Path, job: Job) -> dict[str, Any] | None:
    """A result that is there already and has all that the job asks for."""
    path = _file(runs, job.key)
    if not path.exists():
        return None
    try:
        result = json.loads(read_limited(path, RESULT_BYTES))
        if not isinstance(result, dict):
            raise ValueError
    except (ValueError, RecursionError):
        raise InputError(f"{path}: not a result that nas baseline wrote; remove it") from None
    return result if complete(job, result) else None


def _train(
    jobs: dict[str, Job],
    results: dict[str, dict[str, Any] | None],
    plan: RunPlan,
    runs: Path,
    on_progress: OnProgress,
) -> None:
    missing = [
        replace(job, number=i) for i, job in enumerate(jobs.values()) if not results[job.key]
    ]
    missing.sort(key=_cost, reverse=True)  # the longest first, so that no worker waits at the end
    done, work, every = plan.done, 0.0, sum(map(_cost, missing))
    on_progress(done, len(jobs), "", 0.0)
    given = {job.number: job for job in missing}
    context = ExerciseContext(plan.data, plan.devices)
    with Workers(run_job, context, plan.workers) as pool:
        for report in pool.run(missing):
            if not isinstance(report, Finished):
                continue
            job = given[report.number]
            if report.result is None:
                raise InputError(f"{job.key}: {report.why}; what is finished is kept")
            results[job.key] = report.result
            write_text(_file(runs, job.key), json.dumps(report.result))
            done, work = done + 1, work + _cost(job)
            on_progress(done, len(jobs), job.key, work / every)


def _cost(job: Job) -> float:
    """How long a job takes, about, in a unit of its own."""
    if isinstance(job, LawJob):
        return float(sum(job.blocks) * len(job.seeds))
    return 1e3 * len(job.genome) * (2 if job.features else 0.1 if job.steps else 1)


def _write(page: Page, plan: RunPlan) -> None:
    for name, table in page.tables.items():
        table.to_csv(plan.out / f"{page.exercise}-{name}.csv", index=False)
    profile, proxy = plan.profile, plan.profile.proxy
    images = "all" if proxy.images is None else f"{proxy.images:,}"
    usual = PROFILES[profile.name].seeds
    seeds = "" if profile.seeds == usual else f" --seeds {profile.seeds}"
    settings = [
        ("data", f"{plan.data.name}, {images} training images"),
        ("profile", f"{profile.name}: widths divided by {profile.width_divisor}"),
        ("training", f"{proxy.epochs} epochs, batch {proxy.batch}, learning rate "
                     f"{proxy.learning_rate:g}, {proxy.precision}"),
        ("seeds", str(profile.seeds)),
        ("trainer version", str(TRAINER_VERSION)),
        ("command", f"nas baseline run {page.exercise} --data {plan.data.name} --profile "
                    f"{profile.name}{seeds}"),
    ]  # fmt: skip
    write_text(plan.out / f"{page.exercise}.html", render(page, settings))

"""A search's winner and the references in another setting, tuned and tested there as they were before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nas.architecture.genome import Genome
from nas.architecture.matching import COSTS, matched
from nas.architecture.plan import plan
from nas.architecture.skeletons.families import read_skeleton
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.architecture.stretch import deepened, stretched
from nas.data.dataset import Data
from nas.data.fitting import check_task
from nas.data.load import load_data
from nas.errors import InputError, unknown
from nas.evaluation.jobs import EvaluationContext
from nas.files.settings import from_mapping
from nas.proxy import Proxy
from nas.tasks.table import find_task
from search_spaces import load_plugins
from studies.finals.finalists import Finalist, recorded_finalists, run_finalists
from studies.finals.trainings import Setting, fresh_seeds
from studies.finals.tuning import Tuned, best_reference, recorded_tuning, references_of, run_tuning
from studies.formatting import Score
from studies.search.machines import Means, connection, find_machine, open_pool
from studies.search.settings import recorded_data, recorded_space
from studies.store.names import FINALISTS, TABLE, TRANSFERS, check_trained_here, labelled
from studies.store.storages import existing_storage, storage_errors
from studies.store.store import Store
from studies.store.trial import best_trials
from studies.store.url import STORAGE

TUNING_SEED, TEST_SEED = 720_000, 740_000
"""First seeds among a search's fresh ones."""


@dataclass(frozen=True)
class TransferRequest(Means):
    """What `nas transfer` can be asked; every field is an option of it. None leaves it as it was."""

    study: str = ""
    storage: str = STORAGE
    layers: int | None = None
    epochs: int | None = None
    match: str | None = None
    """A name in COSTS: references are widened until they cost what the winner costs."""
    data: str | None = None
    data_dir: Path | None = None
    images: int | None = None
    resolution: int | None = None
    tuning_seeds: int = 2
    seeds: int = 16
    plugins: tuple[Path, ...] = ()

    @property
    def label(self) -> str:
        """The setting in a word or two, such as `54-layers`."""
        told = {
            "layers": self.layers, "epochs": self.epochs, "images": self.images,
            "pixels": self.resolution,
        }  # fmt: skip
        words = [Path(self.data).stem] if self.data else []
        words += [f"{value}-{name}" for name, value in told.items() if value is not None]
        words += [f"matched-{self.match}"] if self.match else []
        return "-".join(words)

    def check(self, lag: int) -> None:
        super().check(lag)
        if not self.label:
            raise InputError("nas transfer: name a setting: --layers, --epochs, --match or --data")
        if self.match is not None and self.match not in COSTS:
            raise unknown("cost", self.match, COSTS, place="--match")
        for name in ("layers", "epochs", "images", "resolution", "tuning_seeds", "seeds"):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= 10**6:
                raise InputError(
                    f"--{name.replace('_', '-')} {value}: it must be from 1 to 1000000"
                )


@dataclass(frozen=True)
class Transfer:
    """The test in another setting."""

    label: str
    tuned: list[Tuned]
    finalists: list[Finalist]
    score: Score


@dataclass(frozen=True)
class _Place:
    """The setting of a transfer, made ready."""

    data: Data
    skeleton: AnySkeleton
    proxy: Proxy
    rates: tuple[float, ...]
    entries: dict[str, Genome]
    seed: int
    setting: Setting


def run_transfer(
    request: TransferRequest,
    on_result: Callable[[str, int, int], None] = lambda what, done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Transfer | None:
    """Tunes the winner and all references that fit in the setting, then tests the winner, ResNet's
    pattern and the best reference there.

    What was trained before is not trained again. The result is noted with the study.

    Args:
        on_result: called with (what, trainings done, trainings in all).
        stop: asked again and again; no training starts when it is true.

    Returns:
        None if it was stopped.

    Raises:
        InputError: no such study, nothing found in it, or the setting cannot be.
    """
    with storage_errors(request.storage), connection(request):
        plugins = load_plugins(request.plugins)
        store = Store.load_search(existing_storage(request.storage), request.study)
        check_trained_here(store.settings, store.name, "nas transfer")
        request.check(store.settings["lag"])
        place = _place(request, store)
        found = find_machine(request)(place.skeleton, (place.proxy,))
        if dict(found.kind) != store.settings["device"]:
            raise InputError(
                f"study {store.name!r} was searched on {store.settings['device']}, this is {found.kind}"
            )
        context = EvaluationContext(
            place.skeleton, place.data, found.devices, store.settings["fast"], tuple(plugins)
        )
        with open_pool(request, context, found.kind, store.settings["lag"]) as (workers, _):
            common = (place.skeleton, found.proxies[0])
            tuned = run_tuning(
                place.entries, place.rates, *common,
                fresh_seeds(place.seed, request.tuning_seeds, TUNING_SEED), store, request.storage,
                workers, lambda done, total: on_result("tuning", done, total), stop, place.setting,
            )  # fmt: skip
            if not tuned:
                return None
            best = best_reference(tuned)
            names = {"winner", "residual", best.name if best else ""}
            entries = [(one.name, one.genome) for one in tuned if one.name in names]
            rows = run_finalists(
                entries, *common, fresh_seeds(place.seed, request.seeds, TEST_SEED), store,
                request.storage, workers, lambda done, total: on_result("tests", done, total), stop,
                best.name if best else None, place.setting,
            )  # fmt: skip
        if not rows:
            return None
        store.note(
            TRANSFERS, list(dict.fromkeys([*store.notes().get(TRANSFERS, ()), request.label]))
        )
        score = Score.of_study(store.settings)
        return Transfer(request.label, tuned, rows, score)


def _place(request: TransferRequest, store: Store) -> _Place:
    """What a request means for a study."""
    settings, notes = store.settings, store.notes()
    space = recorded_space(settings)
    best = next(iter(best_trials(store.ranked(), space, 1)), None)
    if best is None:
        raise InputError(f"study {store.name!r} has found nothing that could be transferred")
    finals = store.beside(FINALISTS)
    proxy = (
        from_mapping(Proxy, finals.settings["proxy"], "the finalists")
        if finals
        else space.final_proxy
    )
    proxy = replace(
        proxy, epochs=request.epochs or proxy.epochs, images=request.images or proxy.images,
        resolution=request.resolution or proxy.resolution,
    )  # fmt: skip
    skeleton, record = space.skeleton, dict[str, Any]()
    if request.data:
        task, seed = find_task(proxy.task), settings["data"]["split_seed"]
        data = load_data(request.data, request.data_dir, seed, task=task)
        record["data"] = {
            "name": data.name, "fingerprint": data.fingerprint, "split_seed": data.split_seed,
        }  # fmt: skip
        shape = data.shape
        check_task(task, data)
        if proxy.resolution and data.kind == "pictures":
            shape = (shape[0], proxy.resolution, proxy.resolution)
        skeleton = skeleton.for_data(shape, task.width(shape, len(data.classes)))
    else:
        data = recorded_data(settings, notes, None, request.data_dir)
    entries = {"winner": best.best_genome.pattern, **references_of(space)}
    if request.layers:
        entries = {n: stretched(g, skeleton, request.layers) for n, g in entries.items()}
        skeleton = deepened(skeleton, request.layers)
    skeletons: dict[Genome, AnySkeleton] = {}
    if request.match:
        cost = getattr(plan(entries["winner"], skeleton), request.match)
        skeletons = {
            genome: wider
            for name, genome in entries.items()
            if name != "winner"
            and (wider := matched(genome, skeleton, request.match, cost)) != skeleton
        }
        record["widths"] = {str(g): list(one.widenable) for g, one in skeletons.items()}
    return _Place(
        data, skeleton, proxy, space.learning_rates, entries, settings["seed"],
        Setting(request.label, skeletons, record),
    )  # fmt: skip


def recorded_transfers(store: Store) -> list[Transfer]:
    """What was noted of a study's transfers, in their order."""
    notes, found = store.notes(), []
    score = Score.of_study(store.settings)
    for label in notes.get(TRANSFERS, ()):
        beside = store.beside(labelled(FINALISTS, label))
        if beside is None or labelled(TABLE, label) not in notes:
            continue
        own = read_skeleton(beside.settings["skeleton"], "the transfer's skeleton")
        wider = {
            Genome.parse(notation): own.widened(widths)
            for notation, widths in beside.settings.get("widths", {}).items()
        }
        rows = recorded_finalists(store, beside, own, label, wider)
        if rows:
            found.append(Transfer(label, recorded_tuning(notes, label), rows, score))
    return found

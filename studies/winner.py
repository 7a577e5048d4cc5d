"""A pattern to train to the end: a notation on a skeleton, a study's best, or one of its trials."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines import find_baseline
from nas.data import SOURCES, Data, load_data
from nas.errors import InputError
from nas.genome import Genome
from nas.plan import plan
from nas.plugins import installed_plugins, load_plugin
from nas.proxy import Proxy
from nas.settings import from_mapping
from nas.skeleton import Skeleton
from search_spaces import SPACES
from studies.spaces import find_space

if TYPE_CHECKING:
    from nas.fit_settings import FitSettings

EPOCHS = 30
CALIBRATION_IMAGES = 1024
"""Over which batch norm's statistics are taken before a score, unless the pattern's own is 0."""
FOLDER = Path("trained")


@dataclass(frozen=True)
class Pattern:
    """A genome with what a long training of it starts from."""

    genome: Genome
    skeleton: Skeleton
    """Its input shape and classes may still be other data's."""
    proxy: Proxy
    """Whose settings hold where nothing else is asked for."""
    basis: str
    """What that proxy is, in words."""
    name: str
    """In words, such as `trial 92 of digits9-…`."""
    slug: str
    """The same for a folder's name."""
    data: str | None
    """The usual data, None where there is none."""
    split_seed: int = 0
    fingerprint: str | None = None
    """Of a study's data."""
    data_name: str = ""
    """What a study calls its data."""
    note: str = ""
    """How it was chosen, in a sentence."""
    origin: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """What `nas train` can be asked; every field is an option of it. None is the pattern's own."""

    pattern: str | None = None
    space: str | None = None
    baseline: str | None = None
    storage: str = "sqlite:///nas.db"
    data: str | None = None
    data_dir: Path | None = None
    split_seed: int | None = None
    other_data: bool = False
    """Whether data that the study was not made on is allowed."""
    epochs: int = EPOCHS
    batch: int | None = None
    learning_rate: float | None = None
    images: int | None = None
    """None is all of them."""
    resolution: int | None = None
    """None is the pictures' own."""
    augment: str | None = None
    precision: str | None = None
    seed: int = 0
    patience: int | None = None
    threads: int = 1
    device: str = "auto"
    out: Path | None = None
    plugins: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Order:
    """A long training, ready to begin."""

    pattern: Pattern
    settings: FitSettings
    folder: Path


def prepare(request: Request) -> Order:
    """Finds the pattern and its data, and decides all that the training depends on.

    Raises:
        InputError: something in the request is wrong; nothing is written then.
    """
    from nas.device import device_kind, find_device
    from nas.fit_settings import FitSettings
    from nas.training import prepare as prepare_part

    for name in ("seed", "split_seed"):
        if (getattr(request, name) or 0) < 0:
            raise InputError(f"--{name.replace('_', '-')} {getattr(request, name)}: at least 0")
    plugins = load_plugins(request.plugins)
    pattern = find_pattern(
        request.pattern, request.space, request.baseline, request.storage, plugins
    )
    device = find_device(request.device)
    proxy = long_proxy(pattern, request, device.type)
    data = find_data(pattern, request)
    shape = tuple(prepare_part(data, proxy, "validation", device).images.shape[1:])
    skeleton = pattern.skeleton.for_data(shape, len(data.classes))  # type: ignore[arg-type]
    settings = FitSettings(
        pattern.genome, skeleton, proxy, data, device_kind(device), request.seed,
        request.patience, request.threads, plugins,
    )  # fmt: skip
    return Order(pattern, settings, request.out or folder_of(pattern, data, settings.digest))


def load_plugins(paths: tuple[Path, ...]) -> dict[str, str]:
    """Loads installed plugins and these; their hashes by file name."""
    return {path.name: load_plugin(path, SPACES=SPACES) for path in (*installed_plugins(), *paths)}


def find_pattern(
    text: str | None,
    space: str | None,
    baseline: str | None,
    storage: str,
    plugins: Mapping[str, str],
) -> Pattern:
    """The pattern of `best:STUDY`, `trial:STUDY/NUMBER`, a notation, or a baseline's own.

    Args:
        space: a notation's space: a name, or a TOML file.
        baseline: a notation's skeleton, instead; without a notation the baseline itself.
        plugins: hashes by file name of what was loaded.

    Raises:
        InputError: the pattern or its skeleton is missing, unknown, or they do not fit together.
    """
    kind, _, rest = (text or "").partition(":")
    if kind in ("best", "trial") and rest:
        if space or baseline:
            raise InputError(
                f"{text}: a study has its skeleton; --space and --baseline are for notations"
            )
        return from_study(kind, rest, storage, plugins)
    if space and baseline:
        raise InputError("--space and --baseline: one of them, which the skeleton is from")
    if baseline:
        found = find_baseline(baseline)
        genome = Genome.parse(text) if text else found.genome
        own = f"baseline {baseline}" if genome == found.genome else f"a pattern on {baseline}"
        pattern = Pattern(
            genome, found.skeleton, Proxy(), "the default training", own, baseline, None,
            origin={"baseline": baseline},
        )  # fmt: skip
    elif text is None:
        raise InputError(
            "a pattern is needed: a notation, best:STUDY, trial:STUDY/NUMBER, or --baseline NAME"
        )
    else:
        pattern = _on_space(Genome.parse(text), space)
    plan(pattern.genome, pattern.skeleton)
    return pattern


def _on_space(genome: Genome, space: str | None) -> Pattern:
    if space is None:
        raise InputError(
            f"the skeleton of '{genome}' is missing (widths, blocks, classes): "
            "name it with --space or --baseline"
        )
    found = find_space(space)
    data = found.data if found.data in SOURCES else None
    basis = f"the finalists of space {found.name}"
    return Pattern(
        genome, found.skeleton, found.final_proxy, basis, f"a pattern on {found.name}",
        found.name, data, origin={"space": found.name},
    )  # fmt: skip


def from_study(kind: str, rest: str, storage: str, plugins: Mapping[str, str]) -> Pattern:
    """The most accurate trial of a study by its proxy, or a trial by its number.

    Raises:
        InputError: no such storage, study or trial, no trial that was trained to the end, or a
            plugin of the study that is missing or has changed.
    """
    from nas.saved import check_plugins
    from studies.finalists import finalists_name
    from studies.search import best_trials
    from studies.settings import recorded_space
    from studies.storages import existing_storage
    from studies.store import Store, storage_errors, study_names

    name, number = _name_and_number(kind, rest)
    note = ""
    with storage_errors(storage):
        opened = existing_storage(storage)
        names = study_names(opened)
        if not names:
            raise InputError(f"--storage {storage}: it has no studies; nas search makes them")
        store = Store.load(opened, name)
        settings, trials = store.settings, store.trials()
        finals = (
            Store.load(opened, finalists_name(name)).settings
            if finalists_name(name) in names
            else None
        )
    if "space" not in settings:
        raise InputError(f"study {name!r} is that of finalists; name the search's own")
    check_plugins(settings["plugins"], plugins, f"study {name!r}")
    space = recorded_space(settings)
    if number is None:
        best = best_trials(trials, space, 1)
        if not best:
            raise InputError(
                f"study {name!r} has no successful trial of the search among {len(trials)}; "
                "trial:STUDY/NUMBER names any"
            )
        trial = best[0]
        note = _choice(settings["objectives"], trial.attrs["accuracy"], len(trials))
    elif number >= len(trials):
        last = f"0 to {len(trials) - 1}" if trials else "none yet"
        raise InputError(f"trial:{rest}: study {name!r} has no trial {number}; it has {last}")
    else:
        trial = trials[number]
    proxy = from_mapping(Proxy, finals["proxy"], "the finalists") if finals else space.final_proxy
    data = settings["data"]
    return Pattern(
        trial.genome, space.skeleton, proxy, f"the finalists of {name}",
        f"trial {trial.number} of {name}", f"{name}-trial{trial.number}",
        data["name"] if data["name"] in SOURCES else None, data["split_seed"],
        data["fingerprint"], data["name"], note,
        origin={"study": name, "trial": trial.number, "asked": f"{kind}:{rest}"},
    )  # fmt: skip


def _choice(objectives: Sequence[str], accuracy: float, trials: int) -> str:
    """How `best:` chose."""
    chosen = f"The most accurate of {trials} trials by the proxy: {100 * accuracy:.2f} % validation"
    if len(objectives) == 1:
        return f"{chosen}."
    return f"{chosen}; by {' and '.join(objectives)} others may suit more: trial:STUDY/NUMBER."


def _name_and_number(kind: str, rest: str) -> tuple[str, int | None]:
    if kind == "best":
        return rest, None
    name, _, number = rest.rpartition("/")
    if not name or not number.isdecimal():
        raise InputError(f"trial:{rest}: write trial:STUDY/NUMBER, such as trial:{rest}/17")
    return name, int(number)


def find_data(pattern: Pattern, request: Request) -> Data:
    """The data of a request: what it names, else the study's or the space's usual.

    Raises:
        InputError: none is named where one is needed, or a study was made on other data.
    """
    name = request.data or pattern.data
    if name is None:
        said = f" ({pattern.data_name!r} in the study)" if pattern.data_name else ""
        raise InputError(
            f"{pattern.name}: name the data{said} with --data: "
            f"{', '.join(SOURCES)}, a folder of images by class, or an .npz file"
        )
    seed = pattern.split_seed if request.split_seed is None else request.split_seed
    side = min(pattern.skeleton.input_shape[1:])
    data = load_data(name, request.data_dir, seed, side)
    if pattern.fingerprint not in (None, data.fingerprint) and not request.other_data:
        raise InputError(
            f"the data {data.name!r}, split {data.split_seed} (fingerprint {data.fingerprint}) is "
            f"not what the study was made on: {pattern.data_name!r}, split {pattern.split_seed} "
            f"({pattern.fingerprint}); --other-data trains on it nevertheless"
        )
    return data


def long_proxy(pattern: Pattern, request: Request, device: str) -> Proxy:
    """The training that a request asks for, with its precision resolved for a kind of device."""
    base = pattern.proxy
    asked = {
        "batch": request.batch,
        "learning_rate": request.learning_rate,
        "augment": request.augment,
        "precision": request.precision or "auto",  # a study's is that of its device
    }
    calibration = max(CALIBRATION_IMAGES, base.calibration_images)
    proxy = replace(
        base,
        epochs=request.epochs,
        images=request.images,
        validation_images=None,
        resolution=request.resolution,
        calibration_images=calibration if base.calibration_images else 0,
        **{key: value for key, value in asked.items() if value is not None},  # type: ignore[arg-type]
    )
    return proxy.resolved(device)


def folder_of(pattern: Pattern, data: Data, digest: str) -> Path:
    """Where a training goes that no folder was named for."""
    slug = pattern.slug if pattern.fingerprint else f"{pattern.slug}-{data.name}"
    return FOLDER / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', slug)}-{digest}"

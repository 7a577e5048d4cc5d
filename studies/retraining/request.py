"""What a long training of a pattern is asked to be: its data, its settings, its folder."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.data.dataset import Data
from nas.data.fitting import check_task
from nas.data.load import SOURCES, load_data
from nas.errors import InputError
from nas.proxy import Proxy
from nas.tasks.table import find_task
from search_spaces import load_plugins
from studies.retraining.pattern import Pattern, find_pattern
from studies.search.spaces import plugins_of
from studies.store.url import STORAGE

if TYPE_CHECKING:
    from nas.retraining.settings import RetrainSettings

EPOCHS = 30
CALIBRATION_IMAGES = 1024
"""Over which batch norm's statistics are taken before a score, unless the pattern's own is 0."""
FOLDER = Path("trained")


@dataclass(frozen=True)
class TrainRequest:
    """What `nas train` can be asked; every field is an option of it. None is the pattern's own."""

    pattern: str | None = None
    space: str | None = None
    baseline: str | None = None
    layers: int | None = None
    """To which the pattern is stretched; None leaves it."""
    storage: str = STORAGE
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
    settings: RetrainSettings
    folder: Path


def prepare(request: TrainRequest) -> Order:
    """Finds the pattern and its data, and decides all that the training depends on.

    Raises:
        InputError: something in the request is wrong; nothing is written then.
    """
    from nas.devices.device import device_kind, find_device
    from nas.retraining.settings import RetrainSettings
    from nas.training.batches import prepare as prepare_part
    from nas.training.precision import resolved

    for name in ("seed", "split_seed"):
        if (getattr(request, name) or 0) < 0:
            raise InputError(f"--{name.replace('_', '-')} {getattr(request, name)}: at least 0")
    loaded = load_plugins(request.plugins) | plugins_of(request.space)
    plugins = {path.name: digest for path, digest in loaded.items()}
    pattern = find_pattern(
        request.pattern, request.space, request.baseline, request.storage, plugins, request.layers
    )
    device = find_device(request.device)
    proxy = long_proxy(pattern, request)
    data, task = find_data(pattern, request), find_task(proxy.task)
    check_task(task, data)
    shape = tuple(prepare_part(data, proxy, "validation", device).images.shape[1:])
    skeleton = pattern.skeleton.for_training(proxy, shape, len(data.classes))
    settings = RetrainSettings(
        pattern.genome.pattern, skeleton, resolved(proxy, skeleton, device), data,
        device_kind(device, skeleton.widths), request.seed,
        request.patience, request.threads, plugins,
    )  # fmt: skip
    return Order(pattern, settings, request.out or folder_of(pattern, data, settings.digest))


def find_data(pattern: Pattern, request: TrainRequest) -> Data:
    """The data of a request: what it names, else the study's or the space's usual.

    Raises:
        InputError: none is named where one is needed, or a study was made on other data.
    """
    name = request.data or pattern.data
    if name is None:
        said = f" ({pattern.data_name!r} in the study)" if pattern.data_name else ""
        raise InputError(
            f"{pattern.name}: name the data{said} with --data: "
            f"{', '.join(SOURCES)}, a folder of pictures, an .npz or a .txt file"
        )
    seed = pattern.split_seed if request.split_seed is None else request.split_seed
    side = pattern.skeleton.side
    task = find_task(pattern.proxy.task)
    data = load_data(name, request.data_dir or pattern.data_dir, seed, side, task)
    if pattern.fingerprint not in (None, data.fingerprint) and not request.other_data:
        raise InputError(
            f"the data {data.name!r}, split {data.split_seed} (fingerprint {data.fingerprint}) is "
            f"not what the study was made on: {pattern.data_name!r}, split {pattern.split_seed} "
            f"({pattern.fingerprint}); --other-data trains on it nevertheless"
        )
    return data


def long_proxy(pattern: Pattern, request: TrainRequest) -> Proxy:
    """The training that a request asks for."""
    base = pattern.proxy
    asked = {
        "batch": request.batch,
        "learning_rate": request.learning_rate or pattern.genome.learning_rate,
        "augment": request.augment,
        "precision": request.precision or "auto",  # a study's is that of its device
    }
    calibration = max(CALIBRATION_IMAGES, base.calibration_images)
    return replace(
        base,
        epochs=request.epochs,
        images=request.images,
        validation_images=None,
        resolution=request.resolution,
        calibration_images=calibration if base.calibration_images else 0,
        **{key: value for key, value in asked.items() if value is not None},  # type: ignore[arg-type]
    )


def folder_of(pattern: Pattern, data: Data, digest: str) -> Path:
    """Where a training goes that no folder was named for."""
    slug = pattern.slug if pattern.fingerprint else f"{pattern.slug}-{data.name}"
    return FOLDER / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', slug)}-{digest}"

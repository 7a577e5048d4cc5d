"""The long training of one pattern: a checkpoint after every epoch, the best weights, one test score.

All of it lies in a folder: `checkpoint.safetensors` while it goes on; at the end
`network.safetensors` (for `load_network`), `network.json` and `training.json`; the curves as
`curves.csv` and `curves.png`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from nas.devices.device import find_device, on_device, one_thread, reproducible
from nas.devices.memory import out_of_memory
from nas.drawing.figure import save as save_picture
from nas.errors import InputError
from nas.files.safe import read_limited, write_text
from nas.files.settings import differences, finite
from nas.network.compile import compile_network
from nas.network.network import Network
from nas.proxy import Proxy
from nas.retraining.checkpoint import (
    CHECKPOINT,
    Checkpoint,
    check_fits,
    read_checkpoint,
    read_curves,
)
from nas.retraining.curves_figure import curves_figure, curves_table
from nas.retraining.settings import RetrainSettings, chosen
from nas.saving.classifier import Card
from nas.saving.network_file import WEIGHTS, save_network
from nas.saving.uses import usable
from nas.tasks.table import find_task
from nas.tasks.task import Task
from nas.training.batches import prepare
from nas.training.curves import Curves, TrainingProgress
from nas.training.lockstep import train
from nas.training.scoring import accuracy

RESULT = "training.json"
RESULT_BYTES = 64 << 20
"""Of the longest record that is read."""
NO_MEMORY = "the training does not fit into memory; a smaller --batch needs less"


class TrainingWatcher:
    """Who watches a long training; every method may be overridden."""

    def started(self, settings: RetrainSettings, folder: Path, curves: Curves, steps: int) -> None:
        """`curves` has the epochs that were trained before, `steps` is the number in an epoch."""

    def step(self, done: int) -> None:
        """After `done` steps, those of all epochs together."""

    def epoch(self, curves: Curves) -> None:
        """After an epoch and its checkpoint."""


@dataclass(frozen=True)
class Fitted:
    """How a long training ended."""

    folder: Path
    settings: Mapping[str, Any]
    """The record."""
    curves: Curves
    chosen: int
    """Epoch from 1 whose weights were kept; 0 where the training diverged."""
    test: float | None
    """Test score of those weights, where larger is better, taken once; None where the training diverged."""
    test_images: int
    seconds: float
    before: bool = False
    """Whether it had ended before this call."""

    @property
    def task(self) -> Task:
        return find_task(self.settings["training"].get("task", Proxy.task))

    @property
    def validation(self) -> float | None:
        """Validation score of the kept weights, where larger is better."""
        return self.curves.accuracies[self.chosen - 1] if self.chosen else None

    @property
    def weights(self) -> Path:
        return self.folder / WEIGHTS


def fit(
    settings: RetrainSettings,
    folder: Path,
    device: str = "auto",
    watch: TrainingWatcher | None = None,
    origin: Mapping[str, Any] | None = None,
) -> Fitted:
    """Trains to the end; goes on where an earlier call stopped, with the same result to the bit.

    The weights of the epoch with the best validation score are kept (of equals the last), and
    scored once on the test images. A training that has ended is not repeated.

    Args:
        folder: made where it does not exist.
        origin: where the pattern came from, for the record.

    Raises:
        InputError: the folder is another training's (with the settings that differ), in use, or
            cannot be written; or the training does not fit into memory.
    """
    watch, record = watch or TrainingWatcher(), settings.record()
    with _held(folder):
        ended = read_fitted(folder)
        checkpoint = None if ended else read_checkpoint(folder)
        earlier = ended or checkpoint
        if earlier:
            differing = sorted(differences(earlier.settings, record))
            if differing:
                raise InputError(
                    f"{folder} holds a training with other settings: {'; '.join(differing)}; "
                    "--out names another folder"
                )
        elif (folder / WEIGHTS).exists():
            raise InputError(
                f"{folder / WEIGHTS} exists, and is not of a training that ended here; "
                "--out names another folder"
            )
        return ended or _fit(settings, folder, device, checkpoint, watch, origin or {})


def _fit(
    settings: RetrainSettings,
    folder: Path,
    device: str,
    checkpoint: Checkpoint | None,
    watch: TrainingWatcher,
    origin: Mapping[str, Any],
) -> Fitted:
    where, data, proxy = find_device(device), settings.data, settings.proxy
    clock = time.perf_counter() - (checkpoint.seconds if checkpoint else 0)
    best = checkpoint.best if checkpoint else {}
    start = checkpoint.progress if checkpoint else None
    curves = start.curves if start else Curves()

    with (
        on_device(where), _threads(where, settings.threads), reproducible(where, True),
        out_of_memory() as problem,
    ):  # fmt: skip
        network = compile_network(settings.genome, settings.skeleton, settings.seed)
        network = network.to(where).to(memory_format=torch.channels_last)
        if checkpoint:
            check_fits(checkpoint, network, folder)
            network.load_state_dict(checkpoint.network)
        images = len(prepare(data, proxy, "train", where).labels)
        watch.started(settings, folder, curves, images // min(proxy.batch, images))

        def keep(progress: TrainingProgress) -> None:
            nonlocal best, curves
            curves = progress.curves
            if chosen(curves) == len(curves.losses):
                best = {name: t.detach().cpu().clone() for name, t in network.state_dict().items()}
            spent = time.perf_counter() - clock
            Checkpoint(settings.record(), network.state_dict(), best, progress, spent).write(folder)
            write_text(folder / "curves.csv", curves_table(curves, find_task(proxy.task)))
            watch.epoch(curves)

        if not settings.over(curves):
            curves = train(
                network, data, proxy, settings.seed, where,
                on_epoch=lambda epoch, accuracy: settings.over(curves),
                start=start, on_progress=keep, tick=watch.step,
            )  # fmt: skip
        curves = replace(curves, stopped=not curves.diverged and len(curves.losses) < proxy.epochs)
        kept, test, scored = 0, None, 0
        if not curves.diverged:
            network.load_state_dict(best)
            scoring = prepare(data, proxy, "test", where)
            kept, scored = chosen(curves), len(scoring.labels)
            test = accuracy(network, scoring, proxy)
    if problem:
        raise InputError(NO_MEMORY)
    seconds = time.perf_counter() - clock
    fitted = Fitted(folder, settings.record(), curves, kept, test, scored, seconds)
    _write(fitted, network, settings, where, origin)
    return fitted


def _write(
    fitted: Fitted,
    network: Network,
    settings: RetrainSettings,
    where: torch.device,
    origin: Mapping[str, Any],
) -> None:
    """Writes what a training ends with; `training.json`, which says that it has, as the last."""
    folder, curves, task = fitted.folder, fitted.curves, fitted.task
    result = {
        "origin": dict(origin),
        "settings": fitted.settings,
        "epochs": len(curves.losses),
        "stopped_early": curves.stopped,
        "chosen_epoch": fitted.chosen,
        f"validation_{task.score}": task.signed(fitted.validation),
        f"test_{task.score}": task.signed(fitted.test),
        "test_images": fitted.test_images,
    }
    if fitted.chosen:
        part = prepare(settings.data, settings.proxy, "train", where)
        channels = len(part.images[0]) if part.images.ndim == 4 else 0
        mean, std = (
            tuple(t.flatten().expand(channels).tolist()) if channels else ()
            for t in (part.mean, part.std)
        )
        names = settings.data.classes if task.labels else ()
        card = Card(
            mean, std, names, dict(settings.plugins), result,
            preprocessing=settings.data.preprocessing, task=task.name,
        )  # fmt: skip
        network = network.to("cpu").to(memory_format=torch.contiguous_format)
        save_network(usable(network, card), folder)
    write_text(folder / "curves.csv", curves_table(curves, task))
    save_picture(curves_figure(curves, fitted.chosen, fitted.test, task), folder / "curves.png")
    result |= {"seconds": round(fitted.seconds, 3), "curves": asdict(curves)}
    write_text(folder / RESULT, json.dumps(finite(result), indent=2) + "\n")
    (folder / CHECKPOINT).unlink(missing_ok=True)


def read_fitted(folder: Path) -> Fitted | None:
    """How the folder's training ended, or None where it has not.

    Raises:
        InputError: the record cannot be read.
    """
    path = folder / RESULT
    if not path.exists():
        return None
    try:
        result = json.loads(read_limited(path, RESULT_BYTES))
        task = find_task(result["settings"]["training"].get("task", Proxy.task))
        test, epoch = result[f"test_{task.score}"], int(result["chosen_epoch"])
        curves = read_curves(result["curves"])
        if not 0 <= epoch <= len(curves.accuracies):
            raise ValueError
        return Fitted(
            folder, dict(result["settings"]), curves, epoch,
            None if test is None else task.sign * float(test), int(result["test_images"]),
            float(result["seconds"]), before=True,
        )  # fmt: skip
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ):
        raise InputError(f"{path}: not a record that nas train wrote") from None


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Makes the folder and keeps other processes out of it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"{folder}: another process trains in this folder") from None
    except OSError as error:
        raise InputError(f"--out {folder}: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _threads(device: torch.device, count: int) -> Iterator[None]:
    with one_thread(device):
        if device.type == "cpu":
            torch.set_num_threads(count)
        yield

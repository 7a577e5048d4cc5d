"""Networks for other programs: Python, ONNX and torch.export, each checked in a fresh process.

All take what the network in `uses` does, in batches of any size: pictures as float32 from 0 to 255,
whose normalisation is part of the program, or symbols as int64. They return logits, or maps.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path

import numpy as np
import torch
from torch.export import Dim

from nas.devices.device import one_thread
from nas.errors import InputError
from nas.files.safe import replacing, write_text
from nas.files.tensors import read_tensors
from nas.saving.classifier import Trained
from nas.saving.network_file import HEADER, readable, save_network, write_weights
from nas.saving.source.families import source_of

BATCHES = (1, 7)
"""Sizes of the batches that a written program is checked with."""
TOLERANCE = 2e-5
"""Largest difference of logits, times their largest magnitude; of rounding 2e-6 was seen."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Format:
    """A kind of file that a network is exported as."""

    suffix: str
    write: Callable[[Trained, Path, str], object]
    """(network, file, name of the weights' file beside it)."""
    packages: tuple[str, ...] = ()
    """What has to be installed besides; the extra of the format's name brings it."""


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how far its logits are from the network's."""

    format: str
    path: Path
    difference: float
    """Largest, over all pictures and logits."""
    tolerance: float

    @property
    def equal(self) -> bool:
        return self.difference <= self.tolerance  # not so for nan


def available(name: str) -> bool:
    """Whether what a format needs is installed."""
    return all(find_spec(package) for package in FORMATS[name].packages)


def check_available(name: str) -> None:
    """Raises InputError where it is not."""
    if not available(name):
        needed = " ".join(FORMATS[name].packages)
        raise InputError(f"--format {name}: pip install {needed}")


def export(
    classifier: Trained, name: str, folder: Path, stem: str = "network",
    plugins: Sequence[Path] = (),
) -> Exported:  # fmt: skip
    """Writes one file and compares its logits in a fresh process with the network's.

    A file whose logits differ does not stay. One that is there already is replaced, but never
    other weights or another module of Python. That has its weights beside it.

    Args:
        classifier: on the CPU, in evaluation mode.
        name: a name in FORMATS.
        plugins: files that the fresh process loads first.

    Raises:
        InputError: what the format needs is not installed, the place cannot be written or has
            other weights, or the fresh process cannot read the file.
    """
    form, weights = FORMATS[name], folder / f"{stem}.safetensors"
    path = folder / f"{module_name(stem) if name == 'python' else stem}{form.suffix}"
    check_available(name)
    if name in ("safetensors", "python") and weights.exists():
        _check_same(classifier, weights)
        if name == "safetensors":
            return _compared(classifier, name, path, path, plugins)
    with replacing(path) as temporary:
        with _quiet(), _exporter_errors(name):
            form.write(classifier, temporary, weights.name)
        if name == "python":
            if path.exists() and path.read_bytes() != temporary.read_bytes():
                raise InputError(f"{path}: holds something else; --out names another folder")
            if not weights.exists():
                save_network(classifier, weights)
        result = _compared(classifier, name, temporary, path, plugins)
    if not result.equal:
        path.unlink()
    elif name == "safetensors":
        write_text(path.with_suffix(".json"), readable(classifier.document()))
    return result


def module_name(stem: str) -> str:
    """A file's name as one that Python can import."""
    plain = re.sub(r"\W", "_", stem)
    return plain if plain.isidentifier() and not iskeyword(plain) else f"network_{plain}"


def _write_weights(classifier: Trained, path: Path, weights: str) -> None:
    write_weights(classifier, path)


def _write_source(classifier: Trained, path: Path, weights: str) -> None:
    path.write_text(source_of(classifier, weights), encoding="utf-8")


def _write_program(classifier: Trained, path: Path, weights: str) -> None:
    example, shapes = _example(classifier)
    with torch.no_grad():
        program = torch.export.export(classifier, example, dynamic_shapes=shapes)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # where on this machine the source lies
    document = json.dumps(classifier.document())
    torch.export.save(program, path, extra_files={f"{HEADER}.json": document})


def _write_onnx(classifier: Trained, path: Path, weights: str) -> None:
    example, shapes = _example(classifier)
    program = torch.onnx.export(
        classifier, example, input_names=[classifier.takes], output_names=[classifier.gives], dynamo=True,
        dynamic_shapes=shapes, verbose=False,
    )  # fmt: skip
    assert program is not None
    for node in program.model.graph:
        node.metadata_props.clear()  # where on this machine the source lies
    program.model.metadata_props[HEADER] = json.dumps(classifier.document())
    program.save(path)


FORMATS: dict[str, Format] = {
    "safetensors": Format(".safetensors", _write_weights),
    "python": Format(".py", _write_source),
    "onnx": Format(".onnx", _write_onnx, ("onnx", "onnxscript", "onnxruntime")),
    "torch-export": Format(".pt2", _write_program),
}


def _example(classifier: Trained) -> tuple[tuple[torch.Tensor], dict[str, dict[int, Dim]]]:
    """Inputs to trace with, and which of their dimensions may be any: the batch."""
    inputs = torch.from_numpy(classifier.example(np.random.default_rng(0), 2))
    return (torch.zeros_like(inputs),), {classifier.takes: {0: Dim("batch", min=1)}}


def _check_same(classifier: Trained, path: Path) -> None:
    """Raises InputError unless the file holds this network."""
    document, tensors = read_tensors(path, HEADER)
    own = classifier.network.state_dict()
    same = json.dumps(document) == json.dumps(classifier.document())
    if (
        not same
        or tensors.keys() != own.keys()
        or any(not torch.equal(tensors[name], own[name]) for name in own)
    ):
        raise InputError(f"{path}: holds another network; --out names another folder")


def example_pictures(classifier: Trained) -> list[np.ndarray]:
    """Batches of random pictures, or symbols, always the same."""
    rng = np.random.default_rng(0)
    return [classifier.example(rng, n) for n in BATCHES]


def _compared(
    classifier: Trained, name: str, written: Path, path: Path, plugins: Sequence[Path]
) -> Exported:
    pictures = example_pictures(classifier)
    with one_thread(CPU), torch.inference_mode():
        own = [classifier(torch.from_numpy(batch)).numpy() for batch in pictures]
    fresh = fresh_logits(name, written, pictures, plugins)
    difference = max(float(np.abs(a - b).max()) for a, b in zip(own, fresh, strict=True))
    largest = max(float(np.abs(batch).max()) for batch in own)
    return Exported(name, path, difference, TOLERANCE * largest)


def fresh_logits(
    name: str, path: Path, pictures: Sequence[np.ndarray], plugins: Sequence[Path] = ()
) -> list[np.ndarray]:
    """What a file's network says of batches of pictures, in a new process.

    Raises:
        InputError: the process failed; with the last line that it wrote.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder) / "pictures.npz", Path(folder) / "logits.npz"
        np.savez(given, *pictures)
        names = [str(file.resolve()) for file in (path, given, answer, *plugins)]
        command = [sys.executable, "-P", "-m", "nas.saving.fresh_process", name, *names]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            last = (ended.stderr.strip() or "it was killed").splitlines()[-1]
            raise InputError(f"{path}: cannot be used in a fresh process: {last}")
        with np.load(answer) as file:
            return [file[key] for key in file.files]


@contextmanager
def _exporter_errors(name: str) -> Iterator[None]:
    """Turns what PyTorch's exporters raise, in classes of many kinds, into one line."""
    try:
        yield
    except (InputError, OSError):
        raise
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"--format {name}: PyTorch cannot export this network: {first}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps back what PyTorch's exporters say of their own inner workings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

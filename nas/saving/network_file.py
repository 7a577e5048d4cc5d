"""Trained networks as files: safetensors for the weights, JSON in the header for all else.

Nothing is unpickled, so a file from anywhere can be read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.architecture.genome import Genome
from nas.architecture.merges import MERGES
from nas.architecture.plan import plan
from nas.architecture.skeletons.blocks import BLOCKS, STEMS
from nas.architecture.skeletons.families import read_skeleton
from nas.errors import InputError, brief
from nas.files.safe import write_text
from nas.files.settings import from_mapping
from nas.files.tensors import check_weights, read_tensors, write_tensors
from nas.network.network import Network
from nas.plugins import check_unchanged, load_plugin
from nas.saving.classifier import FORMAT, Card, Trained
from nas.saving.uses import Usable, usable

WEIGHTS = "network.safetensors"
"""The file's name in a folder."""
HEADER = "skipnas"
"""Key of the JSON in a safetensors header."""


def save_network(network: Network | Trained, path: str | Path) -> Path:
    """Writes weights, genome, skeleton and card to a safetensors file, or to one in a folder.

    Beside it a `.json` of the same name repeats what the header says. A plain `Network` is saved
    as one whose pictures are normalised already.

    Raises:
        InputError: the place cannot be written.
    """
    path = Path(path)
    path = path / WEIGHTS if path.is_dir() else path
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: the file's name ends in .safetensors")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}")
    document = write_weights(network, path)
    write_text(path.with_suffix(".json"), readable(document))
    return path


def readable(document: Mapping[str, Any]) -> str:
    """A header as the text of a file beside it."""
    return json.dumps(document, indent=2) + "\n"


def write_weights(network: Network | Trained, path: Path) -> dict[str, Any]:
    """Writes the safetensors file alone; returns what its header says."""
    trained = network if isinstance(network, Trained) else usable(network)
    document = trained.document()
    write_tensors(path, trained.network.state_dict(), HEADER, document)
    return document


def load_network(path: str | Path, plugins: Iterable[str | Path] = ()) -> Usable:
    """Reads what `save_network`, `nas train` or `nas export` wrote; in evaluation mode, on the CPU.

    A network that was trained for classes is a `Classifier`; what others are `nas.saving.uses` says.

    Args:
        path: a safetensors file, or a folder with one.
        plugins: Python files with the merges and blocks of its own that the network needs.

    Raises:
        InputError: no such file, not a safetensors file, no genome or no skeleton in it, weights
            that do not fit them, or a plugin that is missing or has changed.
    """
    file = find_weights(Path(path))
    given = {Path(plugin).name: load_plugin(plugin) for plugin in plugins}
    document, tensors = read_tensors(file, HEADER)
    if document is None:
        raise InputError(
            f"{file}: holds no genome: it is not a file that nas train or nas export wrote"
        )
    try:
        return _built(document, tensors, given)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def find_weights(path: Path) -> Path:
    """The safetensors file of a path: itself, or the one in a folder.

    Raises:
        InputError: there is none.
    """
    if path.is_dir():
        if (path / WEIGHTS).exists():
            return path / WEIGHTS
        if (path / "checkpoint.safetensors").exists():
            raise InputError(f"{path}: its training has not ended; the same nas train goes on")
        found = [p for p in path.glob("*.safetensors") if not p.name.startswith(".")]
        if len(found) != 1:
            several = f"{len(found)} .safetensors files; name one"
            raise InputError(
                f"{path}: {several if found else 'no .safetensors file in this folder'}"
            )
        return found[0]
    if not path.exists():
        raise InputError(f"{path}: there is no such file; nas train writes {WEIGHTS}")
    return path


def _built(document: Any, tensors: Mapping[str, Tensor], given: Mapping[str, str]) -> Usable:
    """The network of a header and weights."""
    if not isinstance(document, dict) or not isinstance(document.get("genome"), str):
        raise InputError("holds no genome")
    if document.get("format") != FORMAT:
        raise InputError(f"has format {brief(document.get('format'))}; this version reads {FORMAT}")
    if not isinstance(document.get("skeleton"), dict):
        raise InputError("holds a genome, but no skeleton, which says widths, blocks and classes")
    known = {name: document[name] for name in Card.__dataclass_fields__ if name in document}
    card = from_mapping(Card, known, "header")
    for name, digest in card.plugins.items():
        if name in given:
            check_unchanged(name, digest, given[name], "this network")
    _check_parts(document["genome"], document["skeleton"], card.plugins)
    genome = Genome.parse(document["genome"])
    skeleton = read_skeleton(document["skeleton"])
    with torch.device("meta"):  # no memory before the weights are known to fit
        network = Network(plan(genome, skeleton), genome, skeleton)
    check_weights(network, tensors)
    network.load_state_dict(dict(tensors), assign=True)
    return usable(network, card).eval()


def _check_parts(genome: str, skeleton: Mapping[str, Any], plugins: Mapping[str, str]) -> None:
    """Names the plugin where a merge, block or stem is not known."""
    merges = dict.fromkeys(re.findall(r"([A-Za-z_][\w-]*)\(", genome))
    missing = [f"merge {name!r}" for name in merges if name not in MERGES]
    tables: dict[str, Container[object]] = {"block": BLOCKS, "stem": STEMS}
    for kind, table in tables.items():
        if isinstance(name := skeleton.get(kind), str) and name not in table:
            missing.append(f"{kind} {name!r}")
    if missing:
        files = f" ({', '.join(plugins)})" if plugins else ""
        raise InputError(
            f"needs the {', '.join(missing)} of a plugin{files} that is not loaded: name it with "
            "--plugin, or as load_network(path, plugins=[…])"
        )

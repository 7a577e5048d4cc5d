"""Trained networks as files: safetensors for the weights, JSON in the header for all else.

Nothing is unpickled, so a file from anywhere can be read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.architecture.blocks import BLOCKS, STEMS
from nas.architecture.genome import Genome
from nas.architecture.merges import MERGES
from nas.architecture.plan import plan
from nas.architecture.skeletons.convolutional import Skeleton
from nas.devices.machine import check_bytes
from nas.errors import InputError, brief
from nas.files.safe import replacing, write_text
from nas.files.settings import from_mapping
from nas.network.network import Network
from nas.plugins import load_plugin

WEIGHTS = "network.safetensors"
"""The file's name in a folder."""
HEADER = "skipnas"
"""Key of the JSON in a safetensors header; one key, so that equal networks are equal files."""
FORMAT = 1


@dataclass(frozen=True)
class Card:
    """What is known of a network beside genome, skeleton and weights.

    Raises:
        InputError: numbers that do not fit each other.
    """

    mean: tuple[float, ...]
    """Per channel, of pictures from 0 to 255."""
    std: tuple[float, ...]
    classes: tuple[str, ...]
    """Names, in the order of the logits."""
    plugins: Mapping[str, str] = field(default_factory=dict)
    """Hash by file name of the plugins that were loaded."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """How the weights came about, and what they scored; empty for initial weights."""
    versions: Mapping[str, str] = field(default_factory=dict)

    def check(self, skeleton: Skeleton) -> None:
        """Raises InputError if it is not of a network with this skeleton."""
        channels = skeleton.input_shape[0]
        for name in ("mean", "std"):
            if len(getattr(self, name)) != channels:
                raise InputError(f"{name} has {len(getattr(self, name))} values, not {channels}")
        if not all(0 < value < float("inf") for value in self.std):
            raise InputError(f"std is {list(self.std)}; numbers above 0 are needed")
        if len(self.classes) != skeleton.classes:
            raise InputError(f"{len(self.classes)} names for {skeleton.classes} classes")


class Classifier(nn.Module):
    """A network that takes pictures as they are: it normalises them itself.

    Pictures (N, C, H, W) from 0 to 255, bytes or floating point -> logits (N, classes). (C, H, W)
    is the skeleton's input shape: pictures that the training shrank have to be shrunk before.

    Raises:
        InputError: the card is of another network.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: Network, card: Card | None = None) -> None:
        super().__init__()
        skeleton = network.skeleton
        if card is None:  # pictures are normalised already
            channels, names = skeleton.input_shape[0], map(str, range(skeleton.classes))
            card = Card((0.0,) * channels, (1.0,) * channels, tuple(names))
        card.check(skeleton)
        self.network, self.card = network, card
        for name in ("mean", "std"):
            values = torch.tensor(getattr(card, name), dtype=torch.float32)
            self.register_buffer(name, values.view(1, -1, 1, 1))

    @property
    def genome(self) -> Genome:
        return self.network.genome

    @property
    def skeleton(self) -> Skeleton:
        return self.network.skeleton

    def forward(self, pictures: Tensor) -> Tensor:
        channels, height, width = self.skeleton.input_shape
        if pictures.ndim != 4 or pictures.shape[1] != channels:
            raise InputError(
                f"pictures must be (N, {channels}, {height}, {width}) from 0 to 255, "
                f"not {tuple(pictures.shape)}"
            )
        return self.network((pictures.to(self.mean.dtype) - self.mean) / self.std)

    def document(self) -> dict[str, Any]:
        """All but the weights, as JSON values."""
        own = {name: version(name) for name in ("skipnas", "torch")}
        return {
            "format": FORMAT,
            "genome": str(self.genome),
            "layers": json.loads(self.genome.to_json())["layers"],
            "skeleton": asdict(self.skeleton),
            **asdict(self.card),
            "versions": dict(self.card.versions) or own,
        }


def save_network(network: Network | Classifier, path: str | Path) -> Path:
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


def write_weights(network: Network | Classifier, path: Path) -> dict[str, Any]:
    """Writes the safetensors file alone; returns what its header says."""
    from safetensors.torch import save

    classifier = network if isinstance(network, Classifier) else Classifier(network)
    document = classifier.document()
    tensors = {name: t.detach().cpu() for name, t in classifier.network.state_dict().items()}
    with replacing(path) as temporary:
        header = {HEADER: json.dumps(document)}
        temporary.write_bytes(save({k: t.contiguous() for k, t in tensors.items()}, header))
    return document


def load_network(path: str | Path, plugins: Iterable[str | Path] = ()) -> Classifier:
    """Reads what `save_network`, `nas train` or `nas export` wrote; in evaluation mode, on the CPU.

    Args:
        path: a safetensors file, or a folder with one.
        plugins: Python files with the merges and blocks of its own that the network needs.

    Raises:
        InputError: no such file, not a safetensors file, no genome or no skeleton in it, weights
            that do not fit them, or a plugin that is missing or has changed.
    """
    file = find_weights(Path(path))
    given = {Path(plugin).name: load_plugin(plugin) for plugin in plugins}
    header, tensors = read_safetensors(file)
    try:
        document = json.loads(header[HEADER])
    except (KeyError, ValueError, RecursionError):
        raise InputError(
            f"{file}: holds no genome: it is not a file that nas train or nas export wrote"
        ) from None
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


def read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """A file's header and tensors.

    Raises:
        InputError: it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        check_bytes("the file", path.stat().st_size)
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            # copies, for sums over tensors that lie aligned in memory, as a network's own do
            return file.metadata() or {}, {name: file.get_tensor(name).clone() for name in names}
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (OSError, SafetensorError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from None


def check_plugins(recorded: Mapping[str, str], given: Mapping[str, str], whose: str) -> None:
    """Raises InputError if a recorded plugin (hash by file name) is not given, or has changed."""
    for name, digest in recorded.items():
        if name not in given:
            raise InputError(f"{whose} needs the plugin {name}: name the file with --plugin")
        _check_unchanged(name, digest, given[name], whose)


def _check_unchanged(name: str, recorded: str, given: str, whose: str) -> None:
    if recorded != given:
        raise InputError(
            f"--plugin {name}: it has changed (hash {given}); {whose} was made with {recorded}"
        )


def _built(document: Any, tensors: Mapping[str, Tensor], given: Mapping[str, str]) -> Classifier:
    """The classifier of a header and weights."""
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
            _check_unchanged(name, digest, given[name], "this network")
    _check_parts(document["genome"], document["skeleton"], card.plugins)
    genome = Genome.parse(document["genome"])
    skeleton = from_mapping(Skeleton, document["skeleton"], "skeleton")
    with torch.device("meta"):  # no memory before the weights are known to fit
        network = Network(plan(genome, skeleton), genome, skeleton)
    check_weights(network, tensors)
    network.load_state_dict(dict(tensors), assign=True)
    return Classifier(network, card).eval()


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


def check_weights(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Raises InputError unless names, shapes and kinds of numbers are the network's."""
    wanted = network.state_dict()
    problems = [f"{brief(name)[1:-1]} is missing" for name in wanted if name not in tensors]
    problems += [
        f"{brief(name)[1:-1]} is not of this network" for name in tensors if name not in wanted
    ]
    for name in (name for name in wanted if name in tensors):
        expected, found = wanted[name], tensors[name]
        if expected.shape != found.shape:
            problems.append(f"{name} has shape {(*found.shape,)}, not {(*expected.shape,)}")
        elif (expected.is_floating_point(), False) != (
            found.is_floating_point(),
            found.is_complex(),
        ):
            problems.append(f"{name} is {found.dtype}, not {expected.dtype}")
    if problems:
        more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise InputError(f"the weights do not fit the genome: {'; '.join(problems[:3])}{more}")

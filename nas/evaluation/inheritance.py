"""Weight inheritance: a child starts from its first parent's trained weights.

After Real et al. 2017, "Large-Scale Evolution of Image Classifiers" (weights are kept where shapes
match). An evaluation is then a function of the whole chain of ancestors. Trained weights are kept
in files, which are a cache only: what is missing, damaged or of another chain is trained again,
with the same result.
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.architecture.genome import Genome
from nas.errors import InputError
from nas.evaluation.result import Inherited
from nas.files.tensors import read_tensors, write_tensors

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nas.evaluation.result import Evaluation

    Weights = Mapping[str, Tensor]

HEADER = "skipnas-weights"
"""Key of the JSON in a safetensors header."""
LEFT_SECONDS = 3600.0
"""A half-written file that is as old has been left."""


@dataclass(frozen=True)
class Ancestor:
    """A trial and its genome."""

    number: int
    genome: Genome


Lineage = Sequence[Ancestor]
"""First parents, the eldest first: that one was trained from scratch."""


def inherit(network: nn.Module, weights: Weights) -> Inherited:
    """Copies every tensor whose name and shape agree; all else stays as initialised."""
    own = network.state_dict()
    shared = [n for n, t in own.items() if n in weights and weights[n].shape == t.shape]
    for name in shared:
        own[name].copy_(weights[name])
    sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}
    taken = sum(sizes.get(name, 0) for name in shared)
    return Inherited(len(shared), taken / sum(sizes.values()))


@dataclass(frozen=True)
class WeightFolder:
    """Trained weights by trial number; those used last stay."""

    path: Path
    origin: str
    """Whatever decides a training beside the genomes: files of another origin are not read."""
    limit: int
    """Files that are kept."""

    def prepare(self) -> None:
        """Makes the folder.

        Raises:
            InputError: it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--inherit: {self.path}: {error.strerror or error}") from None
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise InputError(f"--inherit: the folder {self.path} cannot be written")

    def tidy(self) -> None:
        """Removes what killed processes left; what is new may be another's, who writes it."""
        for left in self.path.glob(".*.part*.safetensors"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > LEFT_SECONDS:
                    left.unlink()

    def read(self, lineage: Lineage) -> dict[str, Tensor] | None:
        """The weights of the last of a lineage; None where the file is not what is expected."""
        path = self._file(lineage)
        try:
            document, tensors = read_tensors(path, HEADER)
        except InputError:
            return None
        if document != self._document(lineage, tensors):
            return None
        with suppress(OSError):
            os.utime(path)
        return tensors

    def write(self, lineage: Lineage, weights: Weights) -> None:
        """Keeps the weights of the last of a lineage, as far as the disk lets it."""
        document = self._document(lineage, weights)
        with suppress(InputError, OSError):
            self.path.mkdir(parents=True, exist_ok=True)
            # several workers, also of other machines, may train the same ancestor again
            mark = f"-{uuid.uuid4().hex}"
            write_tensors(self._file(lineage), weights, HEADER, document, mark)
            self._trim()

    def _trim(self) -> None:
        files = [path for path in self.path.glob("*.safetensors") if path.name[0] != "."]
        by_use = sorted((path.stat().st_mtime_ns, path) for path in files)
        for _, path in by_use[: -self.limit]:
            path.unlink(missing_ok=True)

    def _file(self, lineage: Lineage) -> Path:
        return self.path / f"{lineage[-1].number}.safetensors"

    def _document(self, lineage: Lineage, weights: Weights) -> dict[str, str]:
        """What the weights are of, and a hash of them."""
        import torch

        chain = "\n".join([self.origin, *(one.genome.key for one in lineage)])
        content = hashlib.blake2b(digest_size=16)
        for name in sorted(weights):
            tensor = weights[name]
            content.update(f"{name} {tensor.dtype} {(*tensor.shape,)}".encode())
            content.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
        of = hashlib.blake2b(chain.encode(), digest_size=16).hexdigest()
        return {"of": of, "content": content.hexdigest()}


def evaluate_heir(
    lineage: Lineage,
    folder: WeightFolder,
    evaluate_last: Callable[..., Evaluation],
    train: Callable[..., Evaluation],
) -> Evaluation:
    """Evaluates the last of a lineage, from the weights of the one before, and keeps its weights.

    Args:
        evaluate_last: its evaluation, but for `start` and `keep`.
        train: an ancestor's, of a genome, but for `start` and `keep`.

    Raises:
        RuntimeError: an ancestor has to be trained again and cannot be.
    """
    start = _weights_of(lineage[:-1], folder, train)
    return evaluate_last(start=start, keep=lambda net: folder.write(lineage, _tensors(net)))


def _weights_of(
    lineage: Lineage, folder: WeightFolder, train: Callable[..., Evaluation]
) -> Weights | None:
    """The weights of the last of a lineage: from files, or by training what has none again."""
    known, weights = len(lineage), None
    while known and (weights := folder.read(lineage[:known])) is None:
        known -= 1
    for end in range(known + 1, len(lineage) + 1):
        weights = _trained(lineage[end - 1], weights, train)
        folder.write(lineage[:end], weights)
    return weights


def _trained(
    one: Ancestor, start: Weights | None, train: Callable[..., Evaluation]
) -> dict[str, Tensor]:
    kept: dict[str, Tensor] = {}
    evaluation = train(one.genome, start=start, keep=lambda net: kept.update(_tensors(net)))
    if not kept:
        raise RuntimeError(
            f"trial {one.number}, an ancestor, cannot be trained again: {evaluation.why}"
        )
    return kept


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    """As they lie in files: on the CPU, in order."""
    return {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}

"""What a long training is asked to do, and when it is over."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from nas.architecture.genome import Genome
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.data.dataset import Data
from nas.errors import InputError
from nas.proxy import Proxy
from nas.training.curves import Curves
from nas.training.version import TRAINER_VERSION

MOST_THREADS = 4096


@dataclass(frozen=True)
class RetrainSettings:
    """All that decides the weights of a long training."""

    genome: Genome
    skeleton: AnySkeleton
    """With the shape of the pictures as the network gets them."""
    proxy: Proxy
    """With its precision resolved."""
    data: Data
    device: Mapping[str, str]
    """Kind of device."""
    seed: int = 0
    patience: int | None = None
    """Epochs without a better validation accuracy after which it ends; None trains to the end."""
    threads: int = 1
    """On a CPU."""
    plugins: Mapping[str, str] = field(default_factory=dict)
    """Hash by file name."""

    def __post_init__(self) -> None:
        if self.threads > MOST_THREADS:
            raise InputError(f"threads is {self.threads}; it must be at most {MOST_THREADS}")
        for name in ("patience", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; it must be at least 1")

    def record(self) -> dict[str, Any]:
        """As nested JSON values, compared when a training goes on."""
        data, training = self.data, self.proxy.record()
        values = {
            "genome": str(self.genome),
            "skeleton": asdict(self.skeleton),
            "training": training,
            "data": {
                "name": data.name,
                "fingerprint": data.fingerprint,
                "split_seed": data.split_seed,
            },
            "seed": self.seed,
            "patience": self.patience,
            "threads": self.threads,
            "plugins": dict(self.plugins),
            "trainer": TRAINER_VERSION,
            "device": dict(self.device),
        }
        return json.loads(json.dumps(values))

    @property
    def digest(self) -> str:
        """Six letters that follow from the settings, the kind of device left out."""
        record = {key: value for key, value in self.record().items() if key != "device"}
        text = json.dumps(record, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=3).hexdigest()

    def over(self, curves: Curves) -> bool:
        """Whether a training with these curves is at its end."""
        scores, epochs = curves.accuracies, len(curves.accuracies)
        if self.patience and scores and epochs - scores.index(max(scores)) > self.patience:
            return True
        return epochs >= self.proxy.epochs


def chosen(curves: Curves) -> int:
    """The epoch (from 1) with the best validation accuracy; of equals the last."""
    scores = curves.accuracies
    return max(range(len(scores)), key=lambda index: (scores[index], index)) + 1

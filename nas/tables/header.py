"""What a table's trainings have in common: the space, the two trainings, the data, the machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nas.architecture.space import SearchSpace
from nas.files.settings import check_keys, differences, from_mapping
from nas.proxy import Proxy
from nas.tasks.table import find_task
from nas.training.version import TRAINER_VERSION

FORMAT = 1
"""Version of the file."""


@dataclass(frozen=True)
class Header:
    """A table's settings; what decides results is recorded as studies record it."""

    name: str
    space: SearchSpace
    """Fitted to the data, its proxy resolved for the device."""
    longer: Proxy
    """The second training, of some patterns."""
    data: Mapping[str, Any]
    """Name, fingerprint and split seed."""
    images: tuple[int, int]
    """Validation and test examples that a score is over."""
    seeds: tuple[int, ...]
    """Those from which every pattern is trained by the proxy."""
    device: Mapping[str, str]
    """Kind of device."""
    fast: bool = False
    trainer: int = TRAINER_VERSION
    format: int = FORMAT

    @property
    def proxies(self) -> tuple[Proxy, Proxy]:
        """Of the two trainings."""
        return self.space.proxy, self.longer

    @property
    def counted(self) -> bool:
        """Whether scores are shares of the examples, and so are kept as whole numbers."""
        return find_task(self.space.proxy.task).outputs == "classes"

    def record(self) -> dict[str, Any]:
        """As nested JSON values."""
        space = asdict(self.space)
        del space["final"]
        space |= {"data": Path(self.space.data).name, "proxy": self.space.proxy.record()}
        values = asdict(self) | {"space": space, "longer": self.longer.record()}
        return json.loads(json.dumps(values))

    @classmethod
    def of(cls, record: Mapping[str, Any], place: str) -> Header:
        """From its record.

        Raises:
            InputError: it is no such record, or needs what is not here, such as a plugin's merge.
        """
        check_keys(record, list(cls.__dataclass_fields__), place)
        return from_mapping(cls, record, place)

    def differences(self, other: Header) -> Iterator[str]:
        """Where the settings of another table of the same trainings differ, the seeds left out."""
        mine, its = (one.record() | {"seeds": None, "name": None} for one in (self, other))
        return differences(mine, its)

"""A table's file: a header and small arrays in an `.npz` file, with a checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.data.npz import read_npz
from nas.errors import InputError
from nas.files.safe import replacing
from nas.tables.header import FORMAT, Header
from nas.tables.rows import NAMES, Rows

FIDELITIES = ("proxy", "longer")
HEADER, CHECKSUM, OWN = "header", "checksum", ("numbers", "params", "macs")
ARRAYS = (HEADER, CHECKSUM, *OWN, *(f"{f}/{name}" for f in FIDELITIES for name in NAMES))


@dataclass(frozen=True)
class Contents:
    """All that a table holds."""

    header: Header
    numbers: np.ndarray
    """(P,), of all patterns, rising."""
    params: np.ndarray
    macs: np.ndarray
    trainings: tuple[Rows, Rows]
    """By the proxy, and by the longer training."""
    checksum: str = ""
    """Of the file that it was read from."""

    def write(self, path: Path) -> None:
        """Replaces a file.

        Raises:
            InputError: it cannot be written.
        """
        header = self.header
        examples = header.images if header.counted else None
        arrays = {name: getattr(self, name) for name in OWN}
        for fidelity, rows in zip(FIDELITIES, self.trainings, strict=True):
            packed = rows.packed(examples)
            arrays |= {f"{fidelity}/{name}": packed[name] for name in NAMES}
        arrays[HEADER] = np.frombuffer(json.dumps(header.record()).encode(), np.uint8)
        arrays[CHECKSUM] = np.frombuffer(_checksum(arrays), np.uint8)
        with replacing(path) as temporary:
            np.savez_compressed(temporary, allow_pickle=False, **arrays)  # type: ignore[arg-type]

    @classmethod
    def read(cls, path: Path) -> Contents:
        """From a file.

        Raises:
            InputError: it cannot be read, is no table, is damaged, or is of another version.
        """
        arrays = read_npz(path, [ARRAYS], len(ARRAYS))
        if arrays is None:
            raise InputError(f"{path}: is no table of trainings; nas table build makes one")
        if arrays[CHECKSUM].tobytes() != _checksum(arrays):
            raise InputError(f"{path}: is damaged, its checksum is another; build or copy it again")
        record = json.loads(arrays[HEADER].tobytes())
        if record.get("format") != FORMAT:
            raise InputError(
                f"{path}: is a table of version {record.get('format')}; {FORMAT} is read here"
            )
        header = Header.of(record, str(path))
        examples = header.images if header.counted else None
        both = []
        for fidelity, proxy in zip(FIDELITIES, header.proxies, strict=True):
            columns = {name: arrays[f"{fidelity}/{name}"] for name in NAMES}
            both.append(Rows.unpacked(columns, examples, proxy.epochs))
        numbers, params, macs = (arrays[name].astype(np.int64) for name in OWN)
        checksum = arrays[CHECKSUM].tobytes().hex()
        return cls(header, numbers, params, macs, (both[0], both[1]), checksum)


def _checksum(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Of all arrays, with their names, types and shapes."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(set(arrays) - {CHECKSUM}):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.digest()

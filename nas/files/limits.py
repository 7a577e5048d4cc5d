"""What may be read into memory: no more than there is."""

from __future__ import annotations

import os
from pathlib import Path

from nas.errors import InputError

GIB = 1 << 30
MOST_BYTES = 32 * GIB
"""Of images or weights, on any machine."""


def check_bytes(what: str, needed: int) -> None:
    """Raises InputError for more bytes than half of the memory that is free."""
    most = min(MOST_BYTES, free_bytes() // 2)
    if needed > most:
        raise InputError(
            f"{what}: needs {needed / GIB:.1f} GiB of memory; at most {most / GIB:.1f} GiB are taken"
        )


def free_bytes() -> int:
    """Memory that is free on this machine."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.errors import InputError


@contextmanager
def replacing(path: Path, mark: str = "") -> Iterator[Path]:
    """A path beside `path`, with its ending, that takes its place when the block ends well.

    Whoever reads `path` finds the old content or the new, also after a process was killed; what
    that leaves is replaced the next time.

    Args:
        mark: keeps writers of the same file apart.

    Raises:
        InputError: the place cannot be written.
    """
    temporary = path.with_name(f".{path.stem}.part{mark}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replaces a text file.

    Raises:
        InputError: it cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")

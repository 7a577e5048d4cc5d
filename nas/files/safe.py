"""Files that are written whole or not at all, and read only where they are not too long."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
        temporary.unlink(missing_ok=True)  # a link there would lead out of the folder
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def read_limited(path: Path, most: int) -> bytes:
    """The content of a file of at most `most` bytes; of a longer one no more than that is read.

    Raises:
        InputError: it cannot be read, or is longer.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > most:
        raise InputError(f"{path}: is longer than the {most:,} bytes that such a file may have")
    return content


def write_text(path: Path, text: str) -> None:
    """Replaces a text file.

    Raises:
        InputError: it cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")

"""Texts: their characters as symbols, in sequences that do not overlap, and stretches for the parts."""

from __future__ import annotations

import gzip
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nas.data.dataset import Raw
from nas.errors import InputError, brief
from nas.files.limits import check_bytes

SEQUENCE = 128
"""Symbols of a sequence, where none are asked for."""
MOST_SYMBOLS = 256
FEWEST = 2
"""Sequences of a part."""
SHIPPED = Path(__file__).parent / "texts"


def load_shakespeare(where: Path) -> str:
    """Nine plays, 1.1 million characters of 76 symbols; texts/README.md tells where they come from."""
    return gzip.decompress((SHIPPED / "shakespeare.txt.gz").read_bytes()).decode()


def texts_of(path: Path) -> list[Path]:
    """The `.txt` files that lie directly in a folder, but for hidden ones, sorted by name; none where it
    cannot be read."""
    try:
        names = sorted(os.listdir(path))
    except OSError:
        return []
    return [path / n for n in names if n.lower().endswith(".txt") and not n.startswith(".")]


def read_texts(path: Path, files: Sequence[Path]) -> str:
    """Text files in UTF-8, joined with a newline; lines end in `\\n`, however they did.

    Args:
        path: what the user named: the file, or their folder.

    Raises:
        InputError: one cannot be read, or is no such text.
    """
    try:
        check_bytes(f"{path}", 8 * sum(file.stat().st_size for file in files))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    return "\n".join(map(_read, files))


def _read(path: Path) -> str:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise InputError(f"{path}: not a readable text (not a file)")
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {error.start} is no UTF-8 ({error.reason}); a text in UTF-8 is needed"
        ) from None


def encoded(text: str, symbols: Sequence[str]) -> np.ndarray:
    """The indices of a text's characters among sorted symbols, int64 (S,).

    Raises:
        InputError: a character that is none of them.
    """
    strange = sorted({*text} - {*symbols})
    if strange:
        raise InputError(
            f"character {brief(strange[0])} is none of the {len(symbols)} symbols: "
            f"{brief(''.join(symbols))}"
        )
    points, known = (
        np.frombuffer("".join(some).encode("utf-32-le"), "<u4") for some in (text, symbols)
    )
    return np.searchsorted(known, points).astype(np.int64)


def cut(name: str, text: str, side: int | None) -> Raw:
    """Sequences of a text with the next symbols, images and labels uint8 (N, T).

    The first 80 % of the text train, the next 10 % validate, the last 10 % test: neighbouring
    sequences are alike, so parts are stretches, and the same for every seed. Labels of a part do not
    reach into the next.

    Args:
        side: T, symbols of a sequence; 128 by default.

    Raises:
        InputError: fewer than two different characters, more than 256, or too few of all.
    """
    length, counts = side or SEQUENCE, Counter(text)
    if len(counts) > MOST_SYMBOLS:
        rarest = ", ".join(f"{c!r} ({n})" for c, n in counts.most_common()[:-6:-1])
        raise InputError(
            f"{name}: {len(counts)} different characters, and at most {MOST_SYMBOLS} are learnt as "
            f"symbols: replace or remove the rarest, of which the first are {rarest}"
        )
    if len(counts) < 2:
        raise InputError(f"{name}: {len(counts)} different characters; at least 2 are needed")
    symbols = tuple(sorted(counts))
    whole = encoded(text, symbols).astype(np.uint8)
    first, second = len(whole) * 8 // 10, len(whole) * 9 // 10
    parts = []
    for stretch in (whole[:first], whole[first:second], whole[second:]):
        count = (len(stretch) - 1) // length
        if count < FEWEST:
            raise InputError(
                f"{name}: a text of {len(whole):,} characters is too short for sequences of {length}, "
                f"of which a tenth of it has to hold {FEWEST}: some "
                f"{10 * (FEWEST * length + 1):,} are needed, or shorter sequences"
            )
        parts += [stretch[i : i + count * length].reshape(count, length) for i in (0, 1)]
    images, labels, validation, validation_labels, test, test_labels = parts
    return Raw(images, labels, symbols, test, test_labels, validation, validation_labels)

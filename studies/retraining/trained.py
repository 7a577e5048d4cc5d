"""Which of the long trainings in a folder is of a pattern."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import InputError
from studies.retraining.pattern import Pattern
from studies.retraining.request import FOLDER

if TYPE_CHECKING:
    from nas.retraining.retrain import Fitted

OF_THE_DATA = ("input_shape", "classes")
"""Fields of a skeleton that a training takes from its data."""


def trained_weights(asked: str, pattern: Pattern, folder: Path = FOLDER) -> Path:
    """The weights of a study's pattern; of several trainings the one with the best validation score.

    Args:
        asked: what named the pattern, for the message.

    Raises:
        InputError: none of the trainings in the folder is of this pattern and its data.
    """
    from nas.retraining.retrain import RESULT, read_fitted

    found: list[tuple[float, Path]] = []
    for result in sorted(folder.glob(f"*/{RESULT}")):
        with suppress(InputError):
            fitted = read_fitted(result.parent)
            if fitted and fitted.validation and _is_of(fitted, pattern) and fitted.weights.exists():
                found.append((fitted.validation, fitted.weights))
    if not found:
        raise InputError(
            f"{asked}: {folder}/ holds no training of {pattern.name}: nas train {asked} makes one; "
            "of one in another folder, name the folder"
        )
    return max(found)[1]


def _is_of(fitted: Fitted, pattern: Pattern) -> bool:
    """Whether a training is of a pattern, and of its data."""
    settings = fitted.settings
    return (
        settings["genome"] == str(pattern.genome.pattern)
        and settings["data"]["fingerprint"] == pattern.fingerprint
        and _fixed(settings["skeleton"]) == _fixed(asdict(pattern.skeleton))
    )


def _fixed(skeleton: Mapping[str, Any]) -> Any:
    """A skeleton's record without what follows from the data."""
    return json.loads(json.dumps({k: v for k, v in skeleton.items() if k not in OF_THE_DATA}))

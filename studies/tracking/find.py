"""Finding trackers by what the user wrote: `mlflow`, `tensorboard`, or `my_file.py:MyTracker`."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Sequence

from nas.errors import InputError, one_line, unknown
from studies.tracking.tracker import Tracker


def _mlflow() -> Tracker:
    from studies.tracking.mlflow_tracker import MlflowTracker

    return MlflowTracker()


def _tensorboard() -> Tracker:
    from studies.tracking.tensorboard_tracker import TensorBoardTracker

    return TensorBoardTracker()


TRACKERS: dict[str, Callable[[], Tracker]] = {"mlflow": _mlflow, "tensorboard": _tensorboard}
"""What makes a tracker, by name."""


def find_trackers(names: Sequence[str]) -> list[Tracker]:
    """The trackers of these names.

    Raises:
        InputError: an unknown name, a package that is not installed, or a file without the class.
    """
    return [_find(name) for name in dict.fromkeys(names)]


def _find(name: str) -> Tracker:
    path, colon, kind = name.rpartition(":")
    if not (colon and path.endswith(".py")):
        if name not in TRACKERS:
            raise unknown("tracker", name, [*TRACKERS, "FILE.py:CLASS"], place="--track")
        return TRACKERS[name]()
    try:
        made = runpy.run_path(path).get(kind)
        tracker = made() if isinstance(made, type) else None
    except Exception as error:  # whatever a user's own file raises
        said = one_line(f"{type(error).__name__}: {error}")
        raise InputError(f"--track {name}: {said}") from error
    if not isinstance(tracker, Tracker):
        raise InputError(
            f"--track {name}: {kind} is to be a class over studies.tracking.tracker.Tracker"
        )
    return tracker

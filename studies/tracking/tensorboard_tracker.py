"""TensorBoard: a search's scores by trial and every trial's curve, a training's values by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import InputError
from studies.report.write import file_name
from studies.tracking.tracker import End, Finished, Run, Tracker

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = Path("runs")
"""Where logs of searches go, in a folder of the study's name; TensorBoard's own default."""


class TensorBoardTracker(Tracker):
    """What was told before is written anew, so that nothing is there twice.

    Raises:
        InputError: TensorBoard is not installed.
    """

    def __init__(self) -> None:
        try:
            import torch.utils.tensorboard  # noqa: F401
        except ImportError:
            raise InputError("--track tensorboard: pip install tensorboard") from None

    def started(self, run: Run) -> None:
        self.search, self.score = run.kind == "search", run.score
        self.folder = FOLDER / file_name(run.name)
        if run.folder is not None:
            self.folder = run.folder / "tensorboard"
        self.board = self._writer(self.folder)
        if self.search:
            lines = "\n".join(f"    {name}: {value}" for name, value in run.settings.items())
            self.board.add_text("settings", lines)
        for trial in run.trials:
            self.trial(trial)

    def trial(self, trial: Finished) -> None:
        for name, score in trial.scores.items():
            self.board.add_scalar(f"trials/{name}", score, trial.number)
        role = f" ({trial.role})" if trial.role else ""
        self.board.add_text("patterns", f"`{trial.notation}`{role}", trial.number)
        curve = self._writer(self.folder / f"trial-{trial.number:05}")
        for epoch, score in enumerate(trial.curve, 1):
            curve.add_scalar(f"{self.score}/validation", score, epoch)
        curve.close()
        self.board.flush()

    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.board.add_scalar(name, value, epoch)
        self.board.flush()

    def ended(self, end: End) -> None:
        for name, score in end.scores.items():
            self.board.add_scalar(f"end/{name}", score, 0)
        self.board.add_text("end", f"{end.status}: {end.sentence}")
        picture = end.artefacts.get("picture")
        if picture is not None and self.search:
            from matplotlib.image import imread

            self.board.add_image("best pattern", imread(picture), dataformats="HWC")
        self.board.close()

    def _writer(self, folder: Path) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(folder), purge_step=0)

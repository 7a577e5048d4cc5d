"""A long training in TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import InputError
from nas.retraining.retrain import TrainingWatcher
from nas.retraining.settings import RetrainSettings
from nas.training.curves import Curves
from nas.training.optimizer import learning_rate

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardWatcher(TrainingWatcher):
    """Writes TensorBoard logs beside another watch; what was trained before is written anew."""

    def __init__(self, watch: TrainingWatcher) -> None:
        check_board()
        self.watch = watch

    def started(self, settings: RetrainSettings, folder: Path, curves: Curves, steps: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.settings, self.steps = settings, steps
        self.writer: SummaryWriter = SummaryWriter(str(folder / "tensorboard"), purge_step=0)
        for epoch in range(1, len(curves.losses) + 1):
            self._write(curves, epoch)
        self.watch.started(settings, folder, curves, steps)

    def step(self, done: int) -> None:
        self.watch.step(done)

    def epoch(self, curves: Curves) -> None:
        self._write(curves, len(curves.losses))
        self.watch.epoch(curves)

    def _write(self, curves: Curves, epoch: int) -> None:
        proxy, steps = self.settings.proxy, self.steps
        first, last = curves.gradients[epoch - 1]
        values = {
            "loss/training": curves.losses[epoch - 1],
            "accuracy/validation": curves.accuracies[epoch - 1],
            "learning rate": learning_rate(proxy, epoch * steps - 1, proxy.epochs * steps),
            "gradient norm/first layer": first,
            "gradient norm/last layer": last,
        }
        for name, value in values.items():
            self.writer.add_scalar(name, value, epoch)
        self.writer.flush()


def check_board() -> None:
    """Raises InputError where TensorBoard is not installed."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        raise InputError("--tensorboard: pip install tensorboard") from None

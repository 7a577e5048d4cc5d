"""What tests of long trainings share, which loads torch: who stops one, and a card."""

from nas.retraining.retrain import TrainingWatcher
from nas.saving.classifier import Card

CARD = Card((70.5,), (81.25,), tuple("0123456789"), training={"epochs": 3})


class CrashError(Exception):
    """What ends a training in a test."""


class Stopping(TrainingWatcher):
    """Ends a training as a crash would: after so many epochs, or steps."""

    def __init__(self, epochs=None, steps=None):
        self.epochs, self.steps, self.began = epochs, steps, None

    def started(self, settings, folder, curves, steps):
        self.began = len(curves.losses)

    def step(self, done):
        if done == self.steps:
            raise CrashError

    def epoch(self, curves):
        if len(curves.losses) == self.epochs:
            raise CrashError

"""Classification: one label an input."""

from __future__ import annotations

from nas.tasks.task import Task


class Classification(Task):
    """Cross-entropy; scored by the share of inputs whose largest logit is the label's."""

    def loss(self, outputs, targets, smoothing=0.0):
        from torch.nn import functional as F

        return F.cross_entropy(outputs.float(), targets, label_smoothing=smoothing)

    def measure(self, outputs, targets):
        from torch.nn import functional as F

        right = (outputs.argmax(1) == targets).sum()
        missed = F.cross_entropy(outputs.double(), targets, reduction="sum")
        return right.double()[None], missed

    def result(self, sums, examples):
        return sums[0] / examples


CLASSIFICATION = Classification(
    "classification", "accuracy", "accuracy", "max", "%", "classes", "classes"
)

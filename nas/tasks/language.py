"""Language modelling: the next symbol of a text, after each of its symbols."""

from __future__ import annotations

from math import log

from nas.tasks.task import Task


class Language(Task):
    """Cross-entropy of the next symbol; scored in bits a character (Graves 2013, section 3.1)."""

    def loss(self, outputs, targets, smoothing=0.0):
        from torch.nn import functional as F

        logits = outputs.flatten(0, 1).float()
        return F.cross_entropy(logits, targets.flatten(), label_smoothing=smoothing)

    def measure(self, outputs, targets):
        from torch.nn import functional as F

        logits = outputs.flatten(0, 1).float()
        nats = F.cross_entropy(logits, targets.flatten(), reduction="none").double().sum()
        missed = nats / targets.shape[1]
        return missed[None], missed

    def result(self, sums, examples):
        return sums[0] / examples / log(2)


LANGUAGE = Language(
    "language", "bpc", "bits per character", "min", "", "symbols", "symbols", worst=-16.0,
    counts=True,
)  # fmt: skip
"""A training that diverged counts as one that gives every symbol a probability of 2⁻¹⁶."""

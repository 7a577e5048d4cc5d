"""Segmentation: a class for every pixel."""

from __future__ import annotations

from nas.tasks.task import Task

NOT_JUDGED = 255
"""In a mask, a pixel of no class, as in PASCAL VOC's."""


class Segmentation(Task):
    """Cross-entropy over pixels; scored by the mean over classes of intersection over union (mean IoU of
    Everingham et al. 2010), each counted over all pixels of the part."""

    def loss(self, outputs, targets, smoothing=0.0):
        from torch.nn import functional as F

        return F.cross_entropy(
            _flat(outputs), targets.flatten(), ignore_index=NOT_JUDGED, label_smoothing=smoothing
        )

    def measure(self, outputs, targets):
        import torch
        from torch.nn import functional as F

        classes, judged = outputs.shape[1], targets != NOT_JUDGED
        missed = F.cross_entropy(
            _flat(outputs), targets.flatten(), ignore_index=NOT_JUDGED, reduction="none"
        ).view(targets.shape)
        pixels = judged.flatten(1).sum(1).clamp(min=1)
        pairs = torch.where(judged, targets * classes + outputs.argmax(1), classes**2).flatten()
        counts = torch.zeros(classes**2 + 1, dtype=torch.int64, device=pairs.device)
        counts.scatter_add_(0, pairs, torch.ones_like(pairs))  # what a CUDA graph can hold
        both = counts[:-1].view(classes, classes)
        intersections = both.diagonal()
        unions = both.sum(0) + both.sum(1) - intersections
        sums = torch.cat([intersections, unions]).double()
        return sums, (missed.double().flatten(1).sum(1) / pixels).sum()

    def result(self, sums, examples):
        half = len(sums) // 2
        shares = [i / u for i, u in zip(sums[:half], sums[half:], strict=True) if u]
        return sum(shares) / len(shares) if shares else 0.0


def _flat(outputs):
    """(N, C, H, W) -> (N·H·W, C): on a GPU the loss of maps has no deterministic gradient."""
    return outputs.float().movedim(1, -1).flatten(0, -2)


SEGMENTATION = Segmentation(
    "segmentation", "miou", "mean IoU", "max", "", "map", "masks"
)  # fmt: skip

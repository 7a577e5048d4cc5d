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
            outputs.float(), targets, ignore_index=NOT_JUDGED, label_smoothing=smoothing
        )

    def measure(self, outputs, targets):
        import torch
        from torch.nn import functional as F

        classes, judged = outputs.shape[1], targets != NOT_JUDGED
        missed = F.cross_entropy(
            outputs.float(), targets, ignore_index=NOT_JUDGED, reduction="none"
        )
        pixels = judged.flatten(1).sum(1).clamp(min=1)
        said, true = outputs.argmax(1)[judged], targets[judged]
        both = torch.bincount(true * classes + said, minlength=classes**2).view(classes, classes)
        intersections = both.diagonal()
        unions = both.sum(0) + both.sum(1) - intersections
        sums = torch.cat([intersections, unions]).double()
        return sums, (missed.double().flatten(1).sum(1) / pixels).sum()

    def result(self, sums, examples):
        half = len(sums) // 2
        shares = [i / u for i, u in zip(sums[:half], sums[half:], strict=True) if u]
        return sum(shares) / len(shares)


SEGMENTATION = Segmentation(
    "segmentation", "miou", "mean IoU", "max", "", "map", "masks"
)  # fmt: skip

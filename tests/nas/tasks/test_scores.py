"""Losses and scores of tasks by their formulas, and what a training reports of them."""

import math

import numpy as np
import pytest
import torch

from nas import Genome, InputError, Proxy, evaluate, load_data
from nas.architecture.skeletons.transformer import Transformer
from nas.tasks.restoration import SIGMA
from nas.tasks.segmentation import NOT_JUDGED
from nas.tasks.table import TASKS
from nas.tasks.task import FIELDS

RNG = torch.Generator().manual_seed(0)


def test_bits_per_character():
    logits, symbols = torch.randn(3, 4, 5, generator=RNG), torch.randint(0, 5, (3, 4))
    shares = logits.double().softmax(2).gather(2, symbols[..., None])
    sums, missed = TASKS["language"].measure(logits, symbols)
    expected = float(-shares.log2().mean())
    assert TASKS["language"].result(sums.tolist(), 3) == pytest.approx(expected, rel=1e-6)
    assert float(TASKS["language"].loss(logits, symbols)) == pytest.approx(
        float(missed) / 3, rel=1e-6
    )


def test_mean_iou_and_pixels_that_are_not_judged():
    task, classes = TASKS["segmentation"], 4
    logits = torch.randn(5, classes, 6, 7, generator=RNG)
    masks = torch.randint(0, 3, (5, 6, 7), generator=RNG)
    masks[:, 0] = NOT_JUDGED
    said, judged = logits.argmax(1).numpy(), masks.numpy() != NOT_JUDGED
    shares = []
    for value in range(classes):
        a, b = (said == value) & judged, (masks.numpy() == value) & judged
        if (a | b).any():
            shares.append((a & b).sum() / (a | b).sum())
    sums, _ = task.measure(logits, masks)
    assert task.result(sums.tolist(), 5) == pytest.approx(np.mean(shares))
    plain = torch.nn.functional.cross_entropy(logits, masks, ignore_index=NOT_JUDGED)
    assert float(task.loss(logits, masks)) == pytest.approx(float(plain), rel=1e-6)
    nothing, _ = task.measure(logits, torch.full_like(masks, NOT_JUDGED))
    assert task.result(nothing.tolist(), 5) == 0


def test_psnr_of_spoilt_pictures():
    pictures, fields = torch.rand(64, 1, 8, 8, generator=RNG), torch.arange(64)
    for name in ("denoising", "inpainting"):
        task = TASKS[name]
        read, targets = task.example(pictures, torch.zeros(64), fields)
        wrong, counted = (read - pictures).square(), targets[:, -1:]
        means = wrong.flatten(1).sum(1) / counted.flatten(1).sum(1)
        sums, missed = task.measure(read, targets)
        expected = float((-10 * means.log10()).mean())
        assert task.result(sums.tolist(), 64) == pytest.approx(expected, rel=1e-5)
        assert float(missed) == pytest.approx(float(means.sum()), rel=1e-5)
        again, _ = task.example(pictures, torch.zeros(64), fields + 300)
        assert not torch.equal(read, again)
    holes = TASKS["inpainting"].example(pictures, torch.zeros(64), fields)[1][:, -1]
    assert (holes.flatten(1).sum(1) == 16).all()
    noisy, _ = TASKS["denoising"].example(torch.zeros(FIELDS, 1, 8, 8), None, torch.arange(FIELDS))
    assert float(noisy.std()) == pytest.approx(SIGMA, rel=0.01)


def test_a_training_reports_its_own_sign_and_diverges_to_the_worst():
    data, heard = load_data("shakespeare", side=8), []
    skeleton = Transformer((8,), len(data.classes), 1, 8, 2)
    proxy = Proxy(
        epochs=2, images=64, validation_images=32, batch=32, learning_rate=1e-3, task="language",
        optimizer="adamw",
    )  # fmt: skip
    found = evaluate(
        Genome.residual(2), skeleton, proxy, 0, data, "cpu",
        on_epoch=lambda epoch, score: heard.append(score),
    )  # fmt: skip
    assert heard == [-score for score in found.accuracies]
    assert found.scores == {"bpc": heard[-1]}
    assert 1 < heard[-1] < 10
    wild = Proxy(epochs=1, images=64, batch=32, learning_rate=1e30, task="language")
    lost = evaluate(Genome.residual(2), skeleton, wild, 0, data, "cpu")
    assert (lost.status, lost.accuracy, lost.scores) == ("diverged", -16.0, {})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task": "segmentation", "augment": "crop"}, "augment is not for task segmentation"),
        ({"task": "segmentation", "resolution": 8}, "resolution is not for task segmentation"),
        (
            {"task": "denoising", "label_smoothing": 0.1},
            "label_smoothing is not for task denoising",
        ),
        ({"optimizer": "adamw", "momentum": 1.0}, "first beta is below 1"),
        ({"task": "nothing"}, "unknown task 'nothing'"),
        ({"clip": math.inf}, "clip is inf"),
    ],
)
def test_what_does_not_go_together(change, said):
    with pytest.raises(InputError, match=said):
        Proxy(**change)

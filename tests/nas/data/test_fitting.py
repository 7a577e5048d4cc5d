"""Whether data fit a task, and what guessing gives: against closed forms and brute force."""

from math import log2, log10

import numpy as np
import pytest

from nas import InputError, load_data
from nas.data.dataset import Raw, make_data
from nas.data.description import description, sentences
from nas.data.fitting import check_task, guessing, usual_task
from nas.data.text import cut
from nas.tasks.table import TASKS

RNG = np.random.default_rng(0)


def masks():
    images = RNG.integers(0, 256, (12, 1, 6, 6), dtype=np.uint8)
    labels = RNG.choice([0, 0, 0, 1, 2, 255], (12, 6, 6))
    return make_data("shapes", Raw(images, labels, ("sky", "tree", "house")))


def text(content="to be, or not to be: that is the question. " * 30):
    return make_data("lines", cut("lines", content, 8))


def grey(value=51):
    images = np.full((40, 1, 8, 8), value, np.uint8)
    return make_data("grey", Raw(images, np.arange(40) % 2, ("a", "b")))


@pytest.mark.parametrize(
    ("data", "tasks"),
    [
        (grey, {"classification", "denoising", "inpainting"}),
        (masks, {"segmentation", "denoising", "inpainting"}),
        (text, {"language"}),
    ],
)
def test_which_tasks_data_fit(data, tasks):
    data = data()
    assert usual_task(data).name in tasks
    for name, task in TASKS.items():
        if name in tasks:
            check_task(task, data)
        else:
            with pytest.raises(InputError, match=f"task {name} needs .*; {data.name} is ") as error:
                check_task(task, data)
            assert all(other in str(error.value) for other in tasks)


def test_guessing_classes_is_the_share_of_the_most_frequent(digits):
    most = np.bincount(digits.labels[digits.train]).argmax()
    share = np.mean(digits.labels[digits.test] == most)
    assert guessing(TASKS["classification"], digits, "test") == share


def test_guessing_symbols_is_their_cross_entropy():
    data = text()
    counts = np.bincount(data.labels[data.train].ravel(), minlength=len(data.classes)) + 1
    bits = -np.log2(counts / counts.sum())
    expected = bits[data.labels[data.test]].mean()
    assert guessing(TASKS["language"], data, "test") == pytest.approx(expected, rel=1e-6)
    even = text("abcd" * 205)  # 8 · 80 symbols train, as many of each
    assert guessing(TASKS["language"], even, "validation") == pytest.approx(log2(4), abs=1e-2)


def test_guessing_masks_is_the_mean_over_classes():
    data = masks()
    true = data.labels[data.validation]
    true = true[true != 255]
    expected = np.mean([np.mean(true == 0), 0, 0])  # union of the first: every judged pixel
    assert guessing(TASKS["segmentation"], data, "validation") == pytest.approx(expected, rel=1e-12)


def test_spoilt_pictures_as_they_are():
    noisy = guessing(TASKS["denoising"], grey(), "test")
    assert noisy == pytest.approx(20 * log10(255 / 50), abs=0.5)
    black = guessing(TASKS["inpainting"], grey(51), "test")  # what is missing is 51 of 255
    assert black == pytest.approx(20 * log10(5), rel=1e-6)


def test_what_is_told_of_a_text():
    data = text()
    told = description(data)
    assert told["task"] == "language"
    assert sum(told["classes"].values()) == data.images.size
    assert told["guessing"]["test"] == guessing(TASKS["language"], data, "test")
    words = "\n".join(sentences(data))
    assert f"{len(data.images)} sequences of 8 characters" in words
    assert f"{told['guessing']['validation']:.2f} bits per character" in words


def test_what_is_told_of_masks():
    data = masks()
    told = description(data)
    counts = [int((data.labels == value).sum()) for value in range(3)]
    assert told["classes"] == dict(zip(("sky", "tree", "house"), counts, strict=True))
    words = "\n".join(sentences(data))
    assert f"sky {100 * counts[0] / data.labels.size:.1f} %" in words
    assert "that are not judged" in words
    assert f"mean IoU of {told['guessing']['validation']:.2f}" in words


def test_what_is_told_for_another_task_than_the_usual(digits):
    usual, other = description(digits), description(digits, TASKS["denoising"])
    assert "task" not in usual
    assert other.pop("task") == "denoising"
    assert other.pop("guessing") != usual.pop("guessing")
    assert other == usual
    assert sentences(digits, TASKS["denoising"])[:-1] == sentences(digits)[:-1]


def test_fingerprints_of_old_data_are_those_that_studies_recorded():
    assert load_data("digits").fingerprint == "27ed4bf8663ebf23"
    assert load_data("digits", split_seed=3).fingerprint == "cdcf03e8b87c4c9f"

"""Folders of pictures: split or not, of one size or many, and what is no classification."""

import re

import numpy as np
import pytest
from PIL import Image, ImageOps

from nas import InputError, load_data
from nas.data.description import description, sentences
from nas.data.fitting import check_task, usual_task
from nas.data.preprocessing import Preprocessing
from nas.tasks.table import TASKS


def write(folder, count=4, size=(8, 8), seed=0, mode="RGB"):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, *folder.name.encode()])
    for index in range(count):
        pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(folder / f"{index}.png")


@pytest.mark.parametrize(
    ("folders", "given"),
    [
        (("train", "val", "test"), ("validation", "test")),
        (("train", "val"), ("validation",)),
        (("Training", "testing"), ("test",)),
        (("train",), ()),
    ],
)
def test_parts_that_come_with_the_data_are_used_as_they_are(tmp_path, folders, given):
    counts = {}
    for folder in folders:
        for number, name in enumerate(("cat", "dog")):
            write(tmp_path / folder / name, 8 + 4 * number + len(folder), seed=len(folder))
        counts[folder.lower()[:2]] = 2 * (8 + len(folder)) + 4
    (tmp_path / ".cache" / "inner").mkdir(parents=True)
    data = load_data(str(tmp_path))
    assert data.classes == ("cat", "dog")
    assert data.given == given
    sizes = [len(data.part(part)) for part in ("train", "validation", "test")]
    assert sum(sizes) == len(data.images) == sum(counts.values())
    if "validation" in given:
        assert sizes[1] == counts["va"]
    if "test" in given:
        assert sizes[2] == counts["te"]
        first = np.asarray(Image.open(tmp_path / folders[-1] / "cat" / "0.png"))
        assert np.array_equal(data.images[data.test[0]], first.transpose(2, 0, 1))
    assert not {*data.train} & {*data.validation, *data.test}
    assert all(len(set(data.labels[data.part(part)])) == 2 for part in ("train", "validation"))


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("train/a", "train/b", "val/a", "val/c"), "val: class 'c' is not among"),
        (("train/a", "train/b", "val/a", "extra/a"), "but extra beside it"),
        (("train/a", "train/b", "val/a", "valid/a"), "two of them are the same part"),
        (("val/a", "val/b", "test/a", "test/b"), "there is no train among them"),
        (("train/a", "train/b", "val"), "val: there is no folder for a class"),
        (("val", "test"), "there is no train among them"),
        (("images", "masks", "more"), "pictures with their masks"),
    ],
)
def test_folders_that_are_neither_classes_nor_parts_are_refused(tmp_path, folders, message):
    for folder in folders:
        write(tmp_path / folder, 4)
    with pytest.raises(InputError, match=message):
        load_data(str(tmp_path))


def test_classes_may_have_a_parts_name(tmp_path):
    for name in ("train", "plane", "test"):
        write(tmp_path / name, 6)
    assert load_data(str(tmp_path)).classes == ("plane", "test", "train")


def is_without_classes(data, count):
    assert (data.classes, data.labelled, len(data.images)) == ((), "", count)
    assert usual_task(data) == TASKS["denoising"]
    parts = [set(data.part(part)) for part in ("train", "validation", "test")]
    assert set.union(*parts) == {*range(count)}
    assert sum(map(len, parts)) == count
    assert all(parts)
    return True


@pytest.mark.parametrize(
    ("layout", "given"),
    [
        ([("", 8)], ()),
        ([("all", 8)], ()),
        ([("2021/may", 4), ("2021/june", 4)], ()),
        ([("", 6), ("more", 2), ("__MACOSX", 3), (".thumbnails", 3)], ()),
        ([("train", 3), ("val", 2), ("test", 3)], ("validation", "test")),
        ([("train/a", 6), ("test", 2)], ("test",)),
    ],
)
def test_pictures_without_classes(tmp_path, layout, given):
    for folder, count in layout:
        write(tmp_path / folder, count, seed=len(folder))
    data = load_data(str(tmp_path))
    assert is_without_classes(data, 8)
    assert data.given == given
    shown = sorted(f for f in tmp_path.rglob("*.png") if f.parent.name[:1] not in ("_", "."))
    pictures = {np.asarray(Image.open(file)).transpose(2, 0, 1).tobytes() for file in shown}
    assert pictures == {image.tobytes() for image in data.images}
    again = load_data(str(tmp_path), split_seed=1)
    assert (again.fingerprint == data.fingerprint) == (len(given) == 2)
    told = description(data)
    assert (told["classes"], told["task"]) == ({}, "denoising")
    words = "\n".join(sentences(data))
    assert "8 images without classes" in words
    assert given == ("validation", "test") or "at random with seed 0" in words
    check_task(TASKS["inpainting"], data)
    with pytest.raises(InputError, match="is pictures without classes, which fits denoising and"):
        check_task(TASKS["classification"], data)


def test_folders_are_classes_where_they_can_be(tmp_path):
    for name, count in (("cat", 12), ("dog", 4)):
        write(tmp_path / name, count)
    plain, denoised = (
        load_data(str(tmp_path), task=TASKS[t]) for t in ("classification", "denoising")
    )
    assert plain.classes == ("cat", "dog")
    assert denoised.fingerprint == plain.fingerprint
    (tmp_path / "._0.png").touch()
    assert load_data(str(tmp_path), task=TASKS["denoising"]).fingerprint == plain.fingerprint
    (tmp_path / "dog" / "0.png").unlink()
    with pytest.raises(InputError, match="class 'dog' has 3 of 15 images"):
        load_data(str(tmp_path), task=TASKS["classification"])
    assert is_without_classes(load_data(str(tmp_path), task=TASKS["denoising"]), 15)
    write(tmp_path / "dog", 4)
    write(tmp_path, 2)
    assert load_data(str(tmp_path)).classes == ("cat", "dog")
    assert is_without_classes(load_data(str(tmp_path), task=TASKS["denoising"]), 18)


@pytest.mark.parametrize("count", [0, 3])
def test_too_few_pictures_without_classes(tmp_path, count):
    tmp_path.joinpath("more").mkdir()
    write(tmp_path / "all", count)
    with pytest.raises(InputError, match="no pictures in it" if not count else "at least 4"):
        load_data(str(tmp_path))


def test_masks_are_no_pictures(tmp_path):
    for name in ("images", "masks", "more"):
        write(tmp_path / name, 6)
    with pytest.raises(InputError, match="pictures with their masks"):
        load_data(str(tmp_path), task=TASKS["denoising"])


@pytest.fixture
def mixed(tmp_path):
    """Pictures of three sizes in two classes, of which one is more frequent."""
    for name, count in (("cat", 18), ("dog", 6)):
        for number, size in enumerate(((9, 14), (20, 12), (16, 16))):
            write(tmp_path / name / str(number), count // 3, size, number)
    return tmp_path


def test_what_is_told_of_pictures_of_many_sizes(mixed):
    data = load_data(str(mixed), side=8)
    told = description(data)
    assert told["classes"] == {"cat": 18, "dog": 6}
    assert told["parts"] == {"train": 12, "validation": 6, "test": 6}
    assert told["shape"] == [3, 8, 8]
    assert told["found"] == "3 sizes, from 9×14 to 16×16"
    for part in ("validation", "test"):
        assert told["guessing"][part] == np.mean(data.labels[data.part(part)] == 0)
    text = "\n".join(sentences(data))
    for fact in ("24 images of 2 classes: cat (18), dog (6)", "12 training, 6 validation and 6 test",
                 "3 sizes", "cut to a square about its centre, and scaled to 8×8"):  # fmt: skip
        assert fact in text


def test_a_picture_is_prepared_as_those_of_the_data(mixed):
    data = load_data(str(mixed), side=8)
    files = sorted(mixed.rglob("*.png"))
    for index, file in enumerate(files):
        assert np.array_equal(data.preprocessing(file), data.images[index])
    with Image.open(files[0]) as image:
        expected = np.asarray(ImageOps.fit(image.convert("RGB"), (8, 8))).transpose(2, 0, 1)
        for picture in (image, np.asarray(image), str(files[0])):
            assert np.array_equal(data.preprocessing(picture), expected)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((8, 9), np.uint8), "has 9×8 pixels; the network was trained on pictures of 8×8"),
        (np.zeros((8, 8), np.float32), "holds float32; bytes"),
        (np.zeros((8, 8, 2), np.uint8), "shape (8, 8, 2)"),
        (np.zeros((0, 8), np.uint8), "shape (0, 8)"),
        ("missing.png", "not a readable image"),
        (3, "not int"),
    ],
)
def test_pictures_that_the_training_would_not_have_had(picture, message):
    with pytest.raises(InputError, match=re.escape(message)):
        Preprocessing(1, 8, 8)(picture)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (1, 8, 8), (8, 8, 3), (3, 8, 8), (8, 8, 4)])
@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_in_every_order(shape, channels):
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    made = Preprocessing(channels, 8, 8)(array)
    assert made.shape == (channels, 8, 8)
    if channels == 3 and shape == (8, 8, 3):
        assert np.array_equal(made, array.transpose(2, 0, 1))
    if channels == 3 and shape == (3, 8, 8):
        assert np.array_equal(made, array)


def npz(path, **arrays):
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 6), dtype=np.uint8)
    np.savez(path / "a.npz", images=images, **arrays)
    return str(path / "a.npz")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.linspace(0, 1, 40), "are quantities"),
        (np.arange(40), "look like quantities"),
        (np.arange(40.0), "look like quantities"),
        (np.zeros((40, 6, 6, 3), np.uint8), "are images"),
        (np.eye(4)[np.arange(40) % 4], "labels.argmax(1)"),
        (np.r_[np.zeros(38), 1, 1], "class '1' has 2 of 40 images; at least 4"),
    ],
)
def test_labels_that_are_no_classes(tmp_path, labels, message):
    with pytest.raises(InputError, match=re.escape(message)) as error:
        load_data(npz(tmp_path, labels=labels))
    assert "\n" not in str(error.value)


def test_whole_numbers_as_floats_and_parts_of_an_npz(tmp_path):
    more = {
        "validation_images": np.zeros((6, 6, 6), np.uint8),
        "validation_labels": np.arange(6) % 4,
    }
    data = load_data(npz(tmp_path, labels=np.arange(40.0) % 4, **more))
    assert data.classes == ("0", "1", "2", "3")
    assert data.given == ("validation",)
    assert [len(data.part(p)) for p in ("train", "validation", "test")] == [30, 6, 10]
    assert not data.images[data.validation].any()

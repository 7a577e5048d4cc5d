"""Pictures with masks: folders, .npz files, composed canvases, and what does not fit."""

import re

import numpy as np
import pytest
from PIL import Image

from nas import InputError, load_data
from nas.data.dataset import Raw, make_data
from nas.data.images import load_digits


def write(folder, count=8, size=(8, 6), values=(0, 1, 2), mode="L"):
    """Pictures whose red channel is ten times the class of a pixel, with their masks."""
    rng = np.random.default_rng([count, *folder.name.encode()])
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        width, height = size
        mask = rng.choice(np.array(values, np.uint8), (height, width))
        mask.flat[: len(values)] = values
        picture = np.zeros((height, width, 3), np.uint8)
        picture[..., 0] = 10 * mask
        Image.fromarray(picture).save(folder / "images" / f"{index}.bmp")
        image = Image.fromarray(mask)
        if mode == "P":
            image.putpalette([*range(256)] * 3)
        image.save(folder / "masks" / f"{index}.png")


@pytest.mark.parametrize("mode", ["L", "P"])
def test_a_folder_of_pictures_and_masks(tmp_path, mode):
    write(tmp_path, mode=mode)
    data = load_data(str(tmp_path))
    assert data.kind == "pictures"
    assert data.labelled == "masks"
    assert data.classes == ("0", "1", "2")
    assert data.labels.dtype == np.uint8
    assert data.labels.shape == (8, 6, 8)
    assert np.array_equal(data.images[:, 0], 10 * data.labels)
    sizes = [len(data.part(part)) for part in ("train", "validation", "test")]
    assert sizes == [4, 2, 2]
    assert load_data(str(tmp_path), split_seed=1).fingerprint != data.fingerprint


def test_parts_of_a_folder_and_pixels_that_are_not_judged(tmp_path):
    for part, count in (("train", 6), ("val", 3), ("test", 4)):
        write(tmp_path / part, count, values=(0, 7, 255))
    data = load_data(str(tmp_path))
    assert data.given == ("validation", "test")
    assert [len(data.part(part)) for part in ("train", "validation", "test")] == [6, 3, 4]
    assert data.classes == ("0", "7")
    assert {*np.unique(data.labels)} == {0, 1, 255}
    seven = data.images[:, 0] == 70
    assert np.array_equal(seven, data.labels == 1)


def test_pictures_of_two_sizes_and_their_masks_are_cut_and_scaled_alike(tmp_path):
    write(tmp_path, 4, (8, 8))
    picture, mask = np.zeros((40, 80, 3), np.uint8), np.zeros((40, 80), np.uint8)
    picture[:, 20:40], mask[:, 20:40] = 200, 2
    Image.fromarray(picture).save(tmp_path / "images" / "wide.png")
    Image.fromarray(mask).save(tmp_path / "masks" / "wide.png")
    data = load_data(str(tmp_path), side=8)
    assert data.labels.shape == (5, 8, 8)
    expected = np.zeros((8, 8))  # the square about the centre is columns 20 to 59
    expected[:, :4] = 2
    assert np.array_equal(data.labels[-1], expected)
    assert np.array_equal(data.images[-1, 0] >= 100, expected == 2)
    assert np.array_equal(data.preprocessing(tmp_path / "images" / "wide.png"), data.images[-1])


def masked(folder, mask, name="0.png"):
    Image.fromarray(mask).save(folder / "masks" / name)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda at: (at / "masks" / "3.png").unlink(), r"3\.bmp: no mask of this name; 1 of 8"),
        (lambda at: (at / "images" / "3.bmp").unlink(), r"3\.png: no picture of this name; 1 of 8"),
        (lambda at: masked(at, np.zeros((6, 7), np.uint8)), r"0\.png: a mask of 7×6 pixels for a picture of 8×6"),
        (lambda at: masked(at, np.zeros((6, 8, 3), np.uint8)), "of format PNG and mode RGB"),
        (lambda at: (at / "masks" / "0.png").write_bytes(b"\x89PNG"), "not a readable image"),
        (lambda at: [file.unlink() for file in at.rglob("*.*")], "no pictures"),
        (lambda at: (at / "images" / "3.png").write_bytes(b""), "two files are named '3'"),
    ],
)  # fmt: skip
def test_pictures_and_masks_that_do_not_fit(tmp_path, spoil, message):
    write(tmp_path)
    spoil(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        load_data(str(tmp_path))
    assert "\n" not in str(error.value)


def test_values_that_are_no_classes(tmp_path):
    write(tmp_path / "one", values=(0, 255))
    with pytest.raises(InputError, match="of masks of 0 and 255, write 1 for 255"):
        load_data(str(tmp_path / "one"))
    for part, values in (("train", (0, 1)), ("test", (0, 1, 5))):
        write(tmp_path / "two" / part, values=values)
    with pytest.raises(InputError, match=r"test masks have the value 5.*\[0, 1\]"):
        load_data(str(tmp_path / "two"))
    (tmp_path / "two" / "test" / "masks").rename(tmp_path / "two" / "test" / "others")
    with pytest.raises(InputError, match="its folders are 'images, others'"):
        load_data(str(tmp_path / "two"))


def test_masks_in_an_npz(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 5, 6), dtype=np.uint8)
    masks = rng.choice([3, 9, 255], (12, 5, 6))
    np.savez(tmp_path / "a.npz", images=images, labels=masks, test_images=images[:2], test_labels=masks[:2])  # fmt: skip
    data = load_data(str(tmp_path / "a.npz"))
    assert data.classes == ("3", "9")
    assert np.array_equal(data.images[:12, 0], images)
    assert np.array_equal(data.labels[:12], np.select([masks == 3, masks == 9], [0, 1], 255))
    assert len(data.test) == 2


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (np.zeros((12, 5, 6), int), "masks with 1 class"),
        (np.arange(360).reshape(12, 5, 6), "whole numbers from 0 to 255"),
        (np.full((12, 5, 6), 0.5), "are quantities"),
        (np.arange(300).reshape(12, 5, 5) % 2, r"masks of shape (5, 5) for images of (5, 6)"),
        (np.zeros((12, 5, 6, 3), int), "are images"),
    ],
)
def test_masks_of_an_npz_that_do_not_fit(tmp_path, masks, message):
    np.savez(tmp_path / "a.npz", images=np.zeros((12, 5, 6), np.uint8), labels=masks)
    with pytest.raises(InputError, match=re.escape(message)):
        load_data(str(tmp_path / "a.npz"))


def test_masks_beyond_the_classes_are_refused():
    images = np.zeros((8, 1, 5, 5), np.uint8)
    labels = np.arange(200).reshape(8, 5, 5) % 3
    with pytest.raises(InputError, match="labels from 0 to 2, but 2 classes"):
        make_data("x", Raw(images, labels, ("a", "b")))
    assert make_data("x", Raw(images, labels % 2, ("a", "b"))).labelled == "masks"


@pytest.fixture(scope="module")
def canvases():
    return load_data("digits-canvas")


def test_canvases_show_the_digits_of_their_part_alone(canvases, digits):
    """All ink is that of digits of the part, of 8×8 or 16×16 pixels."""
    pictures = load_digits(None).images[:, 0]
    for part in ("train", "validation", "test"):
        own = digits.part(part)
        for index in canvases.part(part)[:3]:
            canvas, mask = canvases.images[index, 0], canvases.labels[index]
            explained = np.zeros_like(mask)
            for number in own:
                digit, label = pictures[number], digits.labels[number] + 1
                if label not in mask:
                    continue
                for piece in (digit, digit.repeat(2, 0).repeat(2, 1)):
                    for place in _places(canvas, mask, piece, label):
                        explained[place] = np.where(piece >= 64, label, explained[place])
            assert np.array_equal(explained, mask)


def _places(canvas, mask, piece, label):
    """Where a digit stands in a canvas: its ink is there, and labelled."""
    from numpy.lib.stride_tricks import sliding_window_view

    ink = piece >= 64
    seen = sliding_window_view(canvas, piece.shape)[:, :, ink] == piece[ink]
    said = sliding_window_view(mask, piece.shape)[:, :, ink] == label
    for top, left in np.argwhere((seen & said).all(-1)):
        yield np.s_[top : top + len(piece), left : left + len(piece)]


def test_canvases_hold_one_to_four_objects_and_are_the_same_again(canvases):
    assert canvases.given == ("validation", "test")
    assert canvases.shape == (1, 32, 32)
    assert canvases.classes == ("background", *"0123456789")
    classes = [len(np.unique(mask)) - 1 for mask in canvases.labels]
    assert min(classes) == 1
    assert max(classes) == 4
    assert load_data("digits-canvas").fingerprint == canvases.fingerprint


def test_what_is_no_ink_is_noise(canvases):
    assert canvases.images[:, 0][canvases.labels == 0].max() < 96
    assert canvases.images[:, 0][canvases.labels > 0].min() >= 64


def test_fashion_canvases(fashion_mnist):
    data = load_data("fashion-canvas")
    assert data.shape == (1, 64, 64)
    assert data.classes[1:] == fashion_mnist.classes
    assert [len(data.part(part)) for part in ("train", "validation", "test")] == [3000, 500, 1000]

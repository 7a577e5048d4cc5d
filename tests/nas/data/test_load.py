"""Sources, splits, and what is said about bad data."""

import gzip
import hashlib
import pickle
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image

from nas import InputError
from nas.data.dataset import Raw, make_data, subset
from nas.data.load import load_data


def test_digits_are_split_by_class_without_overlap(digits):
    assert digits.shape == (1, 8, 8)
    assert len(digits.images) == 1797
    parts = [digits.train, digits.validation, digits.test]
    assert sorted(np.concatenate(parts)) == list(range(1797))
    whole = np.bincount(digits.labels) / 1797
    for part in parts:
        share = np.bincount(digits.labels[part]) / len(part)
        assert np.abs(share - whole).max() < 0.005
    assert digits.images.max() == 255


def test_the_split_follows_from_its_seed(digits):
    assert load_data("digits").fingerprint == digits.fingerprint
    other = load_data("digits", split_seed=1)
    assert other.fingerprint != digits.fingerprint
    assert not np.array_equal(other.train, digits.train)


def test_subsets_are_stratified_and_repeat(digits):
    chosen = subset(digits.train, digits.labels, 100, seed=0)
    assert len(chosen) == 100
    assert set(np.bincount(digits.labels[chosen])) <= {9, 10, 11}
    assert np.array_equal(chosen, subset(digits.train, digits.labels, 100, seed=0))
    assert set(chosen) <= set(digits.train)
    assert len(subset(digits.train, digits.labels, 10**6, seed=0)) == len(digits.train)


def test_fashion_mnist_from_debians_package(fashion_mnist):
    assert fashion_mnist.images.shape == (70_000, 1, 28, 28)
    assert [len(p) for p in (fashion_mnist.train, fashion_mnist.validation, fashion_mnist.test)] == [50_000, 10_000, 10_000]  # fmt: skip
    assert fashion_mnist.test.min() == 60_000
    assert set(np.bincount(fashion_mnist.labels)) == {7000}
    assert fashion_mnist.classes[9] == "Ankle boot"


def write_idx(path, array):
    kind = bytes([0, 0, 8, array.ndim])
    dims = b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    path.write_bytes(gzip.compress(kind + dims + array.astype(np.uint8).tobytes()))


def test_fashion_mnist_in_a_data_dir(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 120), ("t10k", 30)):
        arrays[part] = rng.integers(0, 256, (n, 28, 28))
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", arrays[part])
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", np.arange(n) % 10)
    data = load_data("fashion-mnist", tmp_path)
    assert np.array_equal(data.images[:120, 0], arrays["train"])
    assert np.array_equal(data.images[data.test][:, 0], arrays["t10k"])
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"not gzip")
    with pytest.raises(InputError, match="not a readable IDX file"):
        load_data("fashion-mnist", tmp_path)


@pytest.mark.parametrize("classes", [10, 100])
def test_cifar_through_torchvision(tmp_path, monkeypatch, classes):
    from torchvision import datasets

    kind = datasets.CIFAR10 if classes == 10 else datasets.CIFAR100
    folder = tmp_path / kind.base_folder
    folder.mkdir()
    rng = np.random.default_rng(0)
    key = "labels" if classes == 10 else "fine_labels"

    def write(entry, content):
        blob = pickle.dumps(content)
        (folder / entry[0]).write_bytes(blob)
        return [entry[0], hashlib.md5(blob).hexdigest()]

    def batch(n):
        return {"data": rng.integers(0, 256, (n, 3072), dtype=np.uint8), key: [i % classes for i in range(n)]}  # fmt: skip

    names = {kind.meta["key"]: [f"class {i}" for i in range(classes)]}
    for attribute in ("train_list", "test_list"):
        entries = [write(e, batch(10 * classes)) for e in getattr(kind, attribute)]
        monkeypatch.setattr(kind, attribute, entries)
    name, digest = write([kind.meta["filename"]], names)
    monkeypatch.setattr(kind, "meta", {**kind.meta, "filename": name, "md5": digest})
    data = load_data(f"cifar{classes}", tmp_path)
    assert data.shape == (3, 32, 32)
    assert len(data.classes) == classes
    assert len(data.test) == 10 * classes
    original = kind(tmp_path, train=True)
    assert np.array_equal(data.images[0], np.asarray(original[0][0]).transpose(2, 0, 1))


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_offline_the_error_says_what_to_do(tmp_path, monkeypatch, name):
    from torchvision.datasets import cifar

    def no_network(*args, **kwargs):
        raise URLError("no route")

    monkeypatch.setattr(cifar, "download_and_extract_archive", no_network)
    with pytest.raises(InputError) as caught:
        load_data(name, tmp_path)
    assert "--data-dir" in str(caught.value)
    assert "--data digits" in str(caught.value)


@pytest.fixture
def picture_folder(tmp_path):
    rng = np.random.default_rng(0)
    for name, level in (("dark", 20), ("light", 220)):
        (tmp_path / name).mkdir()
        for index in range(12):
            pixels = np.full((10, 12, 3), level) + rng.integers(0, 20, (10, 12, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / name / f"{index}.png")
    return tmp_path


def test_a_folder_of_images_by_class(picture_folder):
    data = load_data(str(picture_folder))
    assert data.images.shape == (24, 3, 10, 12)
    assert data.classes == ("dark", "light")
    assert data.images[data.labels == 0].max() < data.images[data.labels == 1].min()


def test_pictures_of_different_sizes_are_made_alike(picture_folder):
    Image.new("L", (30, 17), 240).save(picture_folder / "light" / "other.png")
    data = load_data(str(picture_folder), side=9)
    assert data.images.shape == (25, 3, 9, 9)


def test_a_corrupt_image_is_named(picture_folder):
    (picture_folder / "dark" / "0.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(InputError, match=r"0\.png: not a readable image"):
        load_data(str(picture_folder))
    whole = (picture_folder / "dark" / "1.png").read_bytes()
    (picture_folder / "dark" / "0.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"0\.png: not a readable image"):
        load_data(str(picture_folder))


def test_a_folder_with_an_empty_or_single_class(picture_folder):
    (picture_folder / "none").mkdir()
    with pytest.raises(InputError, match="none"):
        load_data(str(picture_folder))
    for name in ("none", "dark"):
        for file in (picture_folder / name).iterdir():
            file.unlink()
        (picture_folder / name).rmdir()
    assert load_data(str(picture_folder)).labelled == ""


@pytest.mark.parametrize("layout", ["NHW", "NHWC", "NCHW"])
def test_npz_layouts(tmp_path, layout):
    shape = {"NHW": (40, 9, 8), "NHWC": (40, 9, 8, 3), "NCHW": (40, 3, 9, 8)}[layout]
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(40) % 4 + 5)
    data = load_data(str(tmp_path / "a.npz"))
    assert data.shape == ((1 if layout == "NHW" else 3), 9, 8)
    assert data.classes == ("5", "6", "7", "8")


def test_npz_with_a_test_part_keeps_it(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (90, 5, 5), dtype=np.uint8)
    labels = np.arange(90) % 2
    np.savez(tmp_path / "k.npz", x_train=images[:60], y_train=labels[:60], x_test=images[60:], y_test=labels[60:])  # fmt: skip
    data = load_data(str(tmp_path / "k.npz"))
    assert np.array_equal(data.images[data.test][:, 0], images[60:])
    assert len(data.validation) == 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"images": np.zeros((4, 5, 5), np.uint8)}, "images and labels are needed"),
        ({"images": np.zeros((40, 5, 5), np.uint8), "labels": np.arange(40) % 2, "test_images": np.zeros((4, 5, 5), np.uint8)}, "come together"),
        ({"images": np.zeros((40, 5, 5), np.uint8), "labels": np.arange(40) % 2, "test_images": np.zeros((4, 5, 5), np.uint8), "test_labels": np.arange(4)}, "not among the training labels"),
        ({"images": np.zeros((4, 5, 5)), "labels": np.arange(4)}, "uint8"),
        ({"images": np.zeros((4, 5, 5), np.uint8), "labels": np.arange(3)}, "4 images, but labels"),
        ({"images": np.zeros((40, 5, 5), np.uint8), "labels": np.zeros(40)}, "data with 1 class"),
        ({"images": np.zeros((4, 5, 5), np.uint8), "labels": np.arange(4)}, "look like quantities"),
    ],
)  # fmt: skip
def test_unusable_npz(tmp_path, content, message):
    np.savez(tmp_path / "bad.npz", **content)
    with pytest.raises(InputError, match=message):
        load_data(str(tmp_path / "bad.npz"))


def test_unreadable_npz(tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"PK nonsense")
    with pytest.raises(InputError, match="not a readable"):
        load_data(str(tmp_path / "bad.npz"))
    with pytest.raises(InputError, match="not a readable"):
        load_data(str(tmp_path / "missing.npz"))
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    with pytest.raises(InputError, match="not a readable"):
        load_data(str(tmp_path / "array.npz"))
    np.savez(tmp_path / "cut.npz", images=np.zeros((99, 9, 9), np.uint8), labels=np.zeros(99))
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:-30])
    with pytest.raises(InputError, match="not a readable"):
        load_data(str(tmp_path / "cut.npz"))


def test_unknown_data_suggests_the_nearest():
    with pytest.raises(InputError, match="did you mean digits"):
        load_data("digts")


def test_labels_beyond_the_classes_are_refused():
    with pytest.raises(InputError, match="labels from 0 to 3, but 2 classes"):
        make_data("x", Raw(np.zeros((8, 1, 5, 5), np.uint8), np.arange(8) % 4, ("a", "b")))


def test_fingerprints_tell_data_apart():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (40, 1, 5, 5)).astype(np.uint8), np.arange(40) % 2
    first = make_data("a", Raw(images, labels, ("x", "y")))
    images[0, 0, 0, 0] ^= 1
    assert make_data("a", Raw(images, labels, ("x", "y"))).fingerprint != first.fingerprint

"""Texts: symbols, sequences, stretches, the text that ships, and what is no such text."""

import os
import re

import numpy as np
import pytest
from PIL import Image

from nas import InputError, load_data
from nas.data.dataset import subset
from nas.data.text import encoded, load_shakespeare


def written(folder, text):
    path = folder / "my.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def test_the_next_symbol_follows_from_each_and_parts_are_stretches(tmp_path):
    text = "".join(np.random.default_rng(0).choice([*"abc é\n"], 1000))
    data = load_data(written(tmp_path, text), side=7)
    assert data.kind == "text"
    assert data.shape == (7,)
    assert data.classes == ("\n", " ", "a", "b", "c", "é")
    assert data.preprocessing is None
    for part, (first, last) in {
        "train": (0, 800), "validation": (800, 900), "test": (900, 1000),
    }.items():  # fmt: skip
        whole = text[first:last]
        inputs, labels = ([*a[data.part(part)].ravel()] for a in (data.images, data.labels))
        assert len(inputs) == (last - first - 1) // 7 * 7
        assert "".join(data.classes[i] for i in inputs) == whole[: len(inputs)]
        assert "".join(data.classes[i] for i in labels) == whole[1 : len(inputs) + 1]


def test_a_texts_parts_are_the_same_for_every_seed(tmp_path):
    path = written(tmp_path, "to be or not to be, " * 20)
    same = load_data(path, side=8)
    assert load_data(path, side=8, split_seed=5).fingerprint == same.fingerprint
    assert load_data(path, side=9).fingerprint != same.fingerprint


def test_subsets_of_sequences_are_chosen_by_a_seed(tmp_path):
    data = load_data(written(tmp_path, "to be or not to be, " * 40), side=8)
    chosen = subset(data.train, data.labels, 20, seed=1)
    assert len(chosen) == len({*chosen} & {*data.train}) == 20
    assert np.array_equal(chosen, np.sort(chosen))
    assert np.array_equal(chosen, subset(data.train, data.labels, 20, seed=1))
    assert not np.array_equal(chosen, subset(data.train, data.labels, 20, seed=2))


def test_a_mark_at_the_start_and_other_line_ends_are_no_symbols(tmp_path):
    data = load_data(written(tmp_path, b"\xef\xbb\xbf" + b"ab\r\n" * 60), side=4)
    assert data.classes == ("\n", "a", "b")


def test_a_folder_of_texts_is_one_text(tmp_path):
    parts = {"10.TXT": "to be\r\n" * 40, "2.txt": "or not " * 40, ".3.txt": "hidden"}
    folder, (first, second, _) = tmp_path / "texts", parts.values()
    folder.mkdir()
    (folder / "more").mkdir()
    for name, text in parts.items():
        (folder / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    (folder / "notes.md").write_text("?")
    one = load_data(written(tmp_path, first + "\n" + second), side=8)
    data = load_data(str(folder), side=8)
    assert (data.fingerprint, data.classes) == (one.fingerprint, one.classes)
    assert (data.name, data.source) == ("texts", str(folder))
    Image.new("L", (8, 8)).save(folder / "more" / "1.png")
    with pytest.raises(InputError, match="at least 4 are needed"):  # captions of a picture
        load_data(str(folder))


def test_a_folder_with_what_is_no_text_names_the_file(tmp_path):
    (tmp_path / "1.txt").write_text("to be " * 100)
    (tmp_path / "2.txt").write_bytes(b"ab\xff")
    with pytest.raises(InputError, match=r"2\.txt: byte 2 is no UTF-8"):
        load_data(str(tmp_path))
    (tmp_path / "2.txt").unlink()
    os.mkfifo(tmp_path / "2.txt")
    with pytest.raises(InputError, match=r"2\.txt: not a readable text"):
        load_data(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 different characters"),
        ("a" * 1000, "1 different characters"),
        ("ab" * 80, "160 characters is too short for sequences of 8"),
        (b"ab\xff" * 100, "byte 2 is no UTF-8"),
        ("".join(map(chr, range(0x4E00, 0x4F01))) * 2 + "x", "258 different characters, and at most 256"),
    ],
)  # fmt: skip
def test_what_is_no_text_of_symbols(tmp_path, text, message):
    with pytest.raises(InputError, match=re.escape(message)) as error:
        load_data(written(tmp_path, text), side=8)
    assert "\n" not in str(error.value)


def test_the_rarest_of_too_many_characters_are_named(tmp_path):
    text = "".join(map(chr, range(0x4E00, 0x4F00))) * 3 + "qz"
    with pytest.raises(InputError, match=r"the first are 'z' \(1\), 'q' \(1\)"):
        load_data(written(tmp_path, text), side=2)


def test_the_shortest_text_that_is_long_enough(tmp_path):
    data = load_data(written(tmp_path, "ab" * 85), side=8)
    assert [len(data.part(part)) for part in ("train", "validation", "test")] == [16, 2, 2]


def test_256_symbols_are_bytes_and_a_strange_character_is_named():
    symbols = [chr(point) for point in range(300, 556)]
    assert np.array_equal(encoded("".join(symbols), symbols), np.arange(256))
    with pytest.raises(InputError, match="character 'x' is none of the 256 symbols"):
        encoded(symbols[0] + "x", symbols)


def test_shakespeare_is_nine_plays_without_notes_of_publishers():
    text = load_shakespeare(None)
    assert 1_000_000 < len(text) < 1_200_000
    for line in ("All the world's a stage,", "Friends, Romans, countrymen, lend me your ears;",
                 "If music be the food of love, play on,", "We are such stuff"):  # fmt: skip
        assert line in text
    assert not re.search("gutenberg|copyright|e-?text|licen[cs]e agreement|http", text, re.I)
    data = load_data("shakespeare", side=64)
    assert len(data.classes) == len({*text}) <= 96
    assert data.source == "shakespeare"


def test_a_source_of_a_plugin_may_be_a_text(monkeypatch):
    monkeypatch.setitem(load_data.__globals__["SOURCES"], "songs", lambda where: "la la li " * 90)
    data = load_data("songs", side=5)
    assert data.classes == (" ", "a", "i", "l")
    assert data.shape == (5,)

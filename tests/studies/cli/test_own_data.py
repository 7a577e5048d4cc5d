"""A user's own pictures, from the first look to a trained network, by the commands that are printed."""

import json
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas import InputError, load_network
from nas.architecture.skeletons.transformer import Transformer
from nas.architecture.skeletons.unet import UNet
from nas.tasks.table import find_task
from search_spaces import SPACES, load_space
from studies.search.request import SearchRequest, prepare_settings
from tests.helpers import NAS, nas, refused
from tests.nas.data.test_folder import write


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Pictures of two sizes in two classes that brightness tells apart, split into parts."""
    folder = tmp_path_factory.mktemp("own") / "photos"
    for part, count in (("train", 48), ("val", 24), ("test", 24)):
        for name, shade in (("dark", 60), ("bright", 200)):
            place = folder / part / name
            place.mkdir(parents=True)
            rng = np.random.default_rng([count, shade])
            for index in range(count):
                size = (12, 16, 3) if index % 2 else (10, 10, 3)
                pixels = np.clip(rng.normal(shade, 25, size), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(place / f"{index}.png")
    return folder


SMALL = """
data = "photos"
[skeleton]
stages = [{layers = 3, width = 4}]
[space]
distances = [1, 2]
merges = ["add", "gate"]
strengths = [1.0]
[proxy]
epochs = 2
batch = 16
"""


def copied(photos, folder):
    """Makes a folder with the pictures and a space for them."""
    shutil.copytree(photos, folder / "photos")
    (folder / "small.toml").write_text(SMALL)
    return folder


@pytest.fixture
def place(photos, tmp_path, monkeypatch):
    """Such a folder, in which commands run."""
    monkeypatch.chdir(copied(photos, tmp_path))
    return tmp_path


ASKED = ["--evaluations", 6, "--workers", 1, "--device", "cpu", "--population", 4,
         "--contenders", 0, "--tuning-seeds", 0, "--finalists", 1, "--finalist-seeds", 3, "--study", "own"]  # fmt: skip


@pytest.fixture(scope="module")
def once(photos, tmp_path_factory):
    """The folder of a search on the pictures, and what it printed."""
    folder = copied(photos, tmp_path_factory.mktemp("searched"))
    asked = map(str, ["search", "--space", "small.toml", *ASKED])
    done = subprocess.run([*NAS, *asked], cwd=folder, capture_output=True, text=True, check=True)
    return folder, done.stdout


@pytest.fixture
def searched(once, monkeypatch):
    """The same, with commands running there."""
    monkeypatch.chdir(once[0])
    return once


@pytest.mark.slow
def test_the_data_are_told_by_a_search_as_by_the_command(searched, capsys):
    place, printed = searched
    code, out, _ = nas(capsys, "data", "photos", "--space", "small.toml")
    assert code == 0
    told = out.splitlines()[1:]
    assert told == printed.splitlines()[: len(told)]
    assert told[0] == "192 images of 2 classes: bright, dark, 96 each."
    assert told[1] == "96 training, 48 validation and 48 test images: split as the data came."
    assert "Guessing the most frequent class gives 50.0 % of the validation images" in told[3]
    as_json = json.loads(nas(capsys, "data", "photos", "--space", "small.toml", "--json")[1])
    assert as_json["given"] == ["validation", "test"]
    assert as_json["source"] == str(place / "photos")


def test_a_study_names_data_that_are_not_its_spaces_own(place):
    asked = SearchRequest(space="small.toml", device="cpu")
    own, other = (prepare_settings(replace(asked, data=data))[0] for data in (None, "digits"))
    assert own.default_name == f"small-{own.digest}"
    assert own.earlier_names[0] == f"small-photos-{own.digest}"
    assert other.default_name == f"small-digits-{other.digest}"


@pytest.mark.slow
def test_every_command_that_is_printed_works_as_it_stands(searched, capsys):
    lines = searched[1].split("Next:\n")[1].splitlines()
    commands = [shlex.split(line.partition("#")[0]) for line in lines if line.startswith("  nas")]
    assert [c[1] for c in commands] == ["dashboard", "report", "train", "show", "search"]
    for command in commands[1:]:
        more = ["--epochs", "2"] if command[1] == "train" else []
        code, out, err = nas(capsys, *command[1:], *more)
        assert (code, err) == (0, ""), command
    assert "own data" not in out
    code, _, err = nas(capsys, "report", "own", "--knock-out", "--workers", 1, "--device", "cpu")
    assert (code, err) == (0, "")


@pytest.mark.slow
def test_the_network_takes_a_users_picture(searched, capsys):
    code, _, err = nas(capsys, "train", "best:own", "--epochs", 4, "--out", "mine", "--quiet")
    assert (code, err) == (0, "")
    network = load_network("mine")
    assert network.preprocessing.square
    for name in ("dark", "bright"):
        right = [network.predict(f).name == name for f in Path("photos/test", name).iterdir()]
        assert sum(right) > 20
    found = network.predict(np.full((70, 30, 3), 200, np.uint8))
    assert found.name == "bright"
    assert found.probability == max(found.probabilities.values()) > 0.5
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert not network.training
    with pytest.raises(InputError, match="predict takes files and pictures of other sizes"):
        network(network.mean.new_zeros(1, 3, 10, 12))
    code, out, err = nas(capsys, "export", "mine", "--format", "safetensors", "--out", "there")
    assert (code, err) == (0, "")
    assert network.preprocessing_words in out
    assert json.loads(Path("there/network.json").read_text())["preprocessing"]["square"] is True


def test_data_that_are_gone_are_asked_for(searched, capsys):
    Path("photos").rename("moved")
    for command in (
        ["train", "best:own"],
        ["report", "own", "--knock-out"],
        ["score", "--study", "own"],
    ):
        assert "--data" in refused(capsys, *command)
    code, _, err = nas(capsys, "train", "best:own", "--data", "moved", "--epochs", 1)
    Path("moved").rename("photos")
    assert (code, err) == (0, "")


def test_a_written_space_is_that_of_the_data(place, capsys):
    code, out, err = nas(capsys, "init", "mine.toml", "--data", "photos", "--side", 12)
    assert (code, err) == (0, "")
    assert "nas search --space mine.toml" in out
    space = load_space("mine.toml", SPACES)
    assert space.skeleton.input_shape == (3, 12, 12)
    assert space.skeleton.classes == 2
    assert space.data == str(place / "photos")
    text = Path("mine.toml").read_text()
    assert "192 images of 2 classes" in text
    assert "is there already; --force" in refused(capsys, "init", "mine.toml", "--data", "photos")
    assert nas(capsys, "init", "mine.toml", "--data", "photos", "--side", 12, "--force")[0] == 0
    # Whoever takes the mark from a comment that holds a key gets what holds without it.
    plain = re.sub(r"^# (block|norm|adapter|augment)( =.*)$", r"\1\2", text, flags=re.MULTILINE)
    Path("mine2.toml").write_text(plain)
    assert vars(load_space("mine2.toml", SPACES)) == {**vars(space), "name": "mine2"}
    code, out, err = nas(
        capsys, "search", "--space", "mine.toml", "--evaluations", 4, "--workers", 1, "--device", "cpu",
        "--contenders", 0, "--finalists", 0, "--json",
    )  # fmt: skip
    assert code == 0, err


OTHERS = {
    "song.txt": ("language", Transformer, (128,)),
    "songs": ("language", Transformer, (128,)),
    "loose": ("denoising", UNet, (3, 12, 10)),
    "photos": ("inpainting", UNet, (3, 32, 32)),
    "streets": ("segmentation", UNet, (3, 10, 10)),
}
"""Task, family and input by data that are not learned as classes."""


@pytest.fixture
def others(place):
    """Texts, pictures without classes and pictures with masks in a folder, in which commands run."""
    song = "la la li\n" * 300
    Path("song.txt").write_text(song)
    Path("songs").mkdir()
    for name in ("1.txt", "2.txt"):
        Path("songs", name).write_text(song)
    write(Path("loose"), 24, (10, 12))
    write(Path("streets/images"), 24, (10, 10))
    Path("streets/masks").mkdir()
    for index in range(24):
        mask = np.tri(10, k=index % 5, dtype=np.uint8)
        Image.fromarray(mask).save(f"streets/masks/{index}.png")
    return place


@pytest.mark.parametrize("data", OTHERS)
def test_a_written_space_is_of_the_datas_task(others, capsys, data):
    name, family, shape = OTHERS[data]
    asked = ["--task", name] if data == "photos" else []
    code, out, err = nas(capsys, "init", "mine.toml", "--data", data, *asked)
    assert (code, err) == (0, "")
    assert find_task(name).label in out
    space = load_space("mine.toml", SPACES)
    assert type(space.skeleton) is family
    assert space.skeleton.input_shape == shape
    assert (space.proxy.task, space.final_proxy.task) == (name, name)
    settings, _ = prepare_settings(SearchRequest(space="mine.toml", device="cpu"))
    assert settings.space.skeleton == space.skeleton
    text = Path("mine.toml").read_text()
    plain = re.sub(
        r"^# (per_level|block|norm|positions?|up)( =.*)$", r"\1\2", text, flags=re.MULTILINE
    )
    assert plain != text
    Path("mine2.toml").write_text(plain)
    assert vars(load_space("mine2.toml", SPACES)) == {**vars(space), "name": "mine2"}


@pytest.mark.slow
@pytest.mark.parametrize("data", OTHERS)
def test_a_search_on_a_written_space(others, capsys, data):
    task = find_task(OTHERS[data][0])
    nas(capsys, "init", "mine.toml", "--data", data, "--task", task.name)
    short = re.sub("^epochs = .*$", "epochs = 1", Path("mine.toml").read_text(), flags=re.MULTILINE)
    Path("mine.toml").write_text(short)
    code, out, err = nas(
        capsys, "search", "--space", "mine.toml", "--evaluations", 4, "--workers", 1, "--device", "cpu",
        "--contenders", 0, "--finalists", 1, "--finalist-seeds", 2, "--tuning-seeds", 0,
    )  # fmt: skip
    assert code == 0, err
    assert f"test {task.label}" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mine.txt", "--data", "digits"], "ends in .toml"),
        (["no/mine.toml", "--data", "digits"], "there is no folder no"),
        (["mine.toml", "--data", "no/where"], "there is no such folder"),
    ],
)
def test_what_init_refuses(place, capsys, arguments, message):
    assert message in refused(capsys, "init", *arguments)
    assert not Path("mine.toml").exists()


@pytest.mark.slow
def test_chance_is_a_warning(place, capsys):
    for part in ("train", "val", "test"):
        shutil.rmtree(f"photos/{part}")
        for name in ("dark", "bright"):
            write(Path("photos", part, name), 24, (10, 10), seed=len(part + name))
    code, out, err = nas(capsys, "search", "--space", "small.toml", *ASKED)
    assert code == 0, err
    assert "Nothing was learnt: trial" in " ".join(out.split())
    code, out, err = nas(capsys, "train", "best:own", "--epochs", 1)
    assert "Guessing the most frequent class gives 50.00 %: nothing was learnt." in out
    nas(capsys, "report", "own", "--out", "page.html")
    assert "Nothing was learnt: trial" in Path("page.html").read_text()


def test_nas_data_of_a_text_and_of_a_task(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 80)
    code, out, err = nas(capsys, "data", "my.txt")
    assert code == 0, err
    assert "sequences of 128 characters" in out
    assert "bits per character" in out
    code, out, _ = nas(capsys, "data", "my.txt", "--space", "digits9", "--json")
    told = json.loads(out)
    assert told["shape"] == [8]
    assert told["classes"]["q"] == 80
    assert told["task"] == "language"
    code, out, _ = nas(capsys, "data", "digits", "--task", "denoising")
    assert code == 0
    assert "14.1" in out  # dB, 20 log10(255 / 50)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("data", "digits", "--task", "language"), "task language needs a text; digits is"),
        (("data", "shakespeare", "--task", "denoising"), "needs pictures; shakespeare is a text"),
        (("data", "digits", "--task", "counting"), "--task: unknown task 'counting'"),
        (("data", "nowhere.txt"), "No such file"),
        (("init", "my.toml", "--data", "digits", "--task", "language"), "needs a text; digits is"),
        (("init", "my.toml", "--data", "digits", "--task", "counting"), "unknown task 'counting'"),
    ],
)
def test_data_that_do_not_fit(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, *arguments)

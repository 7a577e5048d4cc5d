"""Searches on a user's own model: made again in workers, recorded by its file's hash, trained on."""

from dataclasses import replace

import pytest

from nas import Genome, InputError, evaluate, wrap
from nas.architecture.skeletons.wrapped import MODELS, Wrapped
from nas.plugins import LOADED
from studies.search.join import Joining, join_study
from studies.search.request import SearchRequest
from studies.search.run import Watcher, run_search
from studies.search.spaces import find_space
from tests.helpers import nas, plugins_taken_away, refused
from tests.studies.searches import request

MODEL = """
import torch
from torch import nn


def make(input_shape, classes):
    blocks = [nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU()) for _ in range(4)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(8, classes)]
    return nn.Sequential(nn.Conv2d(input_shape[0], 8, 3, 1, 1), nn.Sequential(*blocks), *head)


def wide(classes):
    return nn.Sequential(*(nn.Sequential(nn.Conv2d(3, 3, 1)) for _ in range(3)))
"""


@pytest.fixture(autouse=True)
def tables():
    with plugins_taken_away():
        yield


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "own_net.py"
    path.write_text(MODEL)
    return path


def test_a_model_is_searched_in_processes_and_trained(small_toml, model, tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/own.db"
    asked = request(
        small_toml, url, model=f"{model}:make", blocks="1", evaluations=6, population=2, workers=2
    )
    result = run_search(asked)
    space, settings = result.settings.space, result.settings
    assert isinstance(space.skeleton, Wrapped)
    assert [trial.attrs["status"] for trial in result.trials] == ["ok"] * 6
    assert result.trials[0].genome == Genome.plain(4)
    assert settings.record()["plugins"].keys() == {"own_net.py"}
    for trial in result.trials[1:3]:
        here = evaluate(
            trial.genome, space.skeleton, space.proxy, settings.seed, settings.data, "cpu"
        )
        assert here.accuracies == tuple(trial.curve[epoch] for epoch in sorted(trial.curve))
        assert here.params == trial.attrs["params"]

    where = ("--storage", url, "--plugin", model)
    out = tmp_path / "trained"
    code, _, err = nas(capsys, "train", f"best:{result.study}", "--epochs", 1, "--images", 64, "--out", out, "--device", "cpu", "--quiet", *where)  # fmt: skip
    assert code == 0, err
    code, _, err = nas(capsys, "report", result.study, "--out", tmp_path / "own.html", *where)
    assert code == 0, err
    code, out, err = nas(capsys, "show", f"best:{result.study}", *where)
    assert code == 0, err
    assert f"{result.best.attrs['params']:,}" in out

    model.write_text(MODEL.replace("0.1", "0.2"))
    with pytest.raises(InputError, match=r"own_net\.py"):
        run_search(replace(asked, study=result.study))


SPACE = """
model = "own_net.py:make"
blocks = "1"
[space]
distances = [1, 2, 3]
merges = ["add", "gate"]
strengths = [0.5, 1.0]
[proxy]
epochs = 1
images = 64
batch = 32
"""


def test_a_space_file_names_the_model(model, tmp_path, capsys):
    space = tmp_path / "mine.toml"
    space.write_text(SPACE)
    found = find_space(str(space))
    assert found.skeleton == wrap(f"{model}:make", (1, 8, 8), 10, "1")
    assert find_space(str(space)).for_data((3, 16, 16), 5).skeleton == wrap(
        f"{model}:make", (3, 16, 16), 5, "1"
    )
    based = tmp_path / "based.toml"  # without digits9's distances beyond the four blocks
    based.write_text('base = "digits9-distances"\nmodel = "own_net.py:make"\nblocks = "1"')
    assert find_space(str(based)).distances == (1, 2, 3, 4)
    assert nas(capsys, "show", "add(1)*4", "--space", space)[0] == 0

    url = f"sqlite:///{tmp_path}/own.db"
    asked = request(space, url, study="mine", evaluations=6, population=2)
    ended = []
    watcher = Watcher()
    watcher.evaluated = ended.append
    result = run_search(asked, watcher, lambda: len(ended) >= 4)
    assert len(result.trials) < 6
    assert result.settings.record()["plugins"].keys() == {"own_net.py"}
    with plugins_taken_away():
        for table in (LOADED, MODELS):
            table.clear()
        assert "needs the plugin own_net.py" in refused(
            capsys, "worker", "--study", "mine", "--storage", url
        )
        helping = Joining(workers=1, device="cpu", study="mine", storage=url, plugins=(model,))
        assert len(join_study(helping).trials) == 6
    assert len(run_search(replace(asked, evaluations=8)).trials) == 8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("blocks = '1'\nbase = 'digits9'", "blocks goes with model"),
        ("model = 7", "model must be a string such as my_model.py:make, not 7"),
        ("model = 'own_net.py:make'\nblocks = ['1']", "blocks must be a string"),
        ("model = 'own_net.py:nothing'", "unknown function"),
        ("model = 'gone.py:make'", "gone.py"),
        ("model = 'own_net.py:make'\nblocks = '9'", "blocks '9'"),
        ("model = 'own_net.py:make'\n[skeleton]\nstages = []", "[skeleton]: unknown key 'stages'"),
        ("model = 'own_net.py:wide'", "[skeleton] may say its input_shape and classes"),
    ],
)
def test_what_a_space_file_cannot_say_is_one_line(text, said, model, tmp_path, capsys):
    (tmp_path / "wrong.toml").write_text(text)
    assert said in refused(capsys, "spaces", tmp_path / "wrong.toml")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "MODEL:nothing"], "unknown function"),
        (["--model", "nowhere.py:make"], "nowhere.py"),
        (["--model", "nothing"], "unknown model 'nothing'"),
        (["--model", "MODEL:make", "--blocks", "9"], "blocks '9'"),
        (["--model", "MODEL:wide"], "fails on an input of shape"),
        (["--blocks", "1"], "it goes with --model"),
    ],
)
def test_what_is_no_model_is_one_line(words, said, small_toml, model, capsys):
    given = [word.replace("MODEL", str(model)) for word in words]
    assert said in refused(capsys, "search", "--space", small_toml, *given)


def test_the_command_of_a_request_names_the_model(model):
    asked = SearchRequest(model=f"{model}:make", blocks="1")
    assert asked.plugins == (model,)
    assert f"--model {model}:make --blocks 1" in asked.command

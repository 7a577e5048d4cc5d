"""Searches on a user's own model: made again in workers, recorded by its file's hash, trained on."""

from dataclasses import replace

import pytest

from nas import Genome, InputError, evaluate
from nas.architecture.skeletons.wrapped import Wrapped
from studies.search.request import SearchRequest
from studies.search.run import run_search
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

"""Every entry of the tables that the command line offers, as a user runs it."""

import json

import pytest

from nas import Genome
from search_spaces import SPACES
from studies.search.objectives import OBJECTIVES
from tests.helpers import nas


@pytest.mark.parametrize("name", SPACES)
def test_every_space_is_shown(name, capsys):
    residual = Genome.residual(SPACES[name].skeleton.layers)
    code, out, err = nas(capsys, "show", str(residual), "--space", name)
    assert code == 0, err
    assert str(residual) in out


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * one.measured)
        for name, one in OBJECTIVES.items()
        if name != "accuracy"
    ],
)
def test_every_objective_is_searched_and_reported(name, small_toml, tmp_path, capsys):
    storage = f"sqlite:///{tmp_path}/a.db"
    code, out, err = nas(
        capsys, "search", "--space", small_toml, "--storage", storage, "--strategy", "nsga2",
        "--objectives", f"accuracy,{name}", "--population", 4, "--evaluations", 8, "--device", "cpu",
        "--workers", 1, "--contenders", 0, "--finalists", 0, "--study", "both", "--json",
    )  # fmt: skip
    assert code == 0, err
    values = [e["values"] for e in map(json.loads, out.splitlines()) if e["event"] == "evaluated"]
    assert len(values) == 8
    assert len({tuple(pair) for pair in values}) > 1
    page = tmp_path / "page.html"
    code, _, err = nas(capsys, "report", "both", "--storage", storage, "--out", page)
    assert code == 0, err
    assert OBJECTIVES[name].label in page.read_text()

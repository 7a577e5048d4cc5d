"""A space full of candidates that diverge, take all memory or end their process: a search goes on."""

import sys

import pytest

from nas.architecture.merges import MERGES
from studies.search.request import SearchRequest
from studies.search.run import run_search

PLUGIN = """
import ctypes
import torch
from nas.architecture.merges import Add


class Nan(Add):
    def forward(self, learnt, branch, skips, previous):
        return super().forward(learnt, branch, skips, previous) * float("nan")


class Inf(Add):
    def forward(self, learnt, branch, skips, previous):
        return super().forward(learnt, branch, skips, previous) * float("inf")


class Hungry(Add):
    def forward(self, learnt, branch, skips, previous):
        torch.ones(2_000_000_000, dtype=torch.uint8)


class Crash(Add):
    def forward(self, learnt, branch, skips, previous):
        ctypes.string_at(0)


MERGES = {"nan": Nan(), "inf": Inf(), "hungry": Hungry(), "crash": Crash()}
"""
SPACE = """
data = "digits"
[skeleton]
input_shape = [1, 8, 8]
classes = 10
stages = [{layers = 4, width = 4}]
[space]
distances = [1]
merges = ["add", "nan", "inf", "hungry", MORE]
strengths = [1.0]
[proxy]
epochs = 1
images = 128
batch = 32
"""


@pytest.fixture
def merges_kept():
    """Takes away what plugins add."""
    before = dict(MERGES)
    yield
    MERGES.clear()
    MERGES.update(before)


@pytest.mark.slow
@pytest.mark.usefixtures("merges_kept")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
@pytest.mark.parametrize("strategy", ["regularized", "tpe"])
def test_a_search_among_faulty_candidates(tmp_path, strategy):
    (tmp_path / "faulty.py").write_text(f"{PLUGIN}# {strategy}: a file is loaded once a process")
    crashes = strategy == "regularized"
    (tmp_path / "faulty.toml").write_text(SPACE.replace("MORE", '"crash"' if crashes else ""))
    asked = SearchRequest(
        space=str(tmp_path / "faulty.toml"), storage=f"sqlite:///{tmp_path}/nas.db", finalists=1,
        strategy=strategy, evaluations=14, population=4, lag=2, workers=2, device="cpu",
        start="crash(1) -*3" if crashes else None, memory_limit=500_000_000, finalist_seeds=1,
        plugins=(tmp_path / "faulty.py",),
    )  # fmt: skip
    result = run_search(asked)
    assert len(result.trials) == 14
    given = {trial.attrs["role"]: trial for trial in result.trials if trial.attrs["role"]}
    if crashes:
        assert given["start"].state.name == "FAIL"
        assert given["start"].attrs["why"].endswith("the last time by signal SIGSEGV")
    found = result.trials[len(given) :]
    for trial in found:
        words = {token.split("(")[0] for token in str(trial.genome).replace("*", " ").split()}
        if words & {"hungry", "crash"}:  # whichever comes first
            assert trial.attrs["status"] in ("out of memory", "failed"), trial
        elif words & {"nan", "inf"}:
            assert trial.attrs["status"] == "diverged", trial
        else:
            assert trial.attrs["status"] == "ok", trial
        if trial.attrs["status"] not in (
            "ok",
            "failed",
        ):  # complete with the worst value: no hole for a strategy
            assert (trial.state.name, trial.values) == ("COMPLETE", (0.0,))
    statuses = {trial.attrs["status"] for trial in found}
    assert {"out of memory", "diverged"} <= statuses
    parents = {n for t in found for n in t.attrs["parents"]}
    assert all(result.trials[n].ok for n in parents)
    assert len(run_search(asked).trials) == 14  # and it is not done again

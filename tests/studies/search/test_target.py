"""A search that ends when its best has reached a score."""

import pytest

from studies.report.write import write_report
from tests.helpers import refused
from tests.studies.searches import request, run_search, trials_of


@pytest.mark.slow
def test_the_same_end_for_any_workers_and_after_an_interruption(small_toml, tmp_path):
    storages = [f"sqlite:///{tmp_path}/{name}.db" for name in ("all", "whole", "cut")]
    every = run_search(request(small_toml, storages[0], evaluations=30, lag=4)).trials
    own = [trial for trial in every if not trial.attrs["role"]]
    target = sorted(trial.attrs["accuracy"] for trial in own[:12])[-2]
    first = next(t.number for t in own if t.attrs["accuracy"] >= target)
    asked = {"lag": 4, "target": target}
    result = run_search(request(small_toml, storages[1], evaluations=30, **asked))
    run_search(request(small_toml, storages[2], evaluations=5, **asked))
    again = run_search(request(small_toml, storages[2], evaluations=30, workers=2, **asked))
    assert result.outcome.reason == again.outcome.reason == "target"
    assert len(result.trials) == first + 1 + 4
    assert trials_of(storages[1]) == trials_of(storages[2]) == trials_of(storages[0])[: first + 5]
    page = write_report(result.study, storages[1], out=tmp_path / "page.html").read_text()
    assert f"trial {first} has" in page
    assert f"(--target {target:g})" in page


def test_a_reference_is_not_the_searchs_best(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/nas.db"
    result = run_search(request(small_toml, storage, evaluations=4, lag=1, target=0.0))
    assert (result.outcome.reason, len(result.trials)) == ("budget", 4)


def test_a_percentage_is_one_line(small_toml, capsys):
    told = refused(capsys, "search", "--space", small_toml, "--target", "95", "--device", "cpu")
    assert "--target 95" in told

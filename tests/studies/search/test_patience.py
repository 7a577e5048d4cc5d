"""A search that ends when its best has not improved for long."""

import pytest

from nas import Genome
from nas.strategies.problem import PastTrial, Problem
from search_spaces import SPACES
from studies.report.write import write_report
from studies.search.loop import without_gain
from studies.store.names import ENDED
from studies.store.storages import open_storage
from studies.store.store import Store
from tests.studies.searches import request, run_search, trials_of


def past(*values):
    genome = Genome.plain(9)
    return [PastTrial(n, genome, value, True, True) for n, value in enumerate(values)]


def test_gains_by_hand():
    one = Problem(SPACES["digits9"], (1.0,))
    assert without_gain([], one) == 0
    assert without_gain(past((0.1,), (0.2,)), one) == 0
    assert without_gain(past((0.2,), (0.2,), (0.1,)), one) == 2
    assert without_gain(past((0.2,), None, (0.1,), (0.3,)), one) == 0
    two = Problem(SPACES["digits9"], (1.0, -1.0))
    assert without_gain(past((0.5, 10.0), (0.4, 5.0)), two) == 0
    assert without_gain(past((0.5, 10.0), (0.4, 5.0), (0.4, 5.0), (0.5, 11.0)), two) == 2


@pytest.mark.slow
def test_the_same_end_for_any_workers_and_after_an_interruption(small_toml, tmp_path):
    storages = [f"sqlite:///{tmp_path}/{name}.db" for name in ("whole", "cut")]
    asked = {"lag": 4, "patience": 5}
    result = run_search(request(small_toml, storages[0], evaluations=60, **asked))
    run_search(request(small_toml, storages[1], evaluations=10, **asked))
    again = run_search(request(small_toml, storages[1], evaluations=60, workers=2, **asked))
    assert result.outcome.reason == again.outcome.reason == "patience"
    assert trials_of(storages[0]) == trials_of(storages[1])
    count = len(result.trials)
    assert count < 60
    problem = result.settings.problem()
    seen = [PastTrial(t.number, t.genome, t.values, True, True) for t in result.trials]
    assert without_gain(seen[: count - 4], problem) >= 5
    assert without_gain(seen[: count - 5], problem) < 5
    store = Store.load(open_storage(storages[0]), result.study)
    assert "--patience 5" in store.notes()[ENDED]["why"]
    page = write_report(result.study, storages[0], out=tmp_path / "page.html")
    assert "evaluations without a better one (--patience 5)" in page.read_text()

"""Facts of a made-up table, whose quality is known."""

import json

import pytest

from nas import Table
from nas.tables.numbers import neighbour_numbers, number_of
from studies.tables.facts import facts_of
from tests.helpers import nas, refused
from tests.nas.tables.tables import SPACE, contents, quality


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "tiny.npz"
    contents().write(path)
    return path


def test_neighbours_are_the_spaces(path):
    table = Table(path)
    found = dict(neighbour_numbers(SPACE, table.contents.numbers.tolist()))
    for genome in table.genomes[::7]:
        own = {number_of(SPACE, other) for other in SPACE.neighbours(genome)}
        assert found[number_of(SPACE, genome)] == own


def test_facts_are_those_that_it_was_made_with(path):
    table = Table(path)
    facts, qualities = facts_of(table), [quality(genome) for genome in table.genomes]
    assert (facts.patterns, facts.missing, facts.failed) == (SPACE.distinct, 0, 0)
    assert facts.longer == -(-SPACE.distinct // 5)
    score = facts.measures[0]
    assert score.overall.within == pytest.approx(0.01 * 7 / 8, rel=0.15)  # after three epochs
    assert score.overall.one > 0.9
    assert score.ranks > 0.9
    assert facts.quantiles[0] == pytest.approx(min(qualities) * 7 / 8, abs=0.02)
    assert facts.best.rank == 1
    assert facts.best.score == facts.quantiles[-1]
    assert 1 <= facts.local_optima < SPACE.distinct / 4  # more skips are better, up to luck
    plain = facts.references["plain"]
    assert (plain.fresh, plain.seeds) == (None, 0)
    assert plain.rank > SPACE.distinct - 10
    assert {"plain", "residual", "rezero"} <= {*facts.references}
    assert facts.explained["skips"] > 0.8
    assert 0.5 < facts.r_squared <= 1


def test_they_are_shown(path, tmp_path, capsys):
    code, out, err = nas(capsys, "table", "show", path)
    assert code == 0, err
    assert "local optima" in out
    code, out, err = nas(capsys, "table", "show", path, "--json")
    assert json.loads(out)["patterns"] == SPACE.distinct
    assert "no table" not in refused(capsys, "table", "show", tmp_path / "a.npz")
    assert "allowed" in refused(capsys, "table", "show", "nothing")

"""Building a table: interrupted, gone on with, and the same as trainings one by one."""

from dataclasses import replace

import numpy as np
import pytest

from nas import InputError, Table, evaluate, load_data
from nas.tables.file import Contents
from studies.tables.build import TableRequest, build_table
from tests.helpers import refused
from tests.studies.searches import here

TOML = """
data = "digits"
[skeleton]
input_shape = [1, 8, 8]
classes = 10
stages = [{layers = 2, width = 4}]
[space]
distances = [1, 2]
merges = ["add", "scale"]
strengths = [1.0]
[proxy]
epochs = 2
images = 64
validation_images = 100
batch = 32
"""


@pytest.fixture
def toml(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TOML)
    return path


def request(toml, **more):
    values = {
        "seeds": 2, "longer": 2, "sample": 3, "best": 2, "best_seeds": 2, "workers": 1, "device": "cpu",
        "out": toml.with_suffix(".npz"),
    }  # fmt: skip
    return TableRequest(space=str(toml), **{**values, **more})


def trained(contents):
    return [
        {*zip(rows.number.tolist(), rows.seed.tolist(), strict=True)} for rows in contents.trainings
    ]


def test_a_build_is_stopped_goes_on_and_trains_nothing_twice(toml):
    stops = iter([False] * 12 + [True] * 1000)
    assert build_table(request(toml), stop=lambda: next(stops), make_pool=here) is None
    begun = sum(map(len, Contents.read(toml.with_suffix(".npz")).trainings))
    assert 0 < begun < 49
    told = []
    found = build_table(
        request(toml), lambda done, total, share: told.append((done, total, share)), make_pool=here
    )
    patterns = (1 + 2) * (1 + 2 * 3)  # plain or two merges of distance 1; of one or both distances
    assert len(found.numbers) == patterns
    assert told[0][0] == begun
    assert told[-1] == (total := 2 * patterns + 3 + 2 * 2, total, 1.0)
    assert len(told) - 3 == total - begun  # each stage tells where it begins
    proxy, longer = trained(Contents.read(toml.with_suffix(".npz")))
    assert len(proxy) == 2 * patterns + 4
    assert {seed for _, seed in proxy} == {0, 1, 2, 3}
    assert len(longer) == 3


def test_a_table_holds_what_trainings_find(toml):
    build_table(request(toml, patterns=3, sample=1, best=1), make_pool=here)
    table, data = Table(toml.with_suffix(".npz")), load_data("digits")
    assert len(table) == 3
    for genome in table.genomes:
        own = evaluate(genome, table.space.skeleton, table.space.proxy, 1, data, "cpu")
        found = table.query(genome, seed=1)
        assert found.accuracies == own.accuracies
        assert found.losses == pytest.approx(own.losses, rel=1e-3)
        assert (found.params, found.macs) == (own.params, own.macs)
    small = {genome.key for genome in table.genomes}
    build_table(request(toml, patterns=5, sample=1, best=1), make_pool=here)
    assert {genome.key for genome in Table(toml.with_suffix(".npz")).genomes} > small


def test_other_trainings_are_refused(toml, capsys):
    build_table(request(toml, patterns=2, sample=0, best=0, seeds=1), make_pool=here)
    toml.write_text(TOML.replace("epochs = 2", "epochs = 3"))
    with pytest.raises(InputError, match="of other trainings"):
        build_table(request(toml), make_pool=here)
    held = Contents.read(out := toml.with_suffix(".npz"))
    replace(held, header=replace(held.header, trainer=0)).write(out)
    toml.write_text(TOML)
    with pytest.raises(InputError, match="trainer is 0"):
        build_table(request(toml), make_pool=here)
    assert "npz" in refused(capsys, "table", "build", toml, "--out", "a.txt")
    assert "no folder" in refused(capsys, "table", "build", toml, "--out", "/nowhere/a.npz")
    many = TOML.replace("layers = 2", "layers = 30")
    toml.write_text(many)
    assert "gene vectors" in refused(capsys, "table", "build", toml, "--out", toml.parent / "b.npz")


def test_the_sample_is_even_over_the_ranks(toml):
    found = build_table(request(toml, sample=5, best=0, seeds=1), make_pool=here)
    rows = found.trainings[0]
    ranked = rows.number[np.argsort(-rows.scores[:, -1], kind="stable")].tolist()
    places = sorted(ranked.index(number) for number in found.trainings[1].number.tolist())
    assert places == [0, 5, 10, 15, 20]

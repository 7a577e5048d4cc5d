"""Tables: files that give back what was put in, queries, and what is refused."""

from dataclasses import fields, replace

import numpy as np
import pytest

from nas import Genome, InputError, Table
from nas.evaluation.result import Evaluation
from nas.tables.file import Contents
from nas.tables.numbers import number_of, numbered
from nas.tables.rows import Rows
from tests.nas.tables.tables import EPOCHS, SPACE, contents


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "tiny.npz"
    contents().write(path)
    return path


@pytest.fixture(scope="module")
def table(path):
    return Table(path)


def test_a_file_gives_back_what_was_put_in(path):
    made, read = contents(), Contents.read(path)
    assert read.header == made.header
    for name in ("numbers", "params", "macs"):
        np.testing.assert_array_equal(getattr(read, name), getattr(made, name))
    for before, after in zip(made.trainings, read.trainings, strict=True):
        np.testing.assert_array_equal(after.scores, before.scores)  # shares of whole images
        for column in fields(Rows):
            ours, its = getattr(before, column.name), getattr(after, column.name)
            np.testing.assert_allclose(its, ours, rtol=1e-3)


def test_every_pattern_is_there_once_and_has_a_number(table):
    assert len(table) == SPACE.distinct == len({genome.key for genome in table.genomes})
    for number, genome in zip(table.contents.numbers, table.genomes, strict=True):
        assert number_of(SPACE, genome) == number
        assert numbered(SPACE, int(number)) == genome


def test_a_query_is_the_training(table):
    made = contents()
    genome, row = table.genomes[10], 3 * 10 + 1
    found = table.query(genome, seed=1)
    assert (found.genome, found.seed, found.status) == (genome, 1, "ok")
    assert found.accuracies == tuple(made.trainings[0].scores[row])
    assert found.accuracy == found.accuracies[-1]
    assert (found.params, found.macs) == (made.params[10], made.macs[10])
    assert found.test == pytest.approx((0.5, 1.25), rel=1e-3)
    longer = table.query(genome, epochs=EPOCHS[1])
    assert len(longer.accuracies) == EPOCHS[1]


def test_fewer_epochs_are_the_beginning_and_their_share_of_the_seconds(table):
    genome = table.genomes[3]
    whole, part = table.query(genome), table.query(genome, epochs=2)
    assert part.accuracies == whole.accuracies[:2]
    assert part.losses == whole.losses[:2]
    assert part.seconds == pytest.approx(whole.seconds * 2 / 3)
    assert part.test is None


def test_what_diverged_has_no_score_and_what_it_had_before(tmp_path):
    made = contents()
    genome = numbered(SPACE, int(made.numbers[0]))
    evaluation = Evaluation(
        genome, 9, "diverged", "the loss is not finite", 0.0, (0.25,), (2.0,), (), 1, 1, 1.0, None,
        scored_losses=(2.0,),
    )  # fmt: skip
    rows = made.trainings[0].joined([int(made.numbers[0])], [evaluation])
    replace(made, trainings=(rows, made.trainings[1])).write(tmp_path / "a.npz")
    table = Table(tmp_path / "a.npz")
    found = table.query(genome, seed=9)
    assert (found.status, found.accuracy, len(found.accuracies)) == ("diverged", 0.0, 1)
    assert table.query(genome, epochs=1, seed=9).status == "ok"


def refused(words, ask):
    with pytest.raises(InputError, match=words) as found:
        ask()
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("layer 1 'concat", {"genome": "concat(1)*4"}),
        ("5 layers", {"genome": "add(1)*5"}),
        ("seed 7; allowed: 0, 1, 2", {"seed": 7}),
        ("4 epochs are not there; allowed: 1 to 3, and 15", {"epochs": 4}),
        ("0 epochs", {"epochs": 0}),
        ("not trained for longer", {"epochs": 15}),
    ],
)
def test_what_is_not_there_is_one_line(table, words, asked):
    given = {"genome": str(table.genomes[1]), **asked}
    refused(words, lambda: table.query(Genome.parse(given.pop("genome")), **given))


def test_a_part_of_a_space_and_an_unfinished_build(tmp_path):
    made = contents()
    kept = np.isin(made.trainings[0].number, made.numbers[5:])
    less = Rows(**{f.name: getattr(made.trainings[0], f.name)[kept][1:] for f in fields(Rows)})
    part = {name: getattr(made, name)[5:] for name in ("numbers", "params", "macs")}
    replace(made, trainings=(less, Rows.empty(15)), **part).write(tmp_path / "part.npz")
    table = Table(tmp_path / "part.npz")
    outside = numbered(SPACE, int(made.numbers[2]))
    assert outside not in table
    refused("a part of its space", lambda: table.query(outside))
    refused("is not complete", lambda: table.query(table.genomes[0]))


def test_damaged_and_foreign_files_are_one_line(path, tmp_path):
    whole = bytearray(path.read_bytes())
    refused("unknown table 'nothing'", lambda: Table("nothing"))
    refused("no such file", lambda: Table(tmp_path / "nothing.npz"))
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    refused("no table", lambda: Table(tmp_path / "other.npz"))
    with np.load(path) as arrays:
        changed = {name: arrays[name].copy() for name in arrays}
    changed["proxy/scores"][0, 0] += 1
    np.savez(tmp_path / "changed.npz", **changed)
    refused("checksum", lambda: Table(tmp_path / "changed.npz"))
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    refused("not a readable", lambda: Table(tmp_path / "cut.npz"))
    made = contents()
    replace(made, header=replace(made.header, format=99)).write(tmp_path / "new.npz")
    refused("version 99", lambda: Table(tmp_path / "new.npz"))


def test_another_trainers_table_is_read(tmp_path):
    made = contents()
    replace(made, header=replace(made.header, trainer=1)).write(tmp_path / "old.npz")
    assert Table(tmp_path / "old.npz").query(numbered(SPACE, int(made.numbers[0]))).status == "ok"


def test_luck_is_drawn_by_search_and_pattern(table):
    draws = [[table.drawn(genome, seed) for genome in table.genomes] for seed in range(3)]
    assert draws[0] == [table.drawn(genome, 0) for genome in table.genomes]
    assert draws[0] != draws[1]
    assert {seed for row in draws for seed in row} == {*table.seeds}

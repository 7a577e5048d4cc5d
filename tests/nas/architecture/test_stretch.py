"""Patterns of other depths."""

import pytest

from nas import Genome, InputError, plan
from nas.architecture.references import REFERENCES, reference
from nas.architecture.stretch import deepened, stretched
from search_spaces import SPACES

SKELETON = SPACES["digits9"].skeleton


@pytest.mark.parametrize(
    ("notation", "deeper"),
    [
        ("[add(1) - scale(1,3)]*3", "[add(1) - scale(1,3)]*6"),
        ("add(1)*9 lr=0.1", "add(1)*18 lr=0.1"),
        ("add(1) add(1,2) add(1,2,3)*7", "add(1) add(1,2) add(1,2,3)*16"),
        ("add(1) -*2 gate(1)*2 - se(4)*3", "add(1) -*2 add(1) -*2 gate(1)*2 - gate(1)*2 - se(4)*6"),
    ],
)
def test_a_motif_is_tiled_on_and_other_patterns_go_stage_by_stage(notation, deeper):
    genome = stretched(Genome.parse(notation), SKELETON, 18)
    assert str(genome) == deeper
    assert len(plan(genome, deepened(SKELETON, 18)).layers) == 18


@pytest.mark.parametrize("layers", [0, 8, 10, 26])
def test_what_cannot_be_stretched_is_refused(layers):
    with pytest.raises(InputError, match=f"{layers} layers: the skeleton has 9"):
        stretched(Genome.residual(9), SKELETON, layers)


def test_references_have_any_depth():
    assert reference("residual", 5) == Genome.residual(5)
    assert reference("dense", 5) == Genome.dense(5)
    assert str(reference("every-second", 5)) == "[- add(2)]*2 -"
    assert str(reference("distance-2", 4)) == "- add(2)*3"
    assert str(reference("densenet", 4)) == "concat(1) concat(1,2) concat(1,2,3)*2"
    assert all(len(reference(name, 7)) == 7 for name in REFERENCES)
    with pytest.raises(InputError, match="reference"):
        reference("nothing", 5)

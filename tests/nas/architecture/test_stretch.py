"""Patterns of other depths."""

import pytest

from nas import Genome, InputError, plan
from nas.architecture.references import REFERENCES, reference
from nas.architecture.skeletons.convolutional import Skeleton, Stage
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
    five = Skeleton((3, 32, 32), 10, (Stage(5, 16),))
    assert reference("residual", five) == Genome.residual(5)
    assert reference("dense", five) == Genome.dense(5)
    assert str(reference("every-second", five)) == "[- add(2)]*2 -"
    assert str(reference("distance-2", five)) == "- add(2)*4"
    assert str(reference("densenet", five)) == "concat(1) concat(1,2) concat(1,2,3)*3"
    assert all(len(reference(name, SKELETON)) == 9 for name in REFERENCES)
    with pytest.raises(InputError, match="reference"):
        reference("nothing", five)


@pytest.mark.parametrize(
    ("name", "space", "notation"),
    [
        ("unet", "unet", "-*3 concat(m)*2"),
        ("u-skips", "unet", "add(1)*3 add(1,m) add(1)"),
        ("u-skips", "gpt12", "add(1)*7 add(1,m) add(1) add(1,m) add(1) add(1,m)"),
        ("u-skips", "digits9", "add(1)*9"),
        ("x0", "gpt12", "add(1) mix(1,0) [add(1) mix(1,0)]*5"),
    ],
)
def test_references_lose_what_a_skeleton_does_not_have(name, space, notation):
    assert reference(name, SPACES[space].skeleton) == Genome.parse(notation)

"""The Transformer as a skeleton: its record, its sizes, its mirrored nodes, and what it refuses."""

import json
import random
from dataclasses import asdict

import pytest

from nas import Genome, InputError, SearchSpace, plan
from nas.architecture.matching import matched
from nas.architecture.skeletons.families import read_skeleton
from nas.architecture.skeletons.transformer import Transformer
from nas.architecture.stretch import deepened, stretched
from nas.drawing.figure import draw, save
from nas.drawing.svg import plan_svg
from nas.drawing.text import text_rows
from nas.proxy import Proxy

TEXT = Transformer((12,), 9, 3, 16, 4)
PICTURES = Transformer((3, 8, 12), 5, 3, 16, 4, patch=4, positions="rotary", norm="rms")


@pytest.mark.parametrize("skeleton", [TEXT, PICTURES])
def test_its_record_is_read(skeleton):
    assert read_skeleton(json.loads(json.dumps(asdict(skeleton)))) == skeleton


def test_shapes_and_what_networks_give():
    assert TEXT.shapes == ((12, 16),) * 7
    assert PICTURES.shapes == ((1 + 2 * 3, 16),) * 7
    assert (TEXT.outputs, PICTURES.outputs) == ("symbols", "classes")
    assert (TEXT.side, PICTURES.side) == (12, 8)
    assert TEXT.for_data((3, 8, 8), 4).shapes[0] == (1 + 2 * 2, 16)
    assert [TEXT.layer_name(index) for index in (1, 2, 5, 6)] == ["attention", "MLP"] * 2


def test_parameters_of_a_block_are_12_d_squared():
    """Kaplan et al. (2020, table 1): 12·D² without biases and norms, and 2·T·D MACs of attention a token."""
    residual = Genome.residual(2)
    skeleton = Transformer((10,), 7, 1, 32, 4, norm="rms", bias=False, positions="none")
    planned = plan(residual, skeleton)
    assert planned.params == 12 * 32**2 + 3 * 32 + 2 * 7 * 32
    assert planned.macs == 10 * (12 * 32**2 + 2 * 10 * 32 + 7 * 32)


@pytest.mark.parametrize("blocks", [1, 2, 5, 12, 13])
def test_blocks_mirror_as_in_u_vit(blocks):
    """Its blocks push their outputs on a stack on the way in, and pop them on the way out."""
    skeleton = Transformer((12,), 9, blocks, 16, 4)
    half, expected = blocks // 2, {}
    stack = [2 * block for block in range(1, half + 1)]
    for block in range(blocks - half + 1, blocks + 1):
        into, popped = 2 * (block - 1), stack.pop()
        if into != popped:  # with an even number of blocks, the innermost reads its own input
            expected[into] = popped
    between = range(2, 2 * blocks, 2)
    found = {index: node for index in between if (node := skeleton.mirror(index)) is not None}
    assert found == expected
    assert all(skeleton.mirror(index) is None for index in range(1, blocks + 1))
    assert skeleton.mirror(2 * blocks) == 0


def test_it_is_stretched_and_widened():
    genome = Genome.parse("[add(1) add(1,2)]*3")
    assert deepened(TEXT, 12).blocks == 6
    assert stretched(genome, TEXT, 12) == Genome.parse("[add(1) add(1,2)]*6")
    assert all(TEXT.widened((hidden,)).hidden == hidden for hidden in range(1, 200))
    assert TEXT.widened((96,)).tokens == TEXT.tokens
    with pytest.raises(InputError, match="no widths give"):
        matched(genome, TEXT, "params", 10**6)


def test_a_space_of_it():
    space = SearchSpace(TEXT, (1, 2, 4), ("add", "scale"), (1.0,), proxy=Proxy(task="language"))
    for seed in range(5):
        genome = space.sample(random.Random(seed))
        assert space.decode(space.encode(genome)).key == genome.key
        assert len(plan(genome, TEXT).layers) == 6


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"heads": 3}, "width 16 must be a multiple of its 3 heads"),
        ({"heads": 16, "positions": "rotary"}, "heads of an even width, not 1"),
        ({"causal": False}, "causal must be true"),
        ({"input_shape": (3, 8)}, r"\(C, H, W\) of pictures or \(T,\) of texts, not \(3, 8\)"),
        ({"input_shape": (3, 9, 8)}, "pictures of 9×8 cannot be cut into patches of side 4"),
        ({"input_shape": (3, 8, 8), "causal": True}, "pooling must be 'mean'"),
        ({"input_shape": (0,)}, "input_shape is 0; it must be from 1"),
        ({"blocks": 0}, "blocks is 0; it must be from 1"),
        ({"blocks": 5001}, "blocks is 5001; it must be from 1 to 5000"),
        ({"classes": 1}, "classes is 1; it must be from 2"),
        ({"mlp_ratio": 0.01}, "mlp_ratio is 0.01; it must be from 0.0625"),
        ({"mlp_ratio": float("nan")}, "mlp_ratio is nan"),
        ({"epsilon": 0.0}, "epsilon is 0.0"),
        ({"norm": "batch"}, "unknown norm 'batch': .*allowed: layer, none, rms"),
        ({"positions": "alibi"}, "unknown positions 'alibi'"),
    ],
)
def test_what_is_refused(change, why):
    values = {**asdict(TEXT), **change}
    with pytest.raises(InputError, match=why) as refused:
        Transformer(**values)
    assert "\n" not in str(refused.value)


def test_a_merge_for_maps_is_refused():
    with pytest.raises(InputError, match=r"layer 1 'se\(1\)': merge 'se' is for maps .*: add, "):
        plan(Genome.parse("se(1) -*5"), TEXT)


def test_pictures_name_attention_and_mlps(tmp_path):
    genome = Genome.parse("add(1)*4 add(1,4) scale(1,2)")
    drawn = plan_svg(plan(genome, TEXT))
    assert drawn.count(">attention</text>") == drawn.count(">MLP</text>") == 3
    assert "layer 5 (attention): add(1,4), 12×16" in drawn
    rows = text_rows(genome, TEXT)
    assert [row[0] for row in rows[:3]] == ["0", "1 attention", "2 MLP"]
    figure = draw(genome, TEXT)
    words = {text.get_text() for text in figure.axes[0].texts}
    assert {"attention", "MLP", "stage 1: 12×16"} <= words
    assert save(figure, tmp_path / "drawn.png").stat().st_size > 10_000

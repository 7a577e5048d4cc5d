"""The U-Net's plan: its nodes, what `m` names, what a layer may have."""

import json
import random
from dataclasses import asdict, replace

import pytest
import torch

from nas import Genome, InputError, SearchSpace, plan
from nas.architecture.matching import matched
from nas.architecture.parts import Chain
from nas.architecture.skeletons.families import read_skeleton
from nas.architecture.skeletons.unet import UNet
from nas.architecture.stretch import deepened, stretched
from nas.proxy import Proxy
from nas.training.precision import resolved

UNET = UNet((3, 13, 10), 5, (4, 6, 8), per_level=2)


def test_its_nodes_go_down_and_up_again():
    sides = [(13, 10)] * 3 + [(7, 5)] * 2 + [(4, 3)] * 2 + [(7, 5)] * 2 + [(13, 10)] * 2
    assert [shape[1:] for shape in UNET.shapes] == sides
    assert [shape[0] for shape in UNET.shapes] == [4, 4, 4, 6, 6, 8, 8, 6, 6, 4, 4]
    assert [UNET.stage(index) for index in range(1, 11)] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert UNET.head_part.shape == (5, 13, 10)
    assert UNET.outputs == "map"


def test_its_mirrored_nodes_have_the_shape_of_the_layer():
    mirrors = [UNET.mirror(index) for index in range(1, 11)]
    assert mirrors == [None] * 6 + [4, 4, 2, 2]
    for index, node in enumerate(mirrors, 1):
        if node is not None:
            assert UNET.adapter_part(node, index) is None
            assert UNET.shapes[node] == UNET.shapes[index]


@pytest.mark.parametrize("more", [{}, {"block": "bottleneck"}, {"stem": "none", "up": "nearest"}])
def test_all_nodes_reach_all_later_layers(more):
    skeleton = UNet((3, 21, 9), 2, (4, 4, 8, 2), **more)
    for target in range(1, skeleton.layers + 1):
        for source in range(target):
            adapter = skeleton.adapter_part(source, target)
            shape = skeleton.shapes[source] if adapter is None else adapter.shape
            assert shape == skeleton.shapes[target]
            if isinstance(adapter, Chain):
                assert adapter.steps[0][1].inputs == skeleton.shapes[source]


def test_a_merge_that_reads_the_smaller_map_is_refused():
    with pytest.raises(
        InputError, match=r"layer 7 'gate\(1\)': merge 'gate' reads .*; allowed: add, "
    ):
        plan(Genome.parse("-*6 gate(1) -*3"), UNET)
    for merge in ("gate", "dense", "concat", "se"):
        assert UNET.lacks(merge, 6) == UNET.lacks(merge, 8) == ""
        assert bool(UNET.lacks(merge, 9)) == (merge == "gate")


def test_it_is_searched_stretched_and_widened():
    space = SearchSpace(UNET, (1, 3, 7), ("add", "concat"), (1.0,), proxy=Proxy(task="denoising"))
    genome = space.sample(random.Random(0))
    assert space.decode(space.encode(genome)) == genome
    assert len(stretched(genome, UNET, 20)) == deepened(UNET, 20).layers == 20
    wider = matched(genome, UNET, "params", round(1.3 * plan(genome, UNET).params))
    assert plan(genome, wider).params > 1.2 * plan(genome, UNET).params


def test_its_record_is_read():
    record = json.loads(json.dumps(asdict(UNET)))
    assert read_skeleton(record) == UNET
    assert UNET.for_data((1, 8, 8), 1).input_shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"levels": (4,)}, "at least two levels"),
        ({"levels": (4, 0)}, "levels has 0; 1 to 65536"),
        ({"levels": (1,) * 6}, "too small for 6 levels: the least side is 17"),
        ({"classes": 0}, "classes has 0"),
        ({"per_level": 10_000}, "50000 layers; at most 10000"),
        ({"stem": "7x7"}, "unknown stem '7x7'"),
        ({"block": "conv"}, "unknown block 'conv'"),
        ({"up": "linear"}, "unknown up 'linear'"),
        ({"input_shape": (8, 8)}, "input_shape is"),
    ],
)
def test_what_is_refused(change, message):
    values = {"input_shape": (1, 16, 16), "classes": 2, "levels": (4, 6, 8)}
    with pytest.raises(InputError, match=message):
        UNet(**{**values, **change})


def test_it_reads_one_size_of_pictures():
    small = Proxy(task="denoising", resolution=8)
    space = SearchSpace(UNET, (1,), proxy=small, final=small).for_data((1, 28, 28), 10)
    assert space.skeleton.input_shape == (1, 8, 8)
    assert space.skeleton.classes == 1
    with pytest.raises(InputError, match="proxy and final need the same resolution"):
        SearchSpace(UNET, (1,), proxy=small, final=Proxy(task="denoising"))
    with pytest.raises(InputError, match="read pictures with a side of 8 alone"):
        resolved(replace(small, resolution=4), space.skeleton, torch.device("cpu"))

"""The protocol of skeletons: a family of another kind is planned, searched, compiled and trained."""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod

import pytest
import torch
from torch import nn

from nas import (  # fmt: skip
    Genome,
    InputError,
    Proxy,
    SearchSpace,
    Skeleton,
    Stage,
    compile_network,
    evaluate,
    load_data,
    plan,
)
from nas.architecture.merges import Site
from nas.architecture.parts import Chain, Project, Relu
from nas.architecture.skeletons.families import FAMILIES, read_skeleton
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.files.settings import from_mapping
from nas.network.modules import MODULES
from tests.test_architecture import MODULES as SOURCES
from tests.test_architecture import imported


@dataclass(frozen=True)
class Flatten:
    inputs: tuple[int, ...]
    params = macs = 0

    @property
    def shape(self):
        return (prod(self.inputs),)


@dataclass(frozen=True)
class Features(AnySkeleton):
    """Linear layers of one width; skips start from even nodes."""

    depth: int = 4
    width: int = 16
    family: str = "features"

    @property
    def layers(self):
        return self.depth

    @property
    def shapes(self):
        return ((self.width,),) * (1 + self.depth)

    @property
    def stem_part(self):
        flat = Flatten(tuple(self.input_shape))
        return Chain.of(flat=flat, linear=Project(flat.shape, self.width))

    @property
    def head_part(self):
        return Project((self.width,), self.classes)

    def branch(self, index):
        return Chain.of(linear=Project((self.width,), self.width), relu=Relu((self.width,)))

    def adapter_part(self, source, target):
        return None

    def site(self, index, skips):
        return Site((self.width,), (self.width,), 1, skips, True, lambda shape: None, lambda: self.branch(index))  # fmt: skip

    def sources(self, index) -> Sequence[int]:
        return range(0, index, 2)

    def lacks(self, merge, index):
        return "" if merge in ("add", "scale", "graft") else f"merge {merge!r} is for maps"

    def for_data(self, input_shape, classes):
        return Features(input_shape, classes, self.depth, self.width)


@pytest.fixture(autouse=True)
def family(monkeypatch):
    monkeypatch.setitem(FAMILIES, "features", Features)
    monkeypatch.setitem(MODULES, Flatten, lambda part: nn.Flatten())


SPACE = SearchSpace(Features((1, 8, 8), 10), (1, 2, 3), ("add", "scale", "graft"), (1.0,))


def test_a_space_has_the_skips_that_the_family_allows():
    assert SPACE.reachable == ((1,), (2,), (1, 3), (2,))
    with pytest.raises(InputError, match=r"layer 2 'add\(1\)': distance 1: .* cannot read node 1"):
        plan(Genome.residual(4), SPACE.skeleton)
    with pytest.raises(InputError, match=r"layer 1 'se\(1\)': merge 'se' is for maps"):
        plan(Genome.parse("se(1) -*3"), SPACE.skeleton)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_planned_and_compiled(seed):
    genome = SPACE.sample(random.Random(seed))
    network, planned = compile_network(genome, SPACE.skeleton, seed), plan(genome, SPACE.skeleton)
    learnt = sum(parameter.numel() for parameter in network.parameters())
    own = sum(p.size for layer in planned.layers for _, p in layer.learnt)
    assert planned.params == learnt == 65 * 16 + 4 * 17 * 16 + 17 * 10 + own
    assert planned.macs == 64 * 16 + 4 * 16 * 16 + 16 * 10
    again = compile_network(genome, SPACE.skeleton, seed)
    pictures = torch.randn(3, 1, 8, 8)
    assert torch.equal(network(pictures), again(pictures))


def test_it_is_trained():
    genome, proxy = (
        Genome.parse("add(1) - add(1,3) add(2)"),
        Proxy(epochs=6, batch=32, learning_rate=0.02),
    )
    found = evaluate(genome, SPACE.skeleton, proxy, 0, load_data("digits"), "cpu")
    assert found.status == "ok"
    assert found.accuracy > 0.6


def test_records_are_read_by_their_family():
    convolutional = Skeleton((1, 8, 8), 10, (Stage(2, 4),))
    assert "family" not in asdict(convolutional)
    for skeleton in (SPACE.skeleton, convolutional):
        record = json.loads(json.dumps(asdict(skeleton)))
        assert read_skeleton(record) == skeleton
        fields = {"skeleton": record, "distances": [1]}
        assert from_mapping(SearchSpace, fields, "space").skeleton == skeleton
    with pytest.raises(InputError, match="space: skeleton: unknown family of skeletons 'feature'"):
        from_mapping(SearchSpace, {"skeleton": {"family": "feature"}}, "space")


@pytest.mark.parametrize("module", ["plan", "space", "stretch", "matching"])
def test_what_is_searched_knows_no_family(module):
    others = {"nas.network.network", "nas.network.compile", "nas.training.lockstep"}
    for name in (f"nas.architecture.{module}", *others):
        assert "nas.architecture.skeletons.convolutional" not in set(imported(SOURCES[name]))

"""Merges by their formulas, on maps, tokens and features; what is left of them without a skip."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nas import Genome, Skeleton, Stage, compile_network, plan, wrap
from nas.architecture.merges import MERGES, Site
from nas.architecture.parts import Chain, Norm, Project
from nas.devices.device import one_thread
from nas.network.compile import initialise
from nas.network.network import Merged
from studies.knockouts.lesions import without_skip
from tests.conftest import random_genome

MAP, TOKENS, FEATURES = (8, 3, 5), (6, 8), (8,)
SHAPES = (MAP, TOKENS, FEATURES)
TOKEN_MERGES = ("add", "scale", "channel", "gate", "concat", "graft", "mix", "layerscale", "route")


@pytest.fixture(scope="module", autouse=True)
def alone():
    """Threads cost more than such small networks do."""
    with one_thread(torch.device("cpu")):
        yield


def texts():
    """A model of tokens (T, D) whose width changes half-way."""
    blocks = [
        nn.Sequential(nn.Linear(a, b), nn.GELU()) for a, b in ((8, 8), (8, 12), (12, 12), (12, 12))
    ]
    return nn.Sequential(nn.Linear(4, 8), nn.Sequential(*blocks), nn.Flatten(), nn.Linear(72, 5))


@pytest.fixture(scope="module")
def on_tokens():
    return wrap(texts, (6, 4), 5, "1")


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def placed(name, shape, skips, norm=None):
    """A merge with its parts, whose learnt numbers are not those it begins with, and its inputs."""
    site = Site(
        shape, shape, 1, skips, True, norm or (lambda shape: None),
        lambda: Chain.of(linear=Project(shape, shape[-1])),
    )  # fmt: skip
    merge = Merged(name, tuple(MERGES[name].parts(site).items()))
    initialise(merge, "pytorch", 0)
    with torch.no_grad():
        for seed, parameter in enumerate(merge.parameters()):
            parameter.add_(0.5 * numbers(*parameter.shape, seed=seed))
    branch, previous, *rest = numbers(2 + skips, 2, *shape, seed=9)
    return merge, branch, list(rest), previous


def last(x):
    """With the channels last."""
    return x.movedim(1, -1)


def first(x, like):
    return x.movedim(-1, 1) if like.ndim == 4 else x


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_random_genomes_between_tokens(on_tokens, seed):
    genome = random_genome(4, random.Random(seed), list(TOKEN_MERGES))
    network, planned = compile_network(genome, on_tokens), plan(genome, on_tokens)
    assert planned.params == sum(parameter.numel() for parameter in network.parameters())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(numbers(1, 6, 4))
    assert 2 * planned.macs == counter.get_total_flops()
    logits = network(numbers(3, 6, 4))
    assert logits.shape == (3, 5)
    assert logits.isfinite().all()
    logits.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    twin = compile_network(Genome.parse(genome.key), on_tokens)
    assert torch.equal(twin(numbers(3, 6, 4)), logits)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["channel", "layerscale"])
def test_a_factor_of_every_channel(name, shape):
    merge, f, skips, h = placed(name, shape, 2)
    channels = last(f) if f.ndim == 4 else f
    expected = first(merge.weight * channels, f) + skips[0] + skips[1]
    torch.testing.assert_close(merge(f, skips, h), expected)


def test_layerscale_begins_as_in_cait_and_convnext():
    merge = Merged("layerscale", tuple(MERGES["layerscale"].parts(_site(TOKENS)).items()))
    initialise(merge, "pytorch", 0)
    torch.testing.assert_close(merge.weight.detach(), torch.full((8,), 1e-6))


def _site(shape, skips=3):
    return Site(shape, shape, 1, skips, True, lambda shape: None, lambda: Chain(()))


@pytest.mark.parametrize("shape", SHAPES)
def test_mix_has_a_number_for_the_branch_and_for_every_skip(shape):
    merge, f, skips, h = placed("mix", shape, 3)
    merge.beta.data[1] = -2.0
    expected = merge.alpha * f
    for beta, skip in zip(merge.beta, skips, strict=True):
        expected = expected + beta * skip
    torch.testing.assert_close(merge(f, skips, h), expected)


def test_mix_begins_as_add_with_its_strengths():
    skeleton = Skeleton((1, 6, 6), 3, (Stage(3, 4),))
    mixed, added = (
        compile_network(Genome.parse(f"- {name}(1,2@0.5) {name}(1,3)"), skeleton).eval()
        for name in ("mix", "add")
    )
    torch.testing.assert_close(mixed(numbers(2, 1, 6, 6)), added(numbers(2, 1, 6, 6)))


@pytest.mark.parametrize("shape", SHAPES)
def test_route_shares_every_position_by_a_softmax_over_the_skips(shape):
    """Against PyTorch's own norm and softmax, with the channels last."""
    merge, f, skips, h = placed("route", shape, 3)
    values = torch.stack([last(skip) if skip.ndim == 4 else skip for skip in skips], -2)
    keys = nn.functional.rms_norm(values, (8,), eps=1e-6)  # (…, 3, 8)
    shares = (keys @ merge.query).softmax(-1)
    assert shares.std() > 0.1
    expected = f + first((shares.unsqueeze(-1) * values).sum(-2), f)
    torch.testing.assert_close(merge(f, skips, h), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_route_begins_as_the_mean_and_learns_where_skips_differ(shape):
    merge, f, skips, h = placed("route", shape, 3)
    merge.query.data.zero_()
    torch.testing.assert_close(merge(f, skips, h), f + torch.stack(skips).mean(0))
    merge(f, skips, h).square().sum().backward()
    assert (merge.query.grad != 0).all()
    merge.query.grad = None
    merge(f, [skips[0]] * 3, h).square().sum().backward()  # equal ones cannot be told apart
    torch.testing.assert_close(merge.query.grad, torch.zeros(8), atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_gate_reads_the_layers_input(shape):
    merge, f, skips, h = placed("gate", shape, 2)
    weight = merge.transform.conv.weight.reshape(8, 8)
    read = last(h) if h.ndim == 4 else h
    t = first(torch.sigmoid(read @ weight.T + merge.transform.conv.bias), f)
    torch.testing.assert_close(merge(f, skips, h), t * f + (1 - t) * sum(skips))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_gate_leans_to_the_skip_at_first(shape):
    merge = Merged("gate", tuple(MERGES["gate"].parts(_site(shape)).items()))
    initialise(merge, "pytorch", 0)
    assert (merge.transform.conv.bias == -2).all()


@pytest.mark.parametrize("shape", [TOKENS, FEATURES])
def test_dense_has_a_second_branch_on_tokens_too(shape):
    merge, f, skips, h = placed("dense", shape, 2)
    torch.testing.assert_close(merge(f, skips, h), f + merge.branch.linear(h) + sum(skips))


@pytest.mark.parametrize("shape", SHAPES)
def test_concat_projects_branch_and_skips(shape):
    merge, f, skips, h = placed("concat", shape, 2)
    weight = merge.project.conv.weight.reshape(8, 24)
    side_by_side = torch.cat([last(x) if x.ndim == 4 else x for x in (f, *skips)], -1)
    expected = first(side_by_side @ weight.T + merge.project.conv.bias, f)
    torch.testing.assert_close(merge(f, skips, h), expected)


def test_the_norm_of_concat_is_the_sites():
    asked = []

    def rule(shape):
        asked.append(shape)
        return Norm(shape) if len(shape) == 3 else None

    names = [[*dict(placed("concat", shape, 2, rule)[0].project.named_children())] for shape in SHAPES]  # fmt: skip
    assert names == [["conv", "norm"], ["conv"], ["conv"]]
    assert asked == [*SHAPES]


@pytest.mark.parametrize("gone", range(3))
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["concat", "graft", "mix"])
def test_what_is_left_of_a_sum_is_the_sum_without_the_skip(name, shape, gone):
    """A skip that is zero says nothing, and so does one that is not there."""
    merge, f, skips, h = placed(name, shape, 3)
    less = placed(name, shape, 2)[0]
    less.load_state_dict(MERGES[name].without(merge.state_dict(), gone))
    rest = [skip for i, skip in enumerate(skips) if i != gone]
    skips[gone] = torch.zeros_like(f)
    torch.testing.assert_close(less(f, rest, h), merge(f, skips, h))


@pytest.mark.parametrize("gone", range(3))
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_left_of_route_is_shared_among_the_others(shape, gone):
    """A skip whose score is far below the others' has no share."""
    merge, f, skips, h = placed("route", shape, 3)
    query = merge.query.data
    query *= 100
    less = placed("route", shape, 2)[0]
    less.load_state_dict(MERGES["route"].without(merge.state_dict(), gone))
    rest = [skip for i, skip in enumerate(skips) if i != gone]
    skips[gone] = -(query[:, None, None] if f.ndim == 4 else query).expand_as(f)
    torch.testing.assert_close(less(f, rest, h), merge(f, skips, h))


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_a_network_without_a_skip_is_the_one_with_the_skip_at_zero(on_tokens, seed, tokens):
    skeleton = on_tokens if tokens else Skeleton((1, 6, 6), 3, (Stage(2, 8), Stage(2, 12, 2)))
    names = sorted({*TOKEN_MERGES} if tokens else {*MERGES})
    genome = random_genome(4, random.Random(seed), [name for name in names if name != "route"])
    network, x = compile_network(genome, skeleton).eval(), numbers(2, *skeleton.input_shape)
    for index, layer in enumerate(genome.layers, 1):
        for place, skip in enumerate(layer.skips):
            cut = without_skip(network, index, skip.distance).eval()
            assert plan(cut.genome, skeleton).params == sum(p.numel() for p in cut.parameters())
            strengths = network.layers[str(index)].strengths
            if len(strengths) > 1:  # else the layer is plain, and its merge is gone
                strengths[place] = 0.0
                torch.testing.assert_close(cut(x), network(x))
                strengths[place] = float(skip.strength)

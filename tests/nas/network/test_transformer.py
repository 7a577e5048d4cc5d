"""Networks of the Transformer family against the plan, against formulas, and under PyTorch's tools."""

import random
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from nas import Genome, Proxy, compile_network, plan
from nas.architecture.skeletons.transformer import Transformer
from nas.network.parameters import flatten, in_precision
from nas.network.token_modules import rotated
from tests.conftest import random_genome
from tests.transformers import inputs_of, merges_of, skeletons


@settings(max_examples=25)
@given(skeletons(), st.integers(0, 10**6))
def test_random_genomes_on_random_skeletons(skeleton, seed):
    genome = random_genome(skeleton.layers, random.Random(seed), merges_of(skeleton))
    network, planned = compile_network(genome, skeleton, seed), plan(genome, skeleton)
    assert planned.params == sum(p.numel() for p in network.parameters())
    inputs = inputs_of(skeleton, 2, seed)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):  # the fused one is not counted
        network(inputs[:1])
    assert 2 * planned.macs == counter.get_total_flops()

    logits = network(inputs)
    steps = skeleton.input_shape if skeleton.text else ()
    assert logits.shape == (2, *steps, skeleton.classes)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    logits.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    optimizer.step()
    assert torch.isfinite(network(inputs)).all()

    twin = compile_network(Genome.parse(genome.key), skeleton, seed)
    assert torch.equal(twin(inputs), logits)


def small(text=True, **more):
    shape = (12,) if text else (3, 8, 8)
    return Transformer(shape, 9, 2, 16, 4, patch=2, **more)


GENOME = Genome.parse("add(1) scale(1,2@0.5) graft(3) add(1,4)")


@pytest.mark.parametrize("more", [{}, {"positions": "rotary"}, {"position": "post"}])
def test_a_symbol_is_foretold_from_those_before_it(more):
    network = compile_network(Genome.residual(4), small(**more))
    before = inputs_of(network.skeleton, 1)
    after = before.clone()
    after[0, 7] = (after[0, 7] + 1) % 9
    same = (network(before) == network(after)).all(-1)[0]
    assert same.tolist() == [True] * 7 + [False] * 5


def test_norms_stand_where_they_are_said_to():
    """The formulas of Xiong et al. (2020) and of the sandwich, written out."""
    for position in ("pre", "post", "sandwich"):
        network = compile_network(Genome.residual(4), small(position=position, epsilon=1e-3))
        layer, h = network.layers["2"], torch.randn(2, 12, 16)

        def mlp(x, b=layer.branch):
            return b.project(nn.functional.gelu(b.expand(x)))

        def norm(x):
            return nn.functional.layer_norm(x, (16,), eps=1e-3)

        expected = {
            "pre": lambda h: h + mlp(norm(h)),
            "post": lambda h: norm(h + mlp(h)),
            "sandwich": lambda h: h + norm(mlp(norm(h))),
        }[position](h)
        torch.testing.assert_close(layer(h, [h]), expected)


def test_root_mean_square_norm():
    branch = compile_network(Genome.residual(4), small(norm="rms", epsilon=1e-3)).layers["1"].branch
    h = torch.randn(2, 12, 16)
    torch.testing.assert_close(branch.norm(h), h / (h.square().mean(-1, True) + 1e-3).sqrt())


def test_attention():
    """softmax(Q·Kᵀ/√d)·V of every head (Vaswani et al. 2017, eq. 1), with the later ones left out."""
    branch = compile_network(Genome.residual(4), small()).layers["1"].branch
    x = torch.randn(2, 12, 48)
    q, k, v = (part.view(2, 12, 4, 4).transpose(1, 2) for part in x.split(16, 2))
    scores = q @ k.transpose(2, 3) / 4**0.5
    scores = scores.masked_fill(torch.ones(12, 12).triu(1).bool(), -torch.inf)
    expected = (scores.softmax(-1) @ v).transpose(1, 2).reshape(2, 12, 16)
    torch.testing.assert_close(branch.attend(x), expected)


def test_rotary_positions():
    """Pairs of values are complex numbers, which are multiplied by e^(i·t·10000^(-2j/d))."""
    x = torch.randn(2, 3, 7, 6, dtype=torch.float64)
    turns = torch.outer(torch.arange(7.0), 10_000.0 ** -(torch.arange(3.0) / 3)).double()
    turned = torch.complex(x[..., :3], x[..., 3:]) * torch.polar(torch.ones_like(turns), turns)
    expected = torch.cat([turned.real, turned.imag], -1)
    torch.testing.assert_close(rotated(x), expected, rtol=1e-6, atol=1e-6)


def test_weights_follow_from_seed_and_module_name_alone():
    first = compile_network(Genome.residual(4), small(), seed=3).state_dict()
    other = compile_network(GENOME, small(), seed=3).state_dict()
    assert all(torch.equal(first[name], other[name]) for name in first)
    changed = compile_network(GENOME, small(), seed=4).state_dict()
    drawn = [name for name in first if name.endswith("weight") and ".norm" not in name]
    assert not any(torch.equal(first[name], changed[name]) for name in drawn)
    assert len({first[name].flatten()[0].item() for name in drawn}) == len(drawn) == 11


def test_initial_weights_have_the_spread_of_gpt2():
    network = compile_network(Genome.residual(4), Transformer((40,), 60, 2, 128, 4))
    for name, value in network.named_parameters():
        if ".norm" in name:
            assert (value == float(name.endswith("weight"))).all(), name
        elif name.endswith("bias"):
            assert not value.any(), name
        else:
            assert value.std().item() == pytest.approx(0.02, rel=0.05), name
            assert abs(value.mean().item()) < 0.001, name


def test_what_is_decayed():
    network = compile_network(GENOME, small(text=False))
    flats = flatten(network, Proxy(weight_decay=0.1, precision="bf16"))
    kinds = {name: (flat.decay, flat.computed.dtype) for flat in flats for name in flat.names}
    assert kinds.keys() == {name for name, _ in network.named_parameters()}
    for name, kind in kinds.items():
        norm = ".norm" in name
        embedded = name in ("stem.token.weight", "stem.positions.weight")
        decayed = name.endswith("weight") and not norm and not embedded
        assert kind == (
            0.1 if decayed else 0.0, torch.float32 if norm else torch.bfloat16
        ), name  # fmt: skip


@pytest.mark.parametrize("norm", ["layer", "rms"])
@pytest.mark.parametrize("text", [True, False])
def test_bf16(text, norm):
    network = compile_network(
        GENOME, small(text, norm=norm, positions="rotary", position="sandwich")
    )
    inputs = inputs_of(network.skeleton, 3)
    expected = network(inputs)
    with in_precision(network, Proxy(precision="bf16")) as dtype:
        out = network(inputs.to(dtype))  # symbols below 256 are exact in it
        out.float().sum().backward()
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), expected, rtol=0.1, atol=0.02)
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("text", [True, False])
def test_export(text):
    network = compile_network(GENOME, small(text, positions="rotary")).eval()
    inputs = inputs_of(network.skeleton, 3)
    batch = {0: torch.export.Dim("batch", min=1)}
    program = torch.export.export(network, (inputs,), dynamic_shapes=(batch,))
    for count in (1, 3):
        torch.testing.assert_close(program.module()(inputs[:count]), network(inputs[:count]))


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler (g++)")
def test_torch_compile_in_one_graph():
    network = compile_network(GENOME, small(positions="rotary")).eval()
    inputs = inputs_of(network.skeleton, 3)
    compiled = torch.compile(network, fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(inputs), network(inputs), rtol=1e-4, atol=1e-5)


def test_it_learns_a_text():
    """Two blocks know a text of 15 different characters by heart after 60 steps of Adam."""
    text = "the cat sat on the mat and the dog ran to the log. " * 20
    symbols = sorted(set(text))
    numbers = torch.tensor([symbols.index(character) for character in text])
    generator = torch.Generator().manual_seed(0)
    network = compile_network(Genome.residual(4), Transformer((16,), len(symbols), 2, 32, 4))
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    for _ in range(60):
        starts = torch.randint(0, len(numbers) - 17, (8, 1), generator=generator)
        batch = numbers[starts + torch.arange(17)]
        logits = network(batch[:, :-1]).flatten(0, 1)
        loss = nn.functional.cross_entropy(logits, batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1  # guessing costs log(15) = 2.7

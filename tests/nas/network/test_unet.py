"""U-Nets and the modules of maps: random skeletons and genomes, formulas, and PyTorch's tools."""

import copy
import random
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nas import Genome, InputError, compile_network, plan
from nas.architecture import map_parts, parts
from nas.architecture.merges import MERGES
from nas.architecture.skeletons.blocks import BLOCKS
from nas.architecture.skeletons.unet import UNet
from nas.devices.device import one_thread
from nas.network.compile import initialise
from nas.network.modules import build
from nas.network.parameters import flatten, in_precision
from nas.proxy import Proxy
from tests.conftest import random_genome


@pytest.fixture(scope="module", autouse=True)
def alone():
    """Threads cost more than such small networks do."""
    with one_thread(torch.device("cpu")):
        yield


@st.composite
def unets(draw):
    while True:
        levels = tuple(draw(st.lists(st.integers(1, 12), min_size=2, max_size=4)))
        sides = draw(st.integers(3, 21)), draw(st.integers(3, 21))
        try:
            return UNet(
                (draw(st.sampled_from([1, 3])), *sides),
                draw(st.integers(1, 5)),
                levels,
                per_level=draw(st.integers(1, 2)),
                stem=draw(st.sampled_from(["3x3", "none"])),
                block=draw(st.sampled_from(sorted(BLOCKS))),
                norm=draw(st.sampled_from(["batch", "layer", "none"])),
                bias=draw(st.booleans()),
                down=draw(st.sampled_from(["pool", "stride"])),
                up=draw(st.sampled_from(["transposed", "nearest"])),
                init=draw(st.sampled_from(["pytorch", "he"])),
            )
        except InputError as error:
            assert "too small" in str(error)


def fitting(skeleton, rng):
    """A random genome without the merges that a layer lacks."""
    genome = random_genome(skeleton.layers, rng, sorted(MERGES))
    layers = [
        layer if not layer.merge or not skeleton.lacks(layer.merge, index) else type(layer)()
        for index, layer in enumerate(genome.layers, 1)
    ]
    return Genome(tuple(layers))


@settings(max_examples=25)
@given(unets(), st.integers(0, 10**6))
def test_random_genomes_on_random_u_nets(skeleton, seed):
    genome = fitting(skeleton, random.Random(seed))
    network, planned = compile_network(genome, skeleton, seed), plan(genome, skeleton)
    assert planned.params == sum(p.numel() for p in network.parameters())

    network.eval()
    pictures = torch.randn(2, *skeleton.input_shape, generator=torch.Generator().manual_seed(seed))
    shapes = []
    for module in (network.stem, *network.layers.values()):
        module.register_forward_hook(lambda m, i, o: shapes.append(tuple(o.shape[1:])))
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(pictures[:1])
    assert 2 * planned.macs == counter.get_total_flops()
    assert tuple(shapes) == planned.shapes

    last = network.train().to(memory_format=torch.channels_last)
    maps = last(pictures.contiguous(memory_format=torch.channels_last))
    assert maps.shape == (2, skeleton.classes, *skeleton.input_shape[1:])
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4)
    maps.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    optimizer.step()
    assert torch.isfinite(network(pictures)).all()

    twin, again = (compile_network(Genome.parse(genome.key), skeleton, seed) for _ in range(2))
    assert torch.equal(twin.train()(pictures), again.train()(pictures))


@pytest.mark.parametrize("sides", [(6, 8), (7, 5)])
def test_parts_of_maps(sides):
    """Against loops and PyTorch's own operators."""
    x = torch.randn(2, 3, *sides)
    for part in (
        map_parts.PatchConv((3, *sides), 4, 2, True), map_parts.UpConv((3, *sides), 4, (2 * sides[0] - 1, 2 * sides[1]), True),
        map_parts.ChannelNorm((3, *sides)), map_parts.Halve((3, *sides)),
        map_parts.Upsample((3, *sides), 2, (2 * sides[0], 2 * sides[1] - 1)),
        parts.Conv((3, *sides), 6, 3, 2, groups=3),
    ):  # fmt: skip
        module = build(part)
        initialise(module, "pytorch", 0)
        out = module(x)
        assert out.shape == (2, *part.shape)
        match part:
            case map_parts.PatchConv():
                padded = torch.zeros(2, 3, 8, 8)
                padded[:, :, : sides[0], : sides[1]] = x
                rows, columns = part.shape[1:]
                patches = padded.view(2, 3, 4, 2, 4, 2)[:, :, :rows, :, :columns]
                wanted = torch.einsum("ncyixj,ocij->noyx", patches, module.weight)
                wanted = wanted + module.bias[:, None, None]
            case map_parts.UpConv():
                wanted = torch.einsum("ncyx,coij->noyixj", x, module.weight)
                wanted = wanted.reshape(2, 4, 2 * sides[0], 2 * sides[1])[:, :, :-1]
                wanted = wanted + module.bias[:, None, None]
            case map_parts.ChannelNorm():
                variance, mean = torch.var_mean(x, 1, correction=0, keepdim=True)
                wanted = (x - mean) / (variance + 1e-6).sqrt()
            case map_parts.Halve():
                wanted = torch.stack([
                    x[:, :, y : y + 2, c : c + 2].amax((2, 3))
                    for y in range(0, sides[0], 2) for c in range(0, sides[1], 2)
                ], 2).view(out.shape)  # fmt: skip
            case map_parts.Upsample():
                rows, columns = (torch.arange(n) // 2 for n in part.sides)
                wanted = x[:, :, rows][:, :, :, columns]
            case _:
                each = [
                    nn.functional.conv2d(x[:, c : c + 1], module.weight[2 * c : 2 * c + 2], None, 2, 1)
                    for c in range(3)
                ]  # fmt: skip
                wanted = torch.cat(each, 1)
        torch.testing.assert_close(out, wanted, rtol=1e-4, atol=1e-5)


def test_transposed_convolutions_begin_as_pytorchs():
    with torch.random.fork_rng():
        torch.manual_seed(0)  # the largest of 32 biases is not always near the bound
        own = nn.ConvTranspose2d(64, 32, 2, 2)
    module = build(map_parts.UpConv((64, 4, 4), 32, (8, 8), True))
    initialise(module, "pytorch", 3)
    for mine, theirs in zip(module.parameters(), own.parameters(), strict=True):
        assert mine.shape == theirs.shape
        assert mine.abs().max().item() == pytest.approx((32 * 4) ** -0.5, rel=0.1)
        assert theirs.abs().max().item() == pytest.approx((32 * 4) ** -0.5, rel=0.1)


def small(**more):
    values = {"input_shape": (3, 13, 10), "classes": 2, "levels": (8, 12, 16), "norm": "layer"}
    return UNet(**{**values, **more})


GENOME = "add(1) - gate(1,2@0.5) concat(1,2) concat(1,4,5)"
BLOCK = pytest.mark.parametrize("block", ["basic", "convnext"])


@BLOCK
def test_norms_stay_in_fp32(block):
    network = compile_network(Genome.parse(GENOME), small(block=block))
    proxy = Proxy(precision="bf16")
    pictures = torch.randn(2, 3, 13, 10)
    expected = network.eval()(pictures)
    with in_precision(network, proxy) as dtype:
        kinds = {n: p.dtype for n, p in network.named_parameters()}
        rounded = network(pictures.to(dtype))
    assert {kind for name, kind in kinds.items() if ".norm" in name} == {torch.float32}
    assert kinds["head.conv.weight"] == torch.bfloat16
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), expected, rtol=0.1, atol=0.1)
    flats = flatten(network, proxy)
    assert sorted(n for flat in flats for n in flat.names) == sorted(kinds)
    assert {flat.decay for flat in flats if any("norm" in name for name in flat.names)} == {0.0}


@BLOCK
def test_copies_files_and_programs(block, tmp_path):
    network = compile_network(Genome.parse(GENOME), small(block=block)).eval()
    pictures = torch.randn(2, 3, 13, 10)
    expected = network(pictures)
    assert torch.equal(copy.deepcopy(network)(pictures), expected)
    torch.save(network, tmp_path / "net.pt")
    assert torch.equal(torch.load(tmp_path / "net.pt", weights_only=False)(pictures), expected)
    program = torch.export.export(network, (pictures,))
    torch.testing.assert_close(program.module()(pictures), expected)


@pytest.mark.slow
@BLOCK
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler (g++)")
def test_torch_compile_in_one_graph(block):
    network = compile_network(Genome.parse(GENOME), small(block=block)).eval()
    pictures = torch.randn(2, 3, 13, 10)
    with torch.no_grad():
        compiled = torch.compile(network, fullgraph=True)(pictures)
        torch.testing.assert_close(compiled, network(pictures), rtol=1e-4, atol=1e-5)


def test_pictures_of_other_sides():
    """Where every level halves them without a rest."""
    network = compile_network(Genome.parse(GENOME), small(input_shape=(3, 31, 29))).eval()
    assert network(torch.zeros(1, 3, 20, 16)).shape == (1, 2, 20, 16)

"""The compiled network against the plan, against formulas, and under PyTorch's tools."""

import copy
import gc
import hashlib
import random
import shutil
import weakref
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nas import Genome, InputError, Skeleton, Stage, compile_network, plan
from nas.architecture.merges import MERGES
from nas.architecture.skeletons.blocks import BLOCKS
from nas.network.network import Network
from tests.conftest import random_genome


@st.composite
def skeletons(draw):
    while True:
        stages = tuple(
            Stage(
                draw(st.integers(1, 3)),
                draw(st.sampled_from([4, 5, 8, 12, 16, 32, 64])),
                draw(st.integers(1, 2)),
            )
            for _ in range(draw(st.integers(1, 4)))
        )
        adapter = draw(st.sampled_from("AB"))
        if adapter == "A":  # which cannot shrink a width
            stages = tuple(
                replace(stage, width=width)
                for stage, width in zip(stages, sorted(s.width for s in stages), strict=True)
            )
        shape = (
            draw(st.sampled_from([1, 3])), draw(st.integers(5, 33)), draw(st.integers(5, 33))
        )  # fmt: skip
        try:
            return Skeleton(
                shape,
                draw(st.integers(2, 11)),
                stages,
                stem=draw(st.sampled_from(["3x3", "7x7", "patch"])),
                block=draw(st.sampled_from(sorted(BLOCKS))),
                norm=draw(st.sampled_from(["batch", "batch", "layer", "none"])),
                bias=draw(st.booleans()),
                activation=draw(st.sampled_from([None, False])),
                adapter=adapter,
                init=draw(st.sampled_from(["pytorch", "he"])),
            )
        except InputError as error:
            assert "too small" in str(error)


@settings(max_examples=40)
@given(skeletons(), st.integers(0, 10**6))
def test_random_genomes_on_random_skeletons(skeleton, seed):
    genome = random_genome(skeleton.layers, random.Random(seed), sorted(MERGES))
    network = compile_network(genome, skeleton, seed)
    planned = plan(genome, skeleton)
    assert planned.params == sum(p.numel() for p in network.parameters())

    network.eval()
    images = torch.randn(2, *skeleton.input_shape, generator=torch.Generator().manual_seed(seed))
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(images[:1])
    assert 2 * planned.macs == counter.get_total_flops()

    network.train()
    logits = network(images)
    assert logits.shape == (2, skeleton.classes)
    assert torch.isfinite(logits).all()
    logits.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name

    twin = compile_network(Genome.parse(genome.key), skeleton, seed)
    assert torch.equal(twin.train()(images), logits)


def skeleton_of(width=4, layers=2, **more):
    return Skeleton((1, 6, 6), 3, (Stage(layers, width),), **more)


def merged(name, strength=0.5):
    """One layer's output, and the tensors that its formula needs."""
    skeleton = skeleton_of(width=32, activation=False)
    network = compile_network(Genome.parse(f"- {name}(1,2@{strength})"), skeleton).eval()
    seen = {}
    network.layers["2"].branch.register_forward_hook(lambda m, i, o: seen.update(F=o))
    network.layers["1"].register_forward_hook(lambda m, i, o: seen.update(h1=o))
    network.stem.register_forward_hook(lambda m, i, o: seen.update(h0=o))
    network.layers["2"].register_forward_hook(lambda m, i, o: seen.update(out=o))
    network(torch.randn(2, 1, 6, 6, generator=torch.Generator().manual_seed(1)))
    z = seen["h1"] + strength * seen["h0"]
    return network.layers["2"].merge, seen["F"], z, seen["h1"], seen["h0"], seen["out"]


def test_add():
    _, f, z, _, _, out = merged("add")
    torch.testing.assert_close(out, f + z)


def test_scale_begins_as_the_skip_alone():
    merge, _, z, _, _, out = merged("scale")
    assert merge.alpha.tolist() == [0.0]
    torch.testing.assert_close(out, z)


def test_channel_begins_at_a_half():
    merge, f, z, _, _, out = merged("channel")
    assert merge.weight.shape == (32,)
    torch.testing.assert_close(out, 0.5 * f + z)


@pytest.mark.parametrize("name", ["attention", "se"])
def test_squeeze_and_excitation(name):
    merge, f, z, _, _, out = merged(name)
    down, up = merge.excitation.reduce, merge.excitation.expand
    assert down.weight.shape == (2, 32, 1, 1)  # reduction by 16
    pooled = (z if name == "attention" else f).mean((2, 3))
    hidden = torch.relu(pooled @ down.weight[:, :, 0, 0].T + down.bias)
    gate = torch.sigmoid(hidden @ up.weight[:, :, 0, 0].T + up.bias)
    torch.testing.assert_close(out, gate[:, :, None, None] * f + z)


def test_gate_leans_to_the_skip_at_first():
    merge, f, z, h1, _, out = merged("gate")
    conv = merge.transform.conv
    assert (conv.bias == -2).all()
    t = torch.sigmoid(torch.einsum("nchw,oc->nohw", h1, conv.weight[:, :, 0, 0]) - 2)
    torch.testing.assert_close(out, t * f + (1 - t) * z)


def test_dense_has_a_second_branch_on_the_same_input():
    merge, f, z, h1, _, out = merged("dense")
    torch.testing.assert_close(out, f + merge.branch(h1) + z)
    assert not torch.equal(merge.branch(h1), f)


def test_concat_projects_branch_and_skips_with_their_strengths():
    merge, f, _, h1, h0, out = merged("concat")
    both = torch.cat([f, h1, 0.5 * h0], 1)
    expected = torch.einsum("nchw,oc->nohw", both, merge.project.conv.weight[:, :, 0, 0])
    torch.testing.assert_close(out, merge.project.norm(expected))


def test_option_a_is_subsampling_and_zeros():
    skeleton = Skeleton((1, 5, 5), 3, (Stage(1, 4), Stage(1, 8, 2)), adapter="A")
    network = compile_network(Genome.parse("- add(1)"), skeleton)
    x = torch.randn(1, 4, 5, 5)
    adapted = network.layers["2"].adapters["1"](x)
    assert adapted.shape == (1, 8, 3, 3)
    assert torch.equal(adapted[:, :4], x[:, :, ::2, ::2])
    assert not adapted[:, 4:].any()


def test_weights_follow_from_seed_and_module_name_alone():
    skeleton = skeleton_of(layers=4)
    first = compile_network(Genome.residual(4), skeleton, seed=3).state_dict()
    other = compile_network(Genome.parse("- se(1,2) - concat(1)"), skeleton, seed=3).state_dict()
    shared = [name for name in first if ".branch." in name or name.startswith(("stem", "head"))]
    assert len(shared) > 20
    for name in shared:
        assert torch.equal(first[name], other[name]), name
    changed = compile_network(Genome.residual(4), skeleton, seed=4).state_dict()
    assert not torch.equal(first["stem.conv.weight"], changed["stem.conv.weight"])


def test_the_global_generator_is_left_alone():
    state = torch.get_rng_state()
    compile_network(Genome.residual(2), skeleton_of())
    assert torch.equal(state, torch.get_rng_state())


def test_initial_weights_have_the_spread_that_pytorch_and_he_give():
    wide = Skeleton((64, 8, 8), 10, (Stage(1, 256),))
    default = compile_network(Genome.plain(1), wide).layers["1"].branch.conv2.weight
    he = compile_network(Genome.plain(1), replace(wide, init="he")).layers["1"].branch.conv2.weight
    fan = 256 * 9
    assert default.std().item() == pytest.approx((1 / (3 * fan)) ** 0.5, rel=0.01)
    assert he.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.01)


def test_state_dict_names_follow_the_layers():
    network = compile_network(Genome.parse("- se(1)"), skeleton_of(width=16))
    names = set(network.state_dict())
    assert {"stem.conv.weight", "layers.1.branch.conv1.weight", "head.fc.bias"} <= names
    assert "layers.2.merge.excitation.reduce.weight" in names
    assert "'se(1)', sources=[1]" in str(network)


def test_a_tensor_is_freed_after_its_last_reader():
    network = compile_network(Genome.parse("- add(2) - - add(1) -"), skeleton_of(layers=6)).eval()
    nodes, alive = [], {}
    modules = [network.stem, *network.layers.values()]
    for module in modules:
        module.register_forward_hook(lambda m, i, o: nodes.append(weakref.ref(o)))

    def count(index):
        def hook(module, inputs):
            gc.collect()
            alive[index] = [i for i, node in enumerate(nodes) if node() is not None]

        return hook

    for index, module in enumerate(modules[1:], 1):
        module.register_forward_pre_hook(count(index))
    with torch.no_grad():
        network(torch.randn(1, 1, 6, 6))
    assert alive == {1: [0], 2: [0, 1], 3: [2], 4: [3], 5: [4], 6: [5]}


GENOME = "add(1) gate(1,2@0.5) concat(1,2) - attention(4) dense(1)"


@pytest.fixture
def network():
    skeleton = Skeleton((3, 13, 13), 5, (Stage(3, 8), Stage(3, 16, 2)))
    return compile_network(Genome.parse(GENOME), skeleton)


def test_deepcopy_and_pickle(network, tmp_path):
    images = torch.randn(2, 3, 13, 13)
    expected = network.eval()(images)
    assert torch.equal(copy.deepcopy(network)(images), expected)
    torch.save(network, tmp_path / "net.pt")
    assert torch.equal(torch.load(tmp_path / "net.pt", weights_only=False)(images), expected)


def test_channels_last_and_autocast(network):
    images = torch.randn(2, 3, 13, 13)
    expected = network.eval()(images)
    last = copy.deepcopy(network).to(memory_format=torch.channels_last)
    out = last(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(images)
    torch.testing.assert_close(rounded.float(), expected, rtol=0.1, atol=0.1)


def test_export(network):
    images = torch.randn(2, 3, 13, 13)
    program = torch.export.export(network.eval(), (images,))
    torch.testing.assert_close(program.module()(images), network(images))


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler (g++)")
def test_torch_compile_in_one_graph(network):
    images = torch.randn(4, 3, 13, 13)
    expected = network.eval()(images)
    compiled = torch.compile(network, fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_thousand_layers_train_a_step():
    skeleton = Skeleton((1, 8, 8), 10, (Stage(1000, 4),), adapter="A")
    network = compile_network(Genome.parse("add(1) add(1,2)*499 scale(1)*500"), skeleton)
    before = network.layers["1"].branch.conv1.weight.clone()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    loss = nn.functional.cross_entropy(network(torch.randn(2, 1, 8, 8)), torch.tensor([1, 2]))
    loss.backward()
    optimizer.step()
    assert len(network.layers) == 1000
    assert not torch.equal(before, network.layers["1"].branch.conv1.weight)


@pytest.mark.parametrize("init", ["pytorch", "he"])
def test_every_weight_follows_from_the_seed_and_its_modules_name(init):
    """The rule that is documented, written out with PyTorch's own layers and functions."""
    skeleton = Skeleton((3, 8, 8), 10, (Stage(2, 4), Stage(2, 8, 2)), bias=True, init=init)
    genome = Genome.parse("add(1) gate(1,2) concat(1,3@0.5) channel(2)")
    before = torch.get_rng_state()
    network = compile_network(genome, skeleton, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    kinds = set()
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            own = nn.BatchNorm2d(module.num_features)
        elif isinstance(module, nn.Conv2d):
            own = nn.Conv2d(
                module.in_channels, module.out_channels, module.kernel_size, bias=True
            )  # fmt: skip
        elif isinstance(module, nn.Linear):
            own = nn.Linear(module.in_features, module.out_features)
        else:
            continue
        kinds.add(type(own))
        digest = hashlib.blake2b(f"5/{name}".encode(), digest_size=8).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
        if isinstance(own, nn.Conv2d) and init == "he":
            nn.init.kaiming_normal_(
                own.weight, mode="fan_out", nonlinearity="relu", generator=generator
            )
            nn.init.zeros_(own.bias)
        elif not isinstance(own, nn.BatchNorm2d):
            nn.init.kaiming_uniform_(own.weight, a=5**0.5, generator=generator)
            bound = own.weight[0].numel() ** -0.5
            nn.init.uniform_(own.bias, -bound, bound, generator=generator)
        given = module.state_dict()
        for key, value in own.state_dict().items():
            if key not in given:  # a convolution without a bias
                continue
            start = getattr(module, "bias_start", None)
            wanted = torch.full_like(value, start) if key == "bias" and start is not None else value
            torch.testing.assert_close(given[key], wanted, rtol=0, atol=1e-7 * (key == "bias"))
    assert kinds == {nn.BatchNorm2d, nn.Conv2d, nn.Linear}


def test_networks_without_memory_and_with_it_are_not_mixed_up():
    """Templates of modules are kept; a network of another device or type must not get them."""
    genome, skeleton = (
        Genome.parse("add(1) se(1,2) concat(2)"),
        Skeleton((1, 5, 5), 3, (Stage(3, 6),)),
    )

    def devices(network):
        return {tensor.device.type for tensor in network.state_dict().values()}

    for _ in range(2):
        with torch.device("meta"):
            assert devices(Network(plan(genome, skeleton), genome, skeleton)) == {"meta"}
        network = compile_network(genome, skeleton)
        assert devices(network) == {"cpu"}
        first = compile_network(genome, skeleton)
        first.stem.norm.running_mean += 1
        first.stem.conv.weight.data += 1
        first.stem.conv.register_forward_hook(lambda *_: 1 / 0)
        second = compile_network(genome, skeleton)
        assert torch.equal(second(torch.ones(2, 1, 5, 5)), network(torch.ones(2, 1, 5, 5)))

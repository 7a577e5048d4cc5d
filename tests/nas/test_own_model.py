"""Models of a user's own: cut at their blocks, with skips around them, trained, saved, exported."""

import json
import random
from dataclasses import asdict, replace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nas import (
    Genome,
    InputError,
    Proxy,
    SearchSpace,
    compile_network,
    evaluate,
    load_data,
    load_network,
    plan,
    save_network,
    wrap,
)  # fmt: skip
from nas.architecture.matching import matched
from nas.architecture.plan import check_merges
from nas.architecture.skeletons.families import read_skeleton
from nas.evaluation.evaluate import evaluate_together
from nas.files.settings import from_mapping
from nas.network.cutting import make
from nas.training.memory import training_bytes
from tests.helpers import plugins_taken_away

OURS = (
    "add", "scale", "channel", "attention", "se", "gate", "dense", "concat", "graft", "mix",
    "layerscale", "route",
)  # fmt: skip
MERGES = tuple(name for name in OURS if name != "dense")
PROXY = Proxy(epochs=2, images=100, batch=32, learning_rate=0.02)


class Block(nn.Module):
    """Residual in itself, with dropout, and a ReLU that works in place."""

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(inputs, width, 3, stride, 1)
        self.norm = nn.BatchNorm2d(width)
        self.drop = nn.Dropout(0.2)

    def forward(self, x):
        out = self.drop(self.norm(self.conv(self.relu(x))))
        return out + x if out.shape == x.shape else out


class Net(nn.Module):
    """A stem, blocks in a list, pooling, a head."""

    def __init__(self, channels, classes):
        super().__init__()
        self.stem = nn.Conv2d(channels, 8, 3, 1, 1)
        widths = [(8, 8, 1), (8, 8, 1), (8, 16, 2), (16, 16, 1)]
        self.blocks = nn.ModuleList(Block(*one) for one in widths)
        self.fc = nn.Linear(16, classes)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.fc(x.mean((2, 3)))


def own(input_shape, classes):
    return Net(input_shape[0], classes)


@pytest.fixture(autouse=True)
def tables():
    with plugins_taken_away():
        yield


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


def skeleton():
    return wrap(own, (1, 8, 8), 10)


def made(wrapped, seed=0):
    """The model itself, in evaluation mode."""
    return make(wrapped.stem_part.source, seed).eval()


def counted(network, shape):
    with FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, *shape))
    return counter.get_total_flops()


def same(left, right, shape):
    pictures = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return torch.equal(left.eval()(pictures), right.eval()(pictures))


def agrees(wrapped, genome):
    """Whether plan and network count alike."""
    network, planned = compile_network(genome, wrapped), plan(genome, wrapped)
    assert planned.params == sum(parameter.numel() for parameter in network.parameters())
    assert 2 * planned.macs == counted(network, wrapped.input_shape)
    return network


def test_the_plain_pattern_is_the_model():
    wrapped = skeleton()
    assert wrapped.shapes == ((8, 8, 8), (8, 8, 8), (8, 8, 8), (16, 4, 4), (16, 4, 4))
    for seed in (0, 1):
        network = compile_network(Genome.plain(4), wrapped, seed)
        assert same(network, made(wrapped, seed), (1, 8, 8))
    assert not same(network, made(wrapped, 0), (1, 8, 8))
    with pytest.raises(InputError, match="cannot be made wider"):
        matched(Genome.plain(4), wrapped, "params", 10**6)


def test_every_block_is_left_whole_whatever_the_skip():
    x = torch.randn(2, 1, 8, 8)
    network, model = (
        compile_network(Genome.parse("- add(1,2) -*2"), skeleton()).eval(),
        made(skeleton()),
    )
    node0 = model.stem(x)
    node1 = model.blocks[0](node0.clone())
    node2 = model.blocks[1](node1.clone()) + node1 + node0
    expected = model.fc(model.blocks[3](model.blocks[2](node2)).mean((2, 3)))
    torch.testing.assert_close(network(x), expected)


@pytest.mark.parametrize("seed", range(4))
def test_random_patterns_count_and_learn(seed):
    space = SearchSpace(skeleton(), (1, 2, 3, 4), MERGES, (0.5, 1.0))
    network = agrees(space.skeleton, space.sample(random.Random(seed)))
    loss = network.train()(torch.randn(4, 1, 8, 8)).logsumexp(1).sum()
    loss.backward()
    assert loss.isfinite()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.slow
def test_mobilenet():
    from torchvision.models import mobilenet_v3_small

    wrapped = wrap(mobilenet_v3_small, (3, 64, 64), 1000, "features")
    assert wrapped.layers == 13
    assert same(agrees(wrapped, Genome.plain(13)), made(wrapped), (3, 64, 64))
    part = wrap(mobilenet_v3_small, (3, 64, 64), 1000, "features[1:12]")
    assert same(agrees(part, Genome.parse("graft(1)*11")), made(part), (3, 64, 64))


@pytest.mark.slow
def test_convnext():
    timm = pytest.importorskip("timm")

    def convnext():
        return timm.create_model("convnext_atto", num_classes=10)

    assert wrap(convnext, (3, 64, 64), 10, "stages").layers == 4
    wrapped = wrap(convnext, (3, 64, 64), 10, "stages.*.blocks")
    assert wrapped.layers == 12
    assert wrapped.stage(12) == 4
    assert same(agrees(wrapped, Genome.plain(12)), made(wrapped), (3, 64, 64))
    agrees(wrapped, Genome.parse("- add(1,2)*11"))


class Tokens(nn.Module):
    """Patches as tokens (T, D), whose width doubles half-way."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 2, 2)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(a), nn.Linear(a, b), nn.GELU())
            for a, b in ((8, 8), (8, 16), (16, 16))
        )
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        for layer in self.layers:
            x = layer(x)
        return self.fc(x.mean(1))


def test_tokens():
    wrapped = wrap(Tokens, (1, 8, 8), 10, "layers")
    assert wrapped.shapes == ((16, 8), (16, 8), (16, 16), (16, 16))
    assert same(agrees(wrapped, Genome.plain(3)), made(wrapped), (1, 8, 8))
    agrees(wrapped, Genome.parse("add(1) scale(1,2) graft(1,2,3)"))
    agrees(wrapped, Genome.parse("route(1) gate(1,2) concat(1,2,3)"))
    allowed = "add, scale, channel, gate, concat, graft, mix, layerscale, route"
    with pytest.raises(InputError, match=rf"layer 2 'se\(1\)': .* allowed: {allowed}$"):
        plan(Genome.parse("- se(1) -"), wrapped)
    with pytest.raises(InputError, match=r"layer 2 'dense\(1\)': .* second branch"):
        plan(Genome.parse("- dense(1) -"), wrapped)
    with pytest.raises(InputError, match="merge 'se' is for maps"):
        check_merges(("add", "se"), wrapped)


def test_maps_that_no_stride_fits():
    def odd():
        convs = [nn.Conv2d(1, 4, 3, 2), nn.Conv2d(4, 4, 2, 1), nn.Conv2d(4, 8, 1)]
        return nn.Sequential(nn.Sequential(*convs), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))  # fmt: skip

    wrapped = wrap(odd, (1, 8, 8), 10, "0")
    assert wrapped.shapes == ((1, 8, 8), (4, 3, 3), (4, 2, 2), (8, 2, 2))
    agrees(wrapped, Genome.parse("add(1) add(1,2) add(1,2,3)"))
    assert SearchSpace(wrapped, (1, 2), ("add",), (1.0,)).reachable == ((1,), (1, 2), (1, 2))
    # 3×3 becomes 2×2 in layer 2: with stride 2, but by the stride alone it cannot
    agrees(wrapped, Genome.parse("channel(1) gate(1,2) concat(1,2,3)"))


def test_a_gate_is_not_where_no_layer_of_its_own_reads_the_input():
    class Mixer(nn.Module):
        """Map, tokens of another number, features."""

        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList(
                [
                    nn.Sequential(nn.Conv2d(1, 4, 2, 2), nn.Flatten(2)),
                    nn.Linear(16, 8),
                    nn.Linear(8, 8),
                    nn.Flatten(),
                    nn.Linear(32, 32),
                ]
            )
            self.fc = nn.Linear(32, 10)

        def forward(self, x):
            for block in self.blocks:
                x = block(x)
            return self.fc(x)

    wrapped = wrap(Mixer, (1, 8, 8), 10, "blocks")
    assert wrapped.shapes == ((1, 8, 8), (4, 16), (4, 8), (4, 8), (32,), (32,))
    able = {"add", "scale", "channel", "concat", "graft", "mix", "layerscale", "route"}
    for index, gate in ((1, False), (2, True), (3, True), (4, False), (5, True)):
        found = {name for name in OURS if not wrapped.lacks(name, index)}
        assert found == able | ({"gate"} if gate else set()), index
    said = wrapped.lacks("gate", 4)
    assert "from 4×8 to 32" in said
    assert said.endswith("allowed: add, scale, channel, concat, graft, mix, layerscale, route")
    agrees(wrapped, Genome.parse("- gate(1) gate(1,2) - concat(1)"))


def test_grafts_begin_as_no_change_and_learn():
    wrapped = skeleton()
    network = compile_network(Genome.parse("graft(1) graft(1,2) graft(1,2,3) graft(1,4)"), wrapped)
    assert same(network, made(wrapped), (1, 8, 8))
    network.train()(torch.randn(8, 1, 8, 8)).logsumexp(1).sum().backward()
    betas = [(n, p) for n, p in network.named_parameters() if n.endswith("beta")]
    assert sum(p.numel() for _, p in betas) == 8
    assert all((p == 0).all() and p.grad.all() for _, p in betas)


def test_weights_that_no_seed_changes_are_recorded():
    state = Net(1, 10).state_dict()

    def trained(classes):
        model = Net(1, classes)
        model.load_state_dict(state)
        return model

    wrapped = wrap(trained, (1, 8, 8), 10)
    assert wrapped.weights
    assert not skeleton().weights
    for seed in (0, 7):
        assert same(compile_network(Genome.parse("graft(1)*4"), wrapped, seed), made(wrapped), (1, 8, 8))  # fmt: skip
    state["fc.bias"] += 1
    assert wrap(trained, (1, 8, 8), 10).weights != wrapped.weights


def test_training_is_a_function_of_the_seed_with_dropout_too(digits):
    genomes = [Genome.plain(4), Genome.parse("add(1)*4")]
    alone = [evaluate(genome, skeleton(), PROXY, 0, digits, "cpu") for genome in genomes]
    torch.rand(5)
    beside = evaluate_together(genomes, skeleton(), PROXY, 0, digits, "cpu")
    assert [one.losses for one in alone] == [one.losses for one in beside]
    assert alone[0].status == "ok"
    state = torch.get_rng_state()
    evaluate(genomes[0], skeleton(), PROXY, 1, digits, "cpu")
    assert torch.equal(torch.get_rng_state(), state)


def test_what_is_frozen_stays(digits):
    def frozen(classes):
        model = Net(1, classes)
        model.stem.requires_grad_(False)
        return model

    kept = []
    wrapped = wrap(frozen, (1, 8, 8), 10)
    evaluate(Genome.residual(4), wrapped, PROXY, 0, digits, "cpu", keep=kept.append)
    own = compile_network(Genome.residual(4), wrapped)
    assert torch.equal(kept[0].stem.module.stem.weight, own.stem.module.stem.weight)
    assert not torch.equal(kept[0].head.module.fc.weight, own.head.module.fc.weight)


def test_a_record_is_read_without_the_model():
    wrapped = skeleton()
    record = json.loads(json.dumps(asdict(wrapped)))
    space = json.loads(json.dumps(asdict(SearchSpace(wrapped, (1,)))))
    with plugins_taken_away():
        from nas.architecture.skeletons.wrapped import MODELS

        MODELS.clear()
        assert read_skeleton(record) == wrapped
        assert from_mapping(SearchSpace, space, "space").skeleton == wrapped
        assert plan(Genome.plain(4), wrapped).params == sum(
            p.numel() for p in Net(1, 10).parameters()
        )
        with pytest.raises(InputError, match="is not loaded: name its file"):
            compile_network(Genome.plain(4), replace(wrapped, model="no.py:make"))
    with pytest.raises(InputError, match="unknown family of skeletons 'wraped'"):
        read_skeleton({**record, "family": "wraped"})


def test_other_data_measures_the_model_again():
    wider = skeleton().for_data((3, 16, 16), 5)
    assert wider.shapes[0] == (8, 16, 16)
    assert wider.cuts[-1].shape == (5,)
    with pytest.raises(InputError, match="precision 'bf16'"):
        evaluate(Genome.plain(4), wider, replace(PROXY, precision="bf16"), 0, None, "cpu")


def test_a_training_keeps_what_its_pieces_do():
    wrapped = skeleton()
    plain, residual = (training_bytes(plan(g, wrapped), replace(PROXY, precision="fp32"), wrapped) for g in (Genome.plain(4), Genome.residual(4)))  # fmt: skip
    # a block saves at least the inputs of its convolution and of its norm
    assert residual >= plain > PROXY.batch * 4 * 2 * (2 * 8 * 64 + 2 * 16 * 16)


def test_saved_and_exported(tmp_path):
    network = compile_network(Genome.parse("add(1) se(1,2) concat(1,2) graft(1)"), skeleton(), 3)
    loaded = load_network(save_network(network, tmp_path / "own.safetensors")).network
    assert same(loaded, network, (1, 8, 8))
    program = torch.export.export(network.eval(), (torch.zeros(2, 1, 8, 8),)).module()
    x = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(program(x), network(x))


def twice():
    block = nn.Linear(64, 64)
    return nn.Sequential(nn.Flatten(), nn.Sequential(block, block), nn.Linear(64, 10))


class Unused(Net):
    def forward(self, x):
        return self.fc(self.blocks[0](self.stem(x)).mean((2, 3)))


class Looks(Net):
    def forward(self, x):
        return super().forward(x if x.sum() > 0 else -x)


class Crossing(Net):
    def forward(self, x):
        first = self.blocks[0](self.stem(x))
        x = self.blocks[2](self.blocks[1](first) + first)
        return self.fc(self.blocks[3](x).mean((2, 3)))


def grows():
    blocks = nn.Sequential(nn.Upsample(scale_factor=2), nn.Flatten(), nn.Unflatten(1, (4, 64)))
    return nn.Sequential(blocks, nn.Flatten(), nn.Linear(256, 10))


@pytest.mark.parametrize(
    ("model", "blocks", "said"),
    [
        (twice, "1", "block '1.0' is called 2 times"),
        (lambda: Unused(1, 10), "blocks", "block 'blocks.1' is called 0 times"),
        (lambda: Looks(1, 10), "blocks", "cannot be traced: TraceError"),
        (lambda: Crossing(1, 10), "blocks", "block 'blocks.2' reads more than the block before it"),
        (grows, "0", "no adapter fits any skip between its blocks: 1×8×8, 1×16×16, 256, 4×64"),
        (lambda: Net(3, 10), "blocks", "what stands before the blocks fails on an input of shape"),
        (lambda: Net(1, 7), "blocks", "gives 7 for an input; the data has 10 classes"),
        (lambda: Net(1, 10), "layers", "blocks 'layers': no nn.Sequential, .* lists: 'blocks'"),
        (lambda: nn.Linear(3, 3), "", "which blocks"),
        (lambda: 7, "", "returned 7; a torch.nn.Module is expected"),
        (lambda: 1 / 0, "", "raised ZeroDivisionError"),
        (7, "", "7 is no model"),
    ],
)
def test_what_cannot_be_cut_is_one_line(model, blocks, said):
    with pytest.raises(InputError, match=said) as caught:
        wrap(model, (1, 8, 8), 10, blocks)
    assert "\n" not in str(caught.value)


def test_a_module_of_this_process():
    model = Net(1, 10).eval()
    wrapped = wrap(model, (1, 8, 8), 10)
    network = compile_network(Genome.parse("graft(1)*4"), wrapped, 5)
    assert same(network, model, (1, 8, 8))
    assert network.stem.module.stem.weight is not model.stem.weight

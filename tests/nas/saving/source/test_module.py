"""Networks as source: the same weights and logits, short, and as ruff wants it."""

import ast
import importlib.util
import random
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines import BASELINES
from nas import Genome, InputError, Layer, Skeleton, Skip, Stage, compile_network, plan
from nas.architecture import parts
from nas.architecture.merges import MERGES
from nas.architecture.skeletons.blocks import BLOCKS, STEMS, Block
from nas.devices.device import one_thread
from nas.saving.classifier import Classifier
from nas.saving.source.module import source_of
from tests.fuzzing import cases
from tests.helpers import plugins_taken_away
from tests.nas.saving.networks import EVERY_MERGE, moved, skeleton
from tests.training_helpers import CARD


@pytest.fixture(scope="module", autouse=True)
def alone():
    """Threads cost more than such small networks do."""
    with one_thread(torch.device("cpu")):
        yield


def classifier_of(genome, on, card=None):
    return Classifier(moved(compile_network(genome, on, seed=1)), card).eval()


def module_of(text, folder, name="network"):
    """The module of a source."""
    path = folder / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_same(classifier, folder):
    """The module has the network's parameters by name, and its logits. Returns the source."""
    text = source_of(classifier, "network.safetensors")
    network = module_of(text, folder).Network()
    own = classifier.network.state_dict()
    assert {name: t.shape for name, t in network.state_dict().items()} == {
        name: t.shape for name, t in own.items()
    }
    assert [n for n, _ in network.named_parameters()] == [
        n for n, _ in classifier.network.named_parameters()
    ]
    network.load_state_dict(own)
    pictures = torch.randint(0, 256, (3, *classifier.skeleton.input_shape)).float()
    with torch.inference_mode():
        expected, found = classifier(pictures), network.eval()(pictures)
    assert (found - expected).abs().max() <= 1e-6 * expected.abs().max()
    return text


def random_skeleton(rng):
    stem = rng.choice([*STEMS])
    widths = sorted(rng.randint(1, 24) for _ in range(rng.randint(1, 3)))
    adapter = rng.choice("AB")
    if adapter == "B":
        rng.shuffle(widths)
    stages = tuple(Stage(rng.randint(1, 5), width, rng.randint(1, 3)) for width in widths)
    block = rng.choice([*BLOCKS])
    return Skeleton(
        (rng.choice((1, 3)), 29 if stem == "3x3" else 37, 41), rng.randint(2, 12), stages, stem,
        block, rng.choice(("batch", "layer", "none")), rng.random() < 0.5,
        None if BLOCKS[block].preactivation else rng.choice((None, False)), adapter,
        rng.choice(("pytorch", "he")),
        None if adapter == "A" else rng.choice((None, rng.randint(1, 30))),
    )  # fmt: skip


def random_genome(rng, layers):
    made = []
    for index in range(1, layers + 1):
        distances = [d for d in range(1, index + 1) if rng.random() < 2 / (d + 1)]
        skips = tuple(Skip(d, rng.choice((1, 1, 0.25))) for d in distances)
        made.append(Layer(rng.choice([*MERGES]), skips) if skips else Layer())
    return Genome(tuple(made))


@given(st.integers(0, 2**32))
@cases(15)
def test_random_patterns_on_random_skeletons(tmp_path_factory, seed):
    rng = random.Random(seed)
    on = random_skeleton(rng)
    classifier = classifier_of(random_genome(rng, on.layers), on)
    check_same(classifier, tmp_path_factory.getbasetemp())


@pytest.mark.parametrize("merge", MERGES)
def test_every_merge(merge, tmp_path):
    text = check_same(classifier_of(Genome.parse(f"{merge}(1)*9"), skeleton(), CARD), tmp_path)
    assert type(MERGES[merge]).__name__ in text


@pytest.mark.parametrize(
    "name",
    [
        "plain-20",
        "resnet-56",
        "cifar/resnet-20",
        "torchvision/resnet-50",
        "resnet-50/dense",
        "convnext-tiny",
    ],
)
def test_baselines(name, tmp_path):
    baseline = BASELINES[name].narrowed(16)
    on = baseline.skeleton.for_data((3, 32, 32), 10)
    check_same(classifier_of(baseline.genome, on), tmp_path)


def lines_of(genome, on):
    classifier = Classifier(compile_network(genome, on))
    return len(source_of(classifier, "network.safetensors").splitlines())


def test_a_motif_is_as_short_at_any_depth():
    def lines(tiles):
        stages = tuple(Stage(3 * tiles, width, 2) for width in (2, 3, 4))
        return lines_of(Genome.parse(f"[add(1) - scale(1,3)]*{3 * tiles}"), skeleton(stages=stages))

    assert lines(3) == lines(6) == lines(12) < 200


def test_no_import_of_ours(tmp_path):
    text = source_of(classifier_of(EVERY_MERGE, skeleton(), CARD), "network.safetensors")
    nodes = [*ast.walk(ast.parse(text))]
    modules = [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
    modules += [n.module for n in nodes if isinstance(n, ast.ImportFrom)]
    assert {name.partition(".")[0] for name in modules} - sys.stdlib_module_names == {
        "torch",
        "safetensors",
    }


def test_what_it_says_of_pictures_and_classes(tmp_path):
    names = ('a "b"', "it's", "ö\n", '""") + (\\', *map(str, range(6)))
    classifier = classifier_of(EVERY_MERGE, skeleton(), replace(CARD, classes=names))
    module = module_of(source_of(classifier, '"""\n1 - x\n"""'), tmp_path)
    assert module.WEIGHTS.name == '"""\n1 - x\n"""'
    assert names == module.CLASSES
    assert (CARD.mean, CARD.std) == (module.MEAN, module.STD)
    assert "12×12 pixels" in module.__doc__
    assert str(EVERY_MERGE) in " ".join(module.__doc__.split())
    params = plan(EVERY_MERGE, skeleton()).params
    assert f"{params:,} parameters" in module.__doc__


def test_ruff_finds_nothing(tmp_path):
    pytest.importorskip("ruff")
    rng = random.Random(1)
    for number in range(8):
        on = random_skeleton(rng)
        classifier = Classifier(compile_network(random_genome(rng, on.layers), on))
        (tmp_path / f"n{number}.py").write_text(source_of(classifier, "a.safetensors"))
    many = Genome.parse(f"add(1)*54 [add({','.join(map(str, range(1, 50, 2)))}) -]*3")
    hundred = replace(CARD, classes=tuple(f"class '{i}'" for i in range(100)))
    for name, genome, more, card in (
        ("every", EVERY_MERGE, {"classes": 100}, hundred),
        ("plain", Genome.plain(9), {}, CARD),
        ("many", many, {"stages": (Stage(60, 4),)}, None),
    ):
        network = compile_network(genome, skeleton(**more))
        text = source_of(Classifier(network, card), "a.safetensors")
        (tmp_path / f"{name}.py").write_text(text)
    for command in (["check"], ["format", "--diff"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--isolated", "--no-cache", str(tmp_path)]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


PLUGIN = """
import math
from functools import reduce

import torch
import torch.nn.functional as F
from nas.extend import Merge, parts, total

SHARE = 0.25


def squashed(x, most=SHARE):
    \"\"\"Between -most and most.\"\"\"
    return most * torch.tanh(x / most)


class Mixed(Merge):
    \"\"\"A mixture of "all".\"\"\"

    power = 2

    def __init__(self, factor):
        self.factor = factor

    def parts(self, site):
        learnt = {f"w{i}": parts.Vector(site.shape[0], 0.1) for i in range(site.skips)}
        conv = parts.Conv(site.inputs, site.shape[0], 3, site.stride, True)
        return {**learnt, "read": conv, "se": parts.Chain.of(inner=site.branch())}

    def halved(self, x):
        return x / self.power

    def forward(self, merge, own, learnt, before):
        import torch as t

        # the skips, each with its weight
        weighted = [getattr(merge, f"w{i}")[:, None, None] * s for i, s in enumerate(learnt)]
        read = F.relu(merge.read(before)) + merge.se(before)
        z = squashed(total(weighted)) + self.halved(read)
        return self.factor * own + t.sqrt(z * z + math.pi)


def made(passed):
    class Closed(Merge):
        def forward(self, learnt, branch, skips, previous):
            return passed * branch + total(skips)

    return Closed()


class Passing(Merge):
    def forward(self, learnt, branch, skips, previous):
        return branch + help_(self, skips)


def help_(merge, skips):
    return total(skips)


class Tensors(Merge):
    def __init__(self):
        self.weight = torch.ones(1)

    def forward(self, learnt, branch, skips, previous):
        return self.weight * branch + total(skips)


MERGES = {"mixed": Mixed(0.5), "mixed-too": Mixed(0.75), "closed": made(2.0), "passing": Passing(),
          "tensors": Tensors()}
"""


@pytest.fixture
def plugin(tmp_path):
    """A plugin's merges, which are gone after the test."""
    from nas.plugins import load_plugin

    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    with plugins_taken_away():
        load_plugin(path)
        yield


def test_a_merge_of_a_users_own_is_written_in(plugin, tmp_path):
    genome = Genome.parse("mixed(1) mixed(1,2)*3 mixed-too(1)*3 add(1) concat(2)")
    text = check_same(classifier_of(genome, skeleton()), tmp_path)
    assert "class Mixed2(" in text
    assert "def squashed(x, most=SHARE):" in text
    assert "# the skips, each with its weight" in text


@pytest.mark.parametrize(
    ("merge", "why"),
    [
        ("closed", "reads variables of a function around it"),
        ("passing", "passes self on"),
        ("tensors", r"attribute weight is tensor\(\[1.\]\)"),
    ],
)
def test_a_merge_that_cannot_be_written(merge, why, plugin):
    with pytest.raises(
        InputError, match=rf"merge '{merge}' .* cannot be written as source: .*{why}"
    ):
        source_of(classifier_of(Genome.parse(f"{merge}(1)*9"), skeleton()), "network.safetensors")


def test_a_block_of_a_users_own(monkeypatch, tmp_path):
    def odd(inputs, width, stride, bias, norm):
        """Sizes that are no multiples of the width."""
        narrow = parts.Conv(inputs, max(3, width // 2), 1, stride, bias)
        wide = parts.Conv(narrow.shape, 5 + width % 3, 2 * (width // 8) + 1, 1, bias)
        back = parts.Conv(wide.shape, width, 3, 1, True)
        return parts.Chain.of(a=narrow, inner=parts.Chain.of(relu=parts.Relu(narrow.shape)),
                              b=wide, norm=norm(wide.shape), c=back)  # fmt: skip

    monkeypatch.setitem(BLOCKS, "odd", Block(1, False, odd))
    stages = (Stage(2, 4), Stage(3, 7, 2), Stage(4, 17, 2))
    on = skeleton(block="odd", stages=stages)
    check_same(classifier_of(EVERY_MERGE, on), tmp_path)


def test_a_block_that_changes_its_parts_is_refused(monkeypatch):
    def changing(inputs, width, stride, bias, norm):
        conv = parts.Conv(inputs, width, 3, stride, bias)
        return parts.Chain.of(conv=conv, norm=norm(conv.shape) if width > 4 else None)

    monkeypatch.setitem(BLOCKS, "changing", Block(1, False, changing))
    with pytest.raises(InputError, match="block 'changing' has other parts in some layers"):
        source_of(classifier_of(EVERY_MERGE, skeleton(block="changing")), "a.safetensors")

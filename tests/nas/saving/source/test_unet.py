"""U-Nets as source: the same weights and maps, and as ruff wants it."""

import random
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines import BASELINES
from nas import Genome, InputError, compile_network
from nas.architecture import map_parts, parts
from nas.architecture.merges import MERGES
from nas.architecture.skeletons.blocks import BLOCKS, Block
from nas.devices.device import one_thread
from nas.errors import OURS
from nas.saving.classifier import Card
from nas.saving.exports import export
from nas.saving.network_file import write_weights
from nas.saving.source.families import source_of
from nas.saving.uses import usable
from nas.tasks.table import find_task
from tests.conftest import with_names
from tests.nas.network.test_unet import fitting, small, unets
from tests.nas.saving.networks import moved
from tests.nas.saving.networks import skeleton as convolutional
from tests.nas.saving.source.test_module import module_of

TASKS = ("segmentation", "denoising", "inpainting")
KINDS = "- add(1) gate(1,2@0.5) mix(1,3) dense(1,4) add(1,0) concat(m) se(1,m) concat(1,m@0.5) -"


@pytest.fixture(scope="module", autouse=True)
def alone():
    """Threads cost more than such small networks do."""
    with one_thread(torch.device("cpu")):
        yield


def usable_of(genome, skeleton, task="segmentation"):
    channels = skeleton.input_shape[0]
    if task in ("denoising", "inpainting"):
        skeleton = replace(skeleton, classes=channels)
    names = tuple(map(str, range(skeleton.classes))) if find_task(task).labels else ()
    card = Card((70.5,) * channels, (81.25,) * channels, names, task=task)
    network = moved(compile_network(genome, skeleton, seed=1))
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith(("alpha", "beta", "query")):
                value.normal_(generator=torch.Generator().manual_seed(len(name)))
    return usable(network, card).eval()


def check_same(classifier, folder):
    """The module has the network's parameters by name, and its maps. Returns the source.

    In fp64, as a norm over two channels that are nearly equal makes much of fp32's rounding.
    """
    text = source_of(classifier, "network.safetensors")
    assert not any(f"import {name}" in text or f"from {name}" in text for name in OURS)
    write_weights(classifier, folder / "network.safetensors")
    network = module_of(text, folder).load()
    own = classifier.network.state_dict()
    assert {n: v.shape for n, v in network.state_dict().items()} == {
        n: v.shape for n, v in own.items()
    }
    assert [n for n, _ in network.named_parameters()] == [
        n for n, _ in classifier.network.named_parameters()
    ]
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (2, *classifier.skeleton.input_shape), generator=generator)
    with torch.inference_mode():
        expected, found = (one.double()(pictures.double()) for one in (classifier, network))
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8 * expected.abs().max().item())
    return text


@settings(max_examples=6)
@given(unets(), st.integers(0, 10**6))
def test_random_patterns_on_random_skeletons(tmp_path_factory, skeleton, seed):
    rng = random.Random(seed)
    genome = with_names(fitting(skeleton, rng), skeleton, rng)
    classifier = usable_of(genome, skeleton, rng.choice(TASKS))
    check_same(classifier, tmp_path_factory.getbasetemp())


@pytest.mark.slow
@settings(max_examples=200)
@given(unets(), st.integers(0, 10**6))
def test_many_random_patterns(tmp_path_factory, skeleton, seed):
    test_random_patterns_on_random_skeletons.hypothesis.inner_test(tmp_path_factory, skeleton, seed)


@pytest.mark.parametrize("merge", MERGES)
def test_every_merge_between_mirrored_layers(merge, tmp_path):
    skeleton = small()
    able = [merge if not skeleton.lacks(merge, index) else "add" for index in (4, 5)]
    genome = Genome.parse(f"- {merge}(1) {merge}(1,2) {able[0]}(1,m) {able[1]}(m)")
    assert type(MERGES[merge]).__name__ in check_same(usable_of(genome, skeleton), tmp_path)


@pytest.mark.parametrize("name", ["unet", "unet/add", "unet/plain"])
def test_baselines(name, tmp_path):
    baseline = BASELINES[name].narrowed(16)
    skeleton = baseline.skeleton.for_data((1, 36, 27), 2)
    check_same(usable_of(baseline.genome, skeleton), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_a_fresh_process_gives_the_same_maps(task, tmp_path):
    classifier = usable_of(Genome.parse(KINDS), small(per_level=2), task)
    assert export(classifier, "python", tmp_path).equal


def test_a_block_of_a_users_own_with_levels_inside(monkeypatch, tmp_path):
    """Its parts are doubled and cut to the sides of its layer, or exactly."""

    def hourglass(inputs, width, stride, bias, norm):
        conv = parts.Conv(inputs, width, 3, stride, bias)
        halve = map_parts.Halve(conv.shape)
        return parts.Chain.of(
            conv=conv, halve=halve, up=map_parts.UpConv(halve.shape, width, conv.shape[1:])
        )

    monkeypatch.setitem(BLOCKS, "hourglass", Block(1, False, hourglass))
    for sides in ((16, 24), (13, 10)):
        skeleton = small(block="hourglass", input_shape=(3, *sides))
        text = check_same(usable_of(Genome.parse("- add(1)*2 add(m)*2"), skeleton), tmp_path)
        assert ("class UpConv(" in text) == (sides == (13, 10))
    genome = Genome.parse("- add(1)*8")
    check_same(usable_of(genome, convolutional(block="hourglass"), "classification"), tmp_path)
    odd = convolutional(block="hourglass", input_shape=(1, 14, 14))
    with pytest.raises(InputError, match=r"hourglass.up is cut to sides"):
        source_of(usable_of(genome, odd, "classification"), "a.safetensors")


def test_ruff_finds_nothing(tmp_path):
    pytest.importorskip("ruff")
    skeletons = (
        small(), small(block="convnext", levels=(8, 8, 12), stem="none"),
        small(block="bottleneck", input_shape=(3, 16, 24), up="nearest", down="stride"),
        small(block="preact-basic", norm="none", bias=True),
    )  # fmt: skip
    deep = [replace(one, per_level=2) for one in skeletons]
    patterns = [(one, g) for one in deep for g in (Genome.parse(KINDS), Genome.residual(10))]
    patterns += [(one, Genome.plain(5)) for one in skeletons]
    patterns += [(one, Genome.parse("-*3 concat(m)*2")) for one in skeletons]
    patterns += [(small(), Genome.parse(text)) for text in ("-*3 add(1)*2", "-*4 add(0,m)")]
    for number, (skeleton, genome) in enumerate(patterns):
        task = TASKS[number % 3]
        text = check_same(usable_of(genome, skeleton, task), tmp_path)
        (tmp_path / f"n{number}.py").write_text(text)
    for command in (["check"], ["format", "--diff"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--isolated", "--no-cache", str(tmp_path)]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout

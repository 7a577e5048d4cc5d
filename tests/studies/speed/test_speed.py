"""nas bench: a fair reference, arithmetic by hand, a table and JSON."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from nas import Genome, compile_network
from studies.cli import app
from studies.cli.tables import bench_table
from studies.search.request import SearchRequest, prepare_settings
from studies.speed.measure import OURS, WAYS, Bench
from studies.speed.profile import KINDS, arithmetic, matrix_gflops, without_padding
from studies.speed.usual import as_pictures, as_tensors


@pytest.fixture(scope="module")
def settings():
    return prepare_settings(SearchRequest(space="digits9", device="cpu"))[0]


def test_both_ways_of_the_reference_see_the_images_of_the_search(settings):
    for tensors, pictures in zip(as_tensors(settings), as_pictures(settings), strict=True):
        assert len(tensors) == len(pictures)
        for index in (0, 7, len(tensors) - 1):
            (image, label), (same, number) = tensors[index], pictures[index]
            torch.testing.assert_close(same, image, atol=1e-5, rtol=1e-5)
            assert number == label


def test_arithmetic_is_what_pytorch_counts(settings):
    """Its counter, for a training step of 32 images and a forward pass of 100."""
    space = settings.space
    network = compile_network(Genome.residual(9), space.skeleton)
    with FlopCounterMode(display=False) as step:
        network(torch.zeros(32, 1, 8, 8)).sum().backward()
    with FlopCounterMode(display=False) as passed, torch.no_grad():
        network(torch.zeros(100, 1, 8, 8))
    scored = len(settings.data.validation)
    steps, forward = 4 * 9, 4 * (128 + scored) / 100  # 300 images in batches of 32, 4 epochs
    counted = steps * step.get_total_flops() + forward * passed.get_total_flops()
    # PyTorch leaves out the gradient of the pictures, which the first convolution does not need
    assert arithmetic(settings, Genome.residual(9)) == pytest.approx(counted * 1e-9, rel=0.02)


@pytest.mark.parametrize("notation", ["-*9", "add(1) add(1,2) add(1,3)*7", "concat(1)*9"])
def test_padding_is_what_convolutions_of_ones_lack(settings, notation):
    skeleton, genome = settings.space.skeleton, Genome.parse(notation)
    network, inside, whole = compile_network(genome, skeleton), 0.0, 0.0

    def count(conv, inputs, output):
        nonlocal inside, whole
        ones = [torch.ones(1, 1, *x.shape[2:]) for x in (inputs[0], conv.weight)]
        taps = F.conv2d(*ones, stride=conv.stride, padding=conv.padding)
        inside += conv.in_channels * conv.out_channels * taps.sum().item()
        whole += conv.weight.numel() * taps.numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    network(torch.zeros(2, 1, 8, 8))
    assert without_padding(settings, genome) == pytest.approx(inside / whole, rel=1e-3)


def test_the_limit_is_that_of_a_large_product():
    for precision in ("fp32", "bf16"):
        assert 0 < matrix_gflops("cpu", precision, side=256) < 10_000


def test_ratios_are_taken_repetition_by_repetition():
    found = Bench(
        "digits9", "digits", "cpu", "fp32", 2, 2, 1, 2, 4,
        {OURS: [120.0, 90.0], **{way: [60.0, 30.0] for way in WAYS}}, 0.5, 30.0, 0.8,
        {"fp32": 60.0, "bf16": 240.0}, {"batch norm": 0.25},
    )  # fmt: skip
    assert found.ratios("tensors") == [2.0, 3.0]
    # 105 a minute on two cores are 0.875 a second and core: 0.8 of 26.25 GFLOP/s, of 60
    assert found.limit_share == pytest.approx(0.35)
    assert bench_table(found)
    gpus = replace(found, device="cuda:0", workers=4)  # two processes on each of two GPUs
    assert gpus.limit_share == pytest.approx(0.35)


@pytest.mark.slow
def test_the_command_measures_and_prints_json():
    from click.testing import CliRunner

    found = CliRunner().invoke(
        app, ["bench", "--device", "cpu", "--candidates", "2", "--repetitions", "1", "--json"]
    )
    assert found.exit_code == 0, found.output
    record = json.loads(found.stdout)
    assert set(record["rates"]) == {OURS, *WAYS}
    assert all(rate > 0 for rates in record["rates"].values() for rate in rates)
    assert sum(record["shares"].values()) > 0.99  # more where operators call others
    assert max(record["shares"][kind] for kind in KINDS) > 0
    assert record["limit_share"] > 0

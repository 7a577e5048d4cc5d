"""nas bench: a fair reference, arithmetic by hand, a table and JSON."""

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nas import Genome, compile_network
from studies.bench.measure import OURS, WAYS, Bench
from studies.bench.profile import arithmetic
from studies.bench.table import bench_table
from studies.bench.usual import as_pictures, as_tensors
from studies.cli import app
from studies.run import Request, prepare_settings


@pytest.fixture(scope="module")
def settings():
    return prepare_settings(Request(space="digits9", device="cpu"))[0]


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


def test_ratios_are_taken_repetition_by_repetition():
    found = Bench(
        "digits9", "digits", "cpu", "fp32", 2, 1, 2, 4,
        {OURS: [120.0, 90.0], **{way: [60.0, 30.0] for way in WAYS}}, 0.5, 30.0,
        {"fp32": 60.0, "bf16": 240.0}, {"batch norm": 0.25},
    )  # fmt: skip
    assert found.ratios("tensors") == [2.0, 3.0]
    # 105 a minute on two cores are 0.875 a second and core: 26.25 of 60 GFLOP/s
    assert found.limit_share == pytest.approx(0.4375)
    assert bench_table(found)


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
    assert sum(record["shares"].values()) == pytest.approx(1, abs=0.35)  # the profiler costs time
    assert 0 < record["limit_share"] < 3

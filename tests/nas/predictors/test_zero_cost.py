"""Scores against closed forms, brute force and the papers' formulas."""

import random
from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nas import Genome, InputError, Proxy, Skeleton, Stage, compile_network, plan, score
from nas.architecture.merges import MERGES
from nas.architecture.skeletons.blocks import BLOCKS
from nas.predictors.zero_cost import (
    EIGENVALUE_FLOOR,
    SCORES,
    Candidate,
    first_batches,
    grad_norm,
    jacob_cov,
    jacobian_score,
    naswot,
    snip,
    synflow,
    zico,
    zico_of_layer,
)
from nas.training.lockstep import train
from tests.conftest import random_genome

CPU = torch.device("cpu")
QUICK = Proxy(images=128, batch=32, precision="fp32")
SKELETON = Skeleton((1, 8, 8), 10, (Stage(2, 4), Stage(2, 8, 2)))
GENOME = Genome.parse("add(1) concat(1,2) se(1@0.5) gate(2)")


def candidate(network, *batches):
    return Candidate(None, lambda: network, lambda number: list(batches[:number]))


def linear(weights):
    """x (N, C, 1, 1) -> x Wᵀ."""
    layer = nn.Linear(weights.shape[1], weights.shape[0], bias=False)
    layer.weight.data = torch.tensor(weights, dtype=torch.float32)
    return nn.Sequential(nn.Flatten(), layer)


def conv(weights):
    layer = nn.Conv2d(weights.shape[1], weights.shape[0], 1, bias=False)
    layer.weight.data = torch.tensor(weights, dtype=torch.float32)[:, :, None, None]
    return layer


def softmax_regression(seed):
    """Weights W, a batch, and the closed form of its gradient: (p - y)ᵀ x / N."""
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(size=(6, 4)), rng.integers(0, 3, 6)
    weights = np.random.default_rng(9).normal(size=(3, 4))
    powers = np.exp(x @ weights.T)
    p = powers / powers.sum(1, keepdims=True)
    gradient = (p - np.eye(3)[labels]).T @ x / len(x)
    images = torch.tensor(x, dtype=torch.float32)[:, :, None, None]
    return weights, (images, torch.tensor(labels)), gradient


def test_snip_and_grad_norm_of_softmax_regression():
    weights, batch, gradient = softmax_regression(0)
    found = candidate(linear(weights), batch)
    assert snip(found) == pytest.approx(np.abs(gradient * weights).sum(), rel=1e-5)
    assert grad_norm(found) == pytest.approx(np.sqrt((gradient**2).sum()), rel=1e-5)


def test_grad_norm_and_snip_of_a_network_by_brute_force(digits):
    """Over convolutions and linear layers only, with the weights and batch that training has."""
    network = compile_network(GENOME, SKELETON, 5)
    ((images, labels),) = first_batches(digits, QUICK, 5, CPU, 1)
    F.cross_entropy(network(images), labels).backward()
    weights = [p for name, p in network.named_parameters() if p.ndim > 1]
    assert len(weights) < len(list(network.parameters()))
    norm = sum(p.grad.norm().item() for p in weights)
    products = sum((p.grad * p).abs().sum().item() for p in weights)
    found = {n: score(GENOME, SKELETON, QUICK, 5, digits, n, "cpu") for n in ("grad_norm", "snip")}
    assert found["grad_norm"] == pytest.approx(norm, rel=1e-4)
    assert found["snip"] == pytest.approx(products, rel=1e-4)


def test_the_batch_and_the_weights_are_those_that_training_begins_with(digits):
    losses = {}
    train(
        compile_network(GENOME, SKELETON, 3), digits, replace(QUICK, epochs=1), 3, CPU,
        on_step=lambda step, loss: losses.setdefault(step, loss.item()),
    )  # fmt: skip
    ((images, labels),) = first_batches(digits, QUICK, 3, CPU, 1)
    loss = F.cross_entropy(compile_network(GENOME, SKELETON, 3)(images), labels)
    assert loss.item() == pytest.approx(losses[0], rel=1e-5)


def test_batches_go_on_in_the_next_epoch(digits):
    whole = replace(QUICK, batch=128)
    first, second = first_batches(digits, whole, 0, CPU, 2)
    assert not torch.equal(first[1], second[1])
    assert torch.equal(first[1].sort().values, second[1].sort().values)
    assert len(first_batches(digits, QUICK, 0, CPU, 5)) == 5


def test_synflow_of_a_chain_by_hand():
    """R = |W₂| |W₁| 1, and each layer's share is R itself (Tanaka et al. 2020, conservation)."""
    first, second = np.array([[1.0], [-2.0]]), np.array([[3.0, -1.0]])
    network = nn.Sequential(conv(first), nn.BatchNorm2d(2), nn.ReLU(), conv(second))
    network[1].running_mean += 7
    network[1].weight.data += 2
    batch = torch.randn(4, 1, 1, 1), torch.zeros(4, dtype=torch.int64)
    assert synflow(candidate(network, batch)) == 2 * (3 * 1 + 1 * 2)


@pytest.mark.parametrize("block", BLOCKS)
def test_synflow_has_no_norms(block, digits):
    """Weights follow from the modules' names: without norms the skeleton has the same ones."""
    genome = Genome.parse("add(1) concat(1,2) dense(1,2@0.5,3) concat(4)")
    found = [
        score(genome, replace(SKELETON, block=block, norm=norm), QUICK, 0, digits, "synflow", "cpu")
        for norm in ("batch", "none")
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-9)


def test_synflow_is_the_slope_of_the_flow_when_all_weights_grow(digits):
    """Σ W ∂R/∂W = dR(tW)/dt at t = 1 (Euler), where nothing in the network is falling."""
    genome, skeleton = Genome.parse("add(1) concat(1,2) dense(1) -"), replace(SKELETON, norm="none")
    network = compile_network(genome, skeleton, 0).double()
    weights = [p for p in network.parameters() if p.ndim > 1]
    starts = [p.detach().abs() for p in weights]

    def flow(t):
        with torch.no_grad():
            for p in network.parameters():
                p.abs_()
            for p, start in zip(weights, starts, strict=True):
                p.copy_(t * start)
            return network(torch.ones(1, 1, 8, 8, dtype=torch.float64)).sum().item()

    slope = (flow(1 + 1e-6) - flow(1 - 1e-6)) / 2e-6
    found = score(genome, skeleton, QUICK, 0, digits, "synflow", "cpu")
    assert found == pytest.approx(slope, rel=1e-6)


def test_synflow_is_beyond_single_precision(digits):
    skeleton = replace(SKELETON, stages=(Stage(60, 4),))
    found = score(Genome.dense(60), skeleton, QUICK, 0, digits, "synflow", "cpu")
    assert torch.finfo(torch.float32).max < found < float("inf")


def test_naswot_by_counting():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(7, 3)), rng.normal(size=(5, 7))
    images = rng.normal(size=(4, 3))
    network = nn.Sequential(conv(first), nn.ReLU(inplace=True), conv(second), nn.ReLU())
    codes = []
    for x in images:
        hidden = first @ x
        out = second @ np.maximum(hidden, 0)
        codes.append([value > 0 for value in (*hidden, *out)])
    kernel = np.zeros((4, 4))
    for i, j in combinations_with_replacement(range(4), 2):
        distance = sum(a != b for a, b in zip(codes[i], codes[j], strict=True))
        kernel[i, j] = kernel[j, i] = 12 - distance
    batch = torch.tensor(images, dtype=torch.float32)[:, :, None, None], None
    assert naswot(candidate(network, batch)) == pytest.approx(np.log(np.linalg.det(kernel)))


def test_naswot_of_images_that_all_switch_alike_is_not_finite():
    network = nn.Sequential(conv(np.ones((2, 1))), nn.ReLU())
    assert naswot(candidate(network, (torch.ones(3, 1, 1, 1), None))) == -np.inf


def of_eigenvalues(*values):
    return -sum(np.log(v + EIGENVALUE_FLOOR) + 1 / (v + EIGENVALUE_FLOOR) for v in values)


def test_jacob_cov_of_jacobians_by_hand():
    """Two images whose Jacobians correlate by r have the eigenvalues 1 + r and 1 - r."""
    assert jacobian_score(np.array([[1.0, -1, 0, 0], [0, 0, 1, -1]])) == of_eigenvalues(1, 1)
    rows = np.array([[1.0, 2, 3], [1, 3, 2]])
    assert jacobian_score(rows) == pytest.approx(of_eigenvalues(1.5, 0.5))
    assert jacobian_score(np.array([[1.0, 2, 3], [2, 4, 6]])) == pytest.approx(
        of_eigenvalues(2, 0), rel=1e-4
    )
    assert np.isnan(jacobian_score(np.array([[1.0, 1, 1], [1, 2, 3]])))


def test_jacob_cov_of_a_network_by_hand():
    """A ReLU's Jacobian is where its input is positive: two patterns that correlate by 1/3."""
    images = torch.tensor([[1.0, 1, -1, -1], [1, -1, -1, -1]])[:, None, None]
    network = nn.Sequential(nn.ReLU(), nn.Flatten())
    r = 1 / np.sqrt(3)  # of (1, 1, 0, 0) and (1, 0, 0, 0)
    found = jacob_cov(candidate(network, (images, None)))
    assert found == pytest.approx(of_eigenvalues(1 + r, 1 - r))


def test_zico_of_given_gradients():
    """Means 2 and 2, standard deviations 1 and 0: the second weight is left out."""
    assert zico_of_layer(np.array([[1.0, 2], [3, 2]])) == pytest.approx(np.log(2))
    assert zico_of_layer(np.array([[1.0, 4], [3, 2]])) == pytest.approx(np.log(2 + 3))
    assert zico_of_layer(np.zeros((2, 5))) == 0
    assert np.isnan(zico_of_layer(np.array([[1.0, np.nan], [3, 2]])))


def test_zico_of_softmax_regression():
    weights, first, g1 = softmax_regression(0)
    _, second, g2 = softmax_regression(1)
    ratios = (abs(g1) + abs(g2)) / abs(abs(g1) - abs(g2))  # mean / population std of two numbers
    found = zico(candidate(linear(weights), first, second))
    assert found == pytest.approx(np.log(ratios.sum()), rel=1e-3)


def test_controls_are_the_plans():
    planned = plan(GENOME, SKELETON)
    found = Candidate(planned, None, None)
    assert SCORES["params"](found) == planned.params
    assert SCORES["macs"](found) == planned.macs
    assert SCORES["skips"](found) == 5


@pytest.mark.parametrize("name", SCORES)
def test_a_score_is_a_function_of_its_arguments(name, digits):
    rng = random.Random(name)
    genome = random_genome(4, rng, sorted(MERGES))
    first = score(genome, SKELETON, QUICK, 1, digits, name, "cpu")
    torch.manual_seed(77)
    np.random.seed(7)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    assert score(genome, SKELETON, QUICK, 1, digits, name, "cpu") == first
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.isfinite(first)
    other = score(genome, SKELETON, QUICK, 2, digits, name, "cpu")
    assert (other == first) == (name in ("params", "macs", "skips"))


@pytest.mark.parametrize("name", ["grad_norm", "snip", "synflow", "naswot", "jacob_cov", "zico"])
def test_a_network_that_overflows_is_no_error(name, digits):
    genome = Genome.parse("add(1@1e200)*4")
    found = score(genome, replace(SKELETON, norm="none"), QUICK, 0, digits, name, "cpu")
    assert isinstance(found, float)
    assert name == "naswot" or not np.isfinite(found)


def test_what_is_refused(digits):
    with pytest.raises(InputError, match=r"unknown score 'sinflow': did you mean synflow"):
        score(GENOME, SKELETON, QUICK, 0, digits, "sinflow", "cpu")
    with pytest.raises(InputError, match="the genome has 3 layers, the skeleton 4"):
        score(Genome.plain(3), SKELETON, QUICK, 0, digits, "snip", "cpu")

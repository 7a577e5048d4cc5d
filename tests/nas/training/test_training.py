"""The trainer: repeatable, fair to all candidates, and right where the answer is known."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from nas import Genome, InputError, Proxy, Skeleton, Stage, compile_network, evaluate
from nas.training.batches import Feed, crop, prepare
from nas.training.lockstep import gradient_norm, train
from nas.training.optimizer import learning_rate
from nas.training.scoring import accuracy, recalibrate

CPU = torch.device("cpu")
QUICK = Proxy(epochs=2, images=128, batch=32, precision="fp32")


def skeleton_for(data, **more):
    return Skeleton(data.shape, len(data.classes), (Stage(2, 8), Stage(2, 16, 2)), **more)


def result(evaluation):
    """What promise 1 covers."""
    return (
        evaluation.status,
        evaluation.accuracies,
        evaluation.losses,
        evaluation.gradients,
        evaluation.params,
        evaluation.macs,
    )


def test_the_same_inputs_give_the_same_evaluation(digits):
    genome = Genome.parse("add(1) gate(1,2) concat(1@0.5) se(2)")
    first = evaluate(genome, skeleton_for(digits), QUICK, 3, digits, "cpu")
    torch.manual_seed(123)
    np.random.seed(5)
    evaluate(Genome.plain(4), skeleton_for(digits), QUICK, 0, digits, "cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    second = evaluate(genome, skeleton_for(digits), QUICK, 3, digits, "cpu")
    torch.set_num_threads(threads)
    assert result(first) == result(second)
    other = evaluate(genome, skeleton_for(digits), QUICK, 4, digits, "cpu")
    assert result(first) != result(other)


def test_bright_and_dark_are_learnt(blobs):
    proxy = Proxy(epochs=5, batch=10, learning_rate=0.05)
    found = evaluate(Genome.residual(4), skeleton_for(blobs), proxy, 0, blobs, "cpu")
    assert found.status == "ok"
    assert found.accuracy == 1.0
    assert found.losses[-1] < 0.5 * found.losses[0]
    assert len(found.accuracies) == len(found.losses) == len(found.gradients) == 5
    assert found.peak_bytes is None or found.peak_bytes > 10_000_000


def test_digits_are_learnt_from_all_images(digits):
    proxy = Proxy(epochs=6)
    found = evaluate(Genome.residual(4), skeleton_for(digits), proxy, 0, digits, "cpu", part="test")
    assert found.accuracy > 0.95
    assert len(found.accuracies) == 1  # the test set is scored once


def test_the_test_part_is_scored_beside_validation_and_changes_nothing(digits):
    given = Genome.residual(4), skeleton_for(digits), QUICK, 0, digits, "cpu"
    alone, both = evaluate(*given), evaluate(*given, also_test=True)
    assert (alone.accuracies, alone.scored_losses, alone.losses, alone.test) == (
        both.accuracies, both.scored_losses, both.losses, None,
    )  # fmt: skip
    tested = evaluate(*given, part="test")
    assert both.test == (tested.accuracy, tested.scored_losses[-1])


def test_divergence_is_a_status_and_ends_early(digits):
    skeleton = skeleton_for(digits, norm="none")
    proxy = Proxy(epochs=50, batch=32, learning_rate=1e6)
    found = evaluate(Genome.dense(4), skeleton, proxy, 0, digits, "cpu")
    assert found.status == "diverged"
    assert "not finite in epoch 1" in found.why
    assert found.accuracy == 0
    assert len(found.losses) == 1


def batches(part, proxy, seed, epoch):
    feed = Feed(part, proxy, seed, CPU)
    feed.start(epoch)
    found = []
    for _ in range(feed.steps):
        feed.load()
        found.append((feed.images.clone(), feed.targets.clone()))
    return found


def test_every_candidate_sees_the_same_batches(digits):
    part = prepare(digits, replace(QUICK, augment="crop-flip"), "train", CPU)
    proxy = replace(QUICK, augment="crop-flip")
    first = batches(part, proxy, 7, 1)
    torch.manual_seed(0)
    second = batches(part, proxy, 7, 1)
    assert len(first) == 4
    for (a, x), (b, y) in zip(first, second, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(x, y)
    assert not torch.equal(first[0][1], batches(part, proxy, 7, 2)[0][1])


def test_images_are_normalised_by_the_training_part(digits):
    part = prepare(digits, Proxy(), "train", CPU)
    images, _ = part.batch(torch.arange(len(part.labels)))
    assert abs(images.mean().item()) < 1e-4
    assert images.std().item() == pytest.approx(1, abs=1e-3)
    assert part.images.dtype == torch.uint8
    validation = prepare(digits, Proxy(), "validation", CPU)
    assert torch.equal(validation.mean, part.mean)


def test_resolution_is_area_averaging(blobs):
    full = prepare(blobs, Proxy(), "train", CPU).images
    small = prepare(blobs, Proxy(resolution=3), "train", CPU).images
    assert small.shape[1:] == (3, 3, 4)
    top_left = full[:, :, 0:2, 0:2].float().mean((2, 3)).round()
    torch.testing.assert_close(small[:, :, 0, 0].float(), top_left, atol=1, rtol=0)
    with pytest.raises(InputError, match="resolution 9 is larger than the pictures' 6×7"):
        prepare(blobs, Proxy(resolution=9), "train", CPU)


def test_augmentation_crops_and_flips():
    images = (
        torch.arange(16 * 16, dtype=torch.float32).reshape(1, 1, 16, 16).repeat(64, 1, 1, 1) + 1
    )
    rng = np.random.default_rng(0)
    shifts, mirrored = rng.integers(0, 5, (2, 64)), rng.random(64) < 0.5
    out = crop(images, torch.from_numpy(shifts), torch.from_numpy(mirrored), 2)
    assert out.shape == images.shape
    padded = nn.functional.pad(images[:1], (2, 2, 2, 2))[0, 0]
    crops = {
        tuple(crop.flatten().tolist())
        for r in range(5)
        for c in range(5)
        for crop in (padded[r : r + 16, c : c + 16], padded[r : r + 16, c : c + 16].flip(1))
    }
    seen = {tuple(image[0].flatten().tolist()) for image in out}
    assert seen <= crops
    assert len(seen) > 20


def test_the_learning_rate_rises_then_falls():
    rates = [learning_rate(Proxy(learning_rate=1.0, warmup=0.25), s, 100) for s in range(100)]
    assert max(rates) == rates[25] == 1.0
    assert rates[:26] == sorted(rates[:26])
    assert rates[25:] == sorted(rates[25:], reverse=True)
    assert 0 < rates[-1] < 0.02
    assert 0 < rates[0] < 0.05
    assert learning_rate(Proxy(learning_rate=1.0, warmup=0), 0, 10) == 1.0


def test_recalibrated_norms_have_the_training_images_statistics(digits):
    network = compile_network(Genome.residual(4), skeleton_for(digits))
    part = prepare(digits, Proxy(), "train", CPU)
    recalibrate(network, part, Proxy(calibration_images=10**6, batch=1000, precision="fp32"))
    images, _ = part.batch(torch.arange(len(part.labels)))
    out = network.stem.conv(images)
    torch.testing.assert_close(network.stem.norm.running_mean, out.mean((0, 2, 3)), atol=1e-4, rtol=1e-3)  # fmt: skip
    assert network.stem.norm.momentum == 0.1


def test_accuracy_counts_right_answers(blobs):
    class Brightness(nn.Module):
        def forward(self, x):
            level = x.mean((1, 2, 3))
            return torch.stack([-level, level], 1)

    part = prepare(blobs, QUICK, "validation", CPU)
    assert accuracy(Brightness(), part, QUICK) == 1.0
    wrong = replace(part, labels=1 - part.labels)
    assert accuracy(Brightness(), wrong, QUICK) == 0.0


def test_gradient_norms_do_not_underflow():
    assert gradient_norm([torch.tensor([3e-30, 4e-30])]) == pytest.approx(5e-30)


def test_nesterov_step_matches_the_formula(blobs):
    """One step of the trainer on a linear network against Sutskever's update written out."""
    proxy = Proxy(
        epochs=1, images=40, batch=40, learning_rate=0.1, warmup=0, weight_decay=0.01,
        calibration_images=0, precision="fp32",
    )  # fmt: skip
    network = compile_network(
        Genome.plain(1), Skeleton(blobs.shape, 2, (Stage(1, 4),), norm="none")
    )
    twin = compile_network(Genome.plain(1), Skeleton(blobs.shape, 2, (Stage(1, 4),), norm="none"))
    images, labels = batches(prepare(blobs, proxy, "train", CPU), proxy, 0, 0)[0]
    nn.functional.cross_entropy(twin(images), labels).backward()
    train(network, blobs, proxy, 0, CPU)
    for (name, after), before in zip(network.named_parameters(), twin.parameters(), strict=True):
        gradient = before.grad + (0.01 * before if before.ndim > 1 else 0)
        step = gradient + 0.9 * gradient  # the velocity is the gradient at the first step
        torch.testing.assert_close(after, before - 0.1 * step, msg=name)


def test_bf16_trains_too(digits):
    proxy = replace(QUICK, precision="bf16", epochs=4, images=None)
    found = evaluate(Genome.residual(4), skeleton_for(digits), proxy, 0, digits, "cpu")
    assert found.status == "ok"
    assert found.accuracy > 0.8
    assert all(math.isfinite(x) for x in found.losses)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
        ({"learning_rate": -1}, "learning_rate is -1"),
        ({"warmup": 1.0}, "warmup is 1.0; it must be in"),
        ({"augment": "cutout"}, "unknown augment"),
        ({"precision": "fp8"}, "unknown precision"),
    ],
)
def test_impossible_proxies(settings, message):
    with pytest.raises(InputError, match=message):
        Proxy(**settings)


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpu:", "cuda:99"])
def test_unknown_devices(name, digits):
    with pytest.raises(InputError, match="device"):
        evaluate(Genome.residual(4), skeleton_for(digits), QUICK, 0, digits, name)


def test_latency_grows_with_work(digits):
    skeleton = Skeleton((1, 8, 8), 10, (Stage(4, 16),))
    proxy = Proxy(epochs=1, images=64, batch=32)
    found = evaluate(Genome.plain(4), skeleton, proxy, 0, digits, "cpu", latencies=True)
    assert 0 < found.latency_1 < found.latency_full < 32 * found.latency_1
    heavy = Skeleton((1, 8, 8), 10, (Stage(16, 32),))
    more = evaluate(Genome.plain(16), heavy, proxy, 0, digits, "cpu", latencies=True)
    assert more.latency_full > 2 * found.latency_full
    assert evaluate(Genome.plain(4), skeleton, proxy, 0, digits, "cpu").latency_1 is None


def test_an_answer_ends_the_training(digits):
    skeleton, proxy = Skeleton((1, 8, 8), 10, (Stage(2, 8),)), Proxy(epochs=3, images=128)
    whole = evaluate(Genome.residual(2), skeleton, proxy, 0, digits, "cpu")
    cut = evaluate(
        Genome.residual(2), skeleton, proxy, 0, digits, "cpu", on_epoch=lambda e, _: e == 2
    )
    assert (cut.status, cut.why) == ("pruned", "after epoch 2 of 3")
    assert cut.accuracies == whole.accuracies[:2]
    assert cut.accuracy == whole.accuracies[1]


@pytest.mark.gpu
def test_gpu_results_repeat(digits):
    genome = Genome.parse("add(1) gate(1,2) concat(1@0.5) se(2)")
    runs = [evaluate(genome, skeleton_for(digits), QUICK, 3, digits, "cuda") for _ in range(2)]
    assert result(runs[0]) == result(runs[1])
    assert runs[0].peak_bytes > 0
    precise = [replace(QUICK, precision=p) for p in ("fp32", "bf16")]
    scores = [
        evaluate(genome, skeleton_for(digits), p, 3, digits, "cuda").accuracy for p in precise
    ]
    assert abs(scores[0] - scores[1]) < 0.2

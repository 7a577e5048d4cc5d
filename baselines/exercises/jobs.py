"""What the exercises measure on one network, and how large: trainings, gradients, features, lesions.

Each job is one network; its result is a plain dictionary that is kept as JSON. Gradient norms are
those of a branch's convolution weights (biases before batch norm have gradients of about zero).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from baselines.exercises.features import features, gates, has_gates, lesions
from baselines.exercises.gradients import LawJob, gradient_law, layer_gradients
from nas.architecture.genome import Genome
from nas.architecture.plan import plan
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.data.dataset import Data
from nas.devices.device import find_device, on_device, one_thread, reproducible
from nas.network.compile import compile_network
from nas.network.network import Network
from nas.proxy import Proxy
from nas.training.batches import prepare
from nas.training.curves import Curves
from nas.training.lockstep import train
from nas.training.precision import resolved
from nas.training.scoring import accuracy


@dataclass(frozen=True)
class Profile:
    """Budget of a run. Widths shrink, architectures do not."""

    name: str
    width_divisor: int
    """Divides every width of the trained networks."""
    proxy: Proxy
    seeds: int
    law_width: int
    """Width of exercise 1's gradient law at initialisation."""
    law_blocks: tuple[int, ...]
    law_seeds: int
    deep_divisor: int
    """Divides the widths of the network of 1,000 layers."""
    deep_steps: int
    deep_batch: int


PROFILES: dict[str, Profile] = {
    "quick": Profile(
        name="quick",
        width_divisor=8,
        proxy=Proxy(
            epochs=5, images=2000, validation_images=1000, batch=64, learning_rate=0.05,
            precision="fp32",
        ),
        seeds=5,
        law_width=16,
        law_blocks=(2, 4, 8, 14, 20, 28),
        law_seeds=3,
        deep_divisor=16,
        deep_steps=60,
        deep_batch=32,
    ),
    "full": Profile(
        name="full",
        width_divisor=1,
        proxy=Proxy(epochs=20, batch=128, learning_rate=0.1),
        seeds=3,
        law_width=64,
        law_blocks=(2, 4, 8, 14, 20, 28, 56),
        law_seeds=5,
        deep_divisor=1,
        deep_steps=400,
        deep_batch=64,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class ExerciseContext:
    """What all jobs of a run share."""

    data: Data
    devices: tuple[str, ...]

    def prepare(self, device: str) -> None:
        """Nothing: this module itself imports what its jobs need."""


@dataclass(frozen=True)
class TrainingJob:
    """One network trained once."""

    number: int
    key: str
    genome: Genome
    skeleton: AnySkeleton
    proxy: Proxy
    seed: int
    features: bool = False
    """Measure x, F(x), F(x)+x before and after training, and remove branches one by one."""
    steps: int | None = None
    """Only so many steps, without scores: whether a very deep network trains at all."""


def run_job(
    job: TrainingJob | LawJob, context: ExerciseContext, device: str, send: Callable[[Any], None]
) -> dict[str, Any]:
    """The task of the exercises' workers."""
    where = find_device(device)
    started = time.perf_counter()
    with on_device(where), one_thread(where), reproducible(where, True):
        if isinstance(job, LawJob):
            found = gradient_law(job)
        elif job.steps is not None:
            found = few_steps(job, context.data, where)
        else:
            found = full_training(job, context.data, where)
    return {"key": job.key, **found, "seconds": time.perf_counter() - started}


def complete(job: TrainingJob | LawJob, result: Mapping[str, Any]) -> bool:
    """Whether a result that was kept has all that the job measures."""
    if isinstance(job, LawJob) or job.steps is not None or result.get("status") != "ok":
        return True
    wanted = {"features_trained": job.features, "gates": has_gates(job.genome)}
    return all(name in result for name, needed in wanted.items() if needed)


def full_training(job: TrainingJob, data: Data, device: torch.device) -> dict[str, Any]:
    """Trains, scores every epoch on validation images and once on test images."""
    network = _network(job, data, device)
    proxy = resolved(job.proxy, job.skeleton, device)
    found: dict[str, Any] = _describe(job, network)
    batch = min(proxy.batch, len(prepare(data, proxy, "train", device).labels))
    steps = len(prepare(data, proxy, "train", device).labels) // batch
    watched = {0, 1, 2, 5, 10} | {(e + 1) * steps - 1 for e in range(proxy.epochs)}
    gradients: dict[int, list[float]] = {}
    losses: list[float] = []

    def on_step(step: int, loss: Tensor) -> None:
        if step in watched:
            gradients[step] = layer_gradients(network)
        losses.append(float(loss))

    if job.features:
        found["features_initial"] = features(network, data, proxy, device, trained=False)
    started = time.perf_counter()
    curves: Curves = train(network, data, proxy, job.seed, device, on_step=on_step)
    found |= {
        "train_seconds": time.perf_counter() - started,
        "status": "diverged" if curves.diverged else "ok",
        "train_loss": curves.losses,
        "validation_accuracy": curves.accuracies,
        "step_loss": losses,
        "gradients": [{"step": step, "norms": norms} for step, norms in gradients.items()],
        "steps_per_epoch": steps,
        "test_accuracy": 0.0,
    }
    if not curves.diverged:
        found["test_accuracy"] = accuracy(network, prepare(data, proxy, "test", device), proxy)
        if job.features:
            found["features_trained"] = features(network, data, proxy, device)
            found["lesions"] = lesions(network, data, proxy, device)
        if has_gates(job.genome):
            found["gates"] = gates(network, data, proxy, device)
    return found


def few_steps(job: TrainingJob, data: Data, device: torch.device) -> dict[str, Any]:
    """The losses of the first steps of a training that ends there."""
    steps = job.steps or 1
    network = _network(job, data, device)
    images = max(steps * job.proxy.batch, 2 * job.skeleton.classes)
    proxy = replace(
        job.proxy,
        epochs=1,
        images=images,
        validation_images=max(64, 2 * job.skeleton.classes),
        calibration_images=0,
    )
    losses: list[float] = []
    curves = train(
        network, data, resolved(proxy, job.skeleton, device), job.seed, device,
        on_step=lambda step, loss: losses.append(float(loss)),
    )  # fmt: skip
    return {
        **_describe(job, network),
        "status": "diverged" if curves.diverged else "ok",
        "step_loss": losses,
    }


def _network(job: TrainingJob, data: Data, device: torch.device) -> Network:
    network = compile_network(job.genome, job.skeleton, job.seed)
    return network.to(device).to(memory_format=torch.channels_last)


def _describe(job: TrainingJob, network: Network) -> dict[str, Any]:
    planned = plan(job.genome, job.skeleton)
    convolutions = [m for m in network.layers.modules() if isinstance(m, nn.Conv2d)]
    return {
        "params": planned.params,
        "macs": planned.macs,
        "layers": len(job.genome),
        "convolutions": len(convolutions),
        "seed": job.seed,
    }

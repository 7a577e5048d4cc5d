"""The usual way, to measure against: an Optuna study around a plain PyTorch training loop.

It follows Optuna's own PyTorch example (examples/pytorch/pytorch_simple.py): networks are built
eagerly in fp32 and trained with a DataLoader and all threads, and every epoch is validated and
reported. Genomes, data, task, epochs, batch and optimizer are those of the search. Two ways of holding
pictures with classes are measured: as tensors that were prepared once, and as torchvision's data sets
do, with transforms of every picture whenever it is loaded. Other data are tensors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import optuna
import torch
from PIL import Image
from torch import nn, optim
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision import transforms

from nas.architecture.genome import Genome
from nas.data.dataset import subset
from nas.network.compile import compile_network
from nas.proxy import Proxy
from nas.tasks.table import find_task
from nas.tasks.task import FIELDS, SCORED
from nas.training.batches import prepare
from nas.training.optimizer import BETA2, learning_rate
from studies.search.settings import SearchSettings

Parts = tuple[Dataset, Dataset]
"""Training and validation images."""


class Pictures(Dataset):
    """Pictures as torchvision's MNIST, FashionMNIST and CIFAR10 hold them, with a transform."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: Callable) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = np.moveaxis(self.images[index], 0, -1)
        picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        return self.transform(picture), int(self.labels[index])


def as_tensors(settings: SearchSettings) -> Parts:
    """Normalised pictures, or symbols of a text, prepared once."""
    parts = (
        prepare(settings.data, settings.space.proxy, part, torch.device("cpu"))
        for part in ("train", "validation")
    )
    first, second = (
        TensorDataset(part.inputs(torch.arange(len(part.labels))).contiguous(), part.labels)
        for part in parts
    )
    return first, second


def as_pictures(settings: SearchSettings) -> Parts:
    """Pictures with transforms to the proxy's resolution and to normalised tensors."""
    data, proxy = settings.data, settings.space.proxy
    part = prepare(data, proxy, "train", torch.device("cpu"))
    steps: list[Callable] = [transforms.Resize(proxy.resolution)] if proxy.resolution else []
    mean, std = ((t.flatten() / 255).tolist() for t in (part.mean, part.std))
    transform = transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(mean, std)])
    wanted = (
        subset(data.train, data.labels, proxy.images, data.split_seed),
        subset(data.validation, data.labels, proxy.validation_images, data.split_seed),
    )
    first, second = (Pictures(data.images[i], data.labels[i], transform) for i in wanted)
    return first, second


def usual_seconds(
    settings: SearchSettings, parts: Parts, genomes: Sequence[Genome], device: str, threads: int
) -> float:
    """Seconds that an Optuna study needs to train and score the genomes, one after the other."""
    proxy, space, waiting = settings.space.proxy, settings.space, list(genomes)
    task, count = find_task(proxy.task), len(parts[1])  # type: ignore[arg-type]

    def objective(trial: optuna.Trial) -> float:
        for gene in space.genes:  # recorded as a sampler would have it
            trial.suggest_categorical(gene.name, gene.choices)
        network = compile_network(waiting.pop(), space.skeleton).to(device)  # the same genomes
        batches = DataLoader(parts[0], proxy.batch, shuffle=True, drop_last=True)
        optimizer, steps = _optimizer(network, proxy), proxy.epochs * len(batches)
        schedule = optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate(proxy, step, steps)
        )
        score = 0.0
        for epoch in range(proxy.epochs):
            network.train()
            for inputs, labels in batches:
                fields = torch.randint(SCORED, FIELDS, (len(inputs),), device=device)
                read, targets = task.example(inputs.to(device), labels.to(device), fields)
                optimizer.zero_grad()
                task.loss(network(read), targets, proxy.label_smoothing).backward()
                if proxy.clip:
                    nn.utils.clip_grad_norm_(network.parameters(), proxy.clip)
                optimizer.step()
                schedule.step()
            network.eval()
            sums, seen = torch.zeros(()), 0
            with torch.no_grad():
                for inputs, labels in DataLoader(parts[1], 4 * proxy.batch):
                    fields = torch.arange(seen, seen + len(inputs), device=device) % SCORED
                    read, targets = task.example(inputs.to(device), labels.to(device), fields)
                    sums = sums + task.measure(network(read), targets)[0].cpu()
                    seen += len(inputs)
            score = task.sign * task.result(sums.tolist(), count)
            trial.report(score, epoch)
        return score

    before, verbosity = torch.get_num_threads(), optuna.logging.get_verbosity()
    torch.set_num_threads(threads)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(0))
        started = time.perf_counter()
        study.optimize(objective, n_trials=len(genomes))
        return time.perf_counter() - started
    finally:
        torch.set_num_threads(before)
        optuna.logging.set_verbosity(verbosity)


def _optimizer(network: nn.Module, proxy: Proxy) -> optim.Optimizer:
    """The proxy's, at a rate of 1, which a schedule multiplies."""
    if proxy.optimizer == "adamw":
        betas = proxy.momentum, BETA2
        return optim.AdamW(network.parameters(), 1.0, betas, weight_decay=proxy.weight_decay)
    return optim.SGD(
        network.parameters(), 1.0, proxy.momentum, nesterov=proxy.momentum > 0,
        weight_decay=proxy.weight_decay,
    )  # fmt: skip

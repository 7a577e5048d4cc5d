"""Candidates a minute: this framework beside the usual way, in one run on one machine.

The usual way is an Optuna study whose objective builds the network eagerly and trains it in fp32,
NCHW, with a DataLoader and all threads. Both train the same genomes, for as many epochs on the same
images, and score the same validation images. Workers are started before the clock.

    python tests/benchmarks/throughput.py [--space digits9] [--data digits] [--candidates 24]
"""

import argparse
import random
import time

import optuna
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from nas import compile_network
from nas.data import subset
from nas.jobs import EvaluationBench, EvaluationJob, evaluate_job
from nas.workers import Workers, default_count
from search_spaces import SPACES
from studies.run import Request, prepare_settings


def ours(settings, devices, genomes, count):
    bench = EvaluationBench(settings.space.skeleton, settings.data, devices)
    jobs = [EvaluationJob(i, g, settings.space.proxy, 0) for i, g in enumerate(genomes)]
    with Workers(evaluate_job, bench, count) as workers:
        list(workers.run(jobs[:count]))  # starts the processes
        started = time.perf_counter()
        list(workers.run(jobs[count:]))
        return time.perf_counter() - started


def usual(settings, device, genomes):
    data, proxy, space = settings.data, settings.space.proxy, settings.space
    parts = {}
    for name, count in (("train", proxy.images), ("validation", proxy.validation_images)):
        indices = subset(getattr(data, name), data.labels, count, data.split_seed)
        images = torch.from_numpy(data.images[indices]).float() / 255
        if proxy.resolution:
            images = nn.functional.interpolate(images, proxy.resolution, mode="area")
        parts[name] = TensorDataset(images, torch.from_numpy(data.labels[indices]))
    waiting = list(genomes)

    def objective(trial):
        for gene in space.genes:  # recorded as a sampler would have it
            trial.suggest_categorical(gene.name, gene.choices)
        genome = waiting.pop()  # but the same genomes on both sides
        network = compile_network(genome, space.skeleton).to(device)
        optimizer = torch.optim.SGD(network.parameters(), proxy.learning_rate, 0.9, nesterov=True)
        loss = nn.CrossEntropyLoss()
        for epoch in range(proxy.epochs):
            network.train()
            for images, labels in DataLoader(
                parts["train"], proxy.batch, shuffle=True, drop_last=True
            ):
                optimizer.zero_grad()
                loss(network(images.to(device)), labels.to(device)).backward()
                optimizer.step()
            network.eval()
            right = 0
            with torch.no_grad():
                for images, labels in DataLoader(parts["validation"], 4 * proxy.batch):
                    right += (network(images.to(device)).argmax(1).cpu() == labels).sum().item()
            trial.report(right / len(parts["validation"]), epoch)
        return right / len(parts["validation"])

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(0))
    started = time.perf_counter()
    study.optimize(objective, n_trials=len(genomes))
    return time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--space", default="digits9", choices=sorted(SPACES))
    parser.add_argument("--data")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--candidates", type=int, default=24)
    arguments = parser.parse_args()
    settings, devices = prepare_settings(
        Request(space=arguments.space, data=arguments.data, device=arguments.device)
    )
    count = arguments.workers or default_count(devices)
    rng = random.Random(0)
    genomes = [settings.space.sample(rng) for _ in range(arguments.candidates + count)]
    seconds = ours(settings, devices, genomes, count)
    reference = usual(settings, devices[0], genomes[count:])
    mine, theirs = (60 * arguments.candidates / s for s in (seconds, reference))
    print(f"{arguments.space} on {settings.data.name}, {settings.space.proxy}")
    print(f"{count} worker(s) on {devices[0]}: {mine:.1f} candidates/min")
    print(f"the usual way ({torch.get_num_threads()} threads): {theirs:.1f} candidates/min")
    print(f"ratio: {mine / theirs:.2f}")


if __name__ == "__main__":
    main()

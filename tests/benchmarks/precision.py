"""bf16 against fp32 on one core: how much faster a step of training and a score are.

Nine basic blocks with ResNet's skips at a batch of 64, for the table in nas/precision.py.

    python tests/benchmarks/precision.py
"""

import time
from statistics import median

import torch
from torch.nn import functional as F

from nas import Genome, Proxy, Skeleton, Stage, compile_network
from nas.device import one_thread
from nas.flat import DTYPES, flatten, in_precision, update
from nas.folding import folded

SIDES, WIDTHS, BATCH, REPEATS = (8, 14, 16, 28, 32), (8, 16, 32, 64), 64, 5


def works(width, side, precision):
    """A step of training, and a score of a batch."""
    skeleton = Skeleton((3, side, side), 10, (Stage(3, width), Stage(3, 2 * width, 2), Stage(3, 4 * width, 2)))  # fmt: skip
    proxy = Proxy(precision=precision)
    network = compile_network(Genome.residual(9), skeleton).to(memory_format=torch.channels_last)
    flats, rate = flatten(network, proxy), torch.tensor(0.01)
    images = torch.randn(BATCH, 3, side, side).to(DTYPES[precision])
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(BATCH) % 10

    def step():
        network.train()
        loss = F.cross_entropy(network(images).float(), labels)
        found = iter(torch.autograd.grad(loss, [p for flat in flats for p in flat.parameters]))
        for flat in flats:
            flat.take([next(found) for _ in flat.parameters])
        update(flats, proxy, rate)

    @torch.no_grad()
    def score():
        network.eval()
        with in_precision(network, proxy), folded(network):
            network(images)

    return step, score


def seconds(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main():
    print("| side | " + " | ".join(f"width {width}" for width in WIDTHS) + " |")
    with one_thread(torch.device("cpu")):
        for side in SIDES:
            cells = []
            for width in WIDTHS:
                exact, rounded = works(width, side, "fp32"), works(width, side, "bf16")
                ratios = []
                for first, second in zip(exact, rounded, strict=True):
                    first(), second()
                    pairs = [(seconds(first), seconds(second)) for _ in range(REPEATS)]
                    ratios.append(median(a / b for a, b in pairs))
                cells.append(f"{ratios[0]:.2f}, {ratios[1]:.2f}")
            print(f"| {side} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()

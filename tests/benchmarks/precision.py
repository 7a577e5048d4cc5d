"""bf16 against fp32 on one core, and the kernels against PyTorch's: a step of training, and a score.

Nine basic blocks with ResNet's skips at a batch of 64, for the tables in nas/precision.py.

    python tests/benchmarks/precision.py
"""

import time
from statistics import median

import torch
from torch.nn import functional as F

from nas import Genome, Proxy, Skeleton, Stage, compile_network
from nas.devices.device import one_thread
from nas.kernels.program import compiled
from nas.network.parameters import DTYPES, flatten, in_precision
from nas.training.folding import folded
from nas.training.optimizer import update

SIDES, WIDTHS, BATCH, REPEATS = (8, 14, 16, 28, 32), (8, 16, 32, 64), 64, 5


def works(width, side, precision, kernels):
    """A step of training, and a score of a batch."""
    skeleton = Skeleton((3, side, side), 10, (Stage(3, width), Stage(3, 2 * width, 2), Stage(3, 4 * width, 2)))  # fmt: skip
    proxy = Proxy(precision=precision)
    network = compile_network(Genome.residual(9), skeleton).to(memory_format=torch.channels_last)
    flats, rate = flatten(network, proxy), torch.tensor(0.01)
    images = torch.randn(BATCH, 3, side, side).to(DTYPES[precision])
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(BATCH) % 10
    if kernels:
        program = compiled(network, flats, proxy, images.shape, BATCH, torch.device("cpu"))
        if program is None:
            return None

        def step():
            program.gradients(images, labels, 0.0)
            update(flats, proxy, rate)

        @torch.no_grad()
        def score():
            program.start_scoring()
            program.score(images)

        return step, score

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


def ratios(slow, fast):
    """How much faster a step and a score are, medians of pairs; None where a way is missing."""
    if slow is None or fast is None:
        return "–"
    found = []
    for first, second in zip(slow, fast, strict=True):
        first(), second()
        pairs = [(seconds(first), seconds(second)) for _ in range(REPEATS)]
        found.append(median(a / b for a, b in pairs))
    return f"{found[0]:.2f}, {found[1]:.2f}"


TABLES = {
    "kernels, bf16 over fp32": (("fp32", True), ("bf16", True)),
    "PyTorch, bf16 over fp32": (("fp32", False), ("bf16", False)),
    "fp32, kernels over PyTorch": (("fp32", False), ("fp32", True)),
    "bf16, kernels over PyTorch": (("bf16", False), ("bf16", True)),
}


def main():
    with one_thread(torch.device("cpu")):
        for title, (slow, fast) in TABLES.items():
            print(f"\n| {title} | " + " | ".join(f"width {width}" for width in WIDTHS) + " |")
            for side in SIDES:
                cells = [
                    ratios(works(width, side, *slow), works(width, side, *fast)) for width in WIDTHS
                ]
                print(f"| {side} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()

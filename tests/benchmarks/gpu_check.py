"""Checks the GPU path and times it, in one call on a machine with a CUDA device.

1. the tests marked gpu: bitwise repeats, packs as solo runs, --fast within seed noise;
2. the same evaluations in two processes give the same results, in fp32 and bf16, with latencies;
3. memory: what a step was predicted to need, and what it needed;
4. candidates a minute beside the usual way, for 1 to 8 processes, one candidate at once in each and
   in lockstep.

Pictures of CIFAR's size are noise here: only times are taken from them.

    python tests/benchmarks/gpu_check.py [--fashion-mnist]
"""

import argparse
import random
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from nas import evaluate, plan
from nas.evaluation.evaluate import evaluate_together
from nas.evaluation.jobs import EvaluationContext, EvaluationJob, evaluate_job
from nas.training.memory import training_bytes
from nas.training.precision import resolved
from nas.workers.process_pool import Workers
from nas.workers.protocol import Finished
from studies.search.request import SearchRequest, prepare_settings

HERE = Path(__file__).parent
LOCKSTEP = "--lockstep"
WAYS = (
    (1, 8), (2, 8), (4, 8), (8, 8),
    (1, 8, LOCKSTEP), (1, 32, LOCKSTEP), (2, 32, LOCKSTEP), (4, 32, LOCKSTEP), (8, 64, LOCKSTEP),
)  # fmt: skip
"""Processes, lag, and whether candidates are trained side by side."""


def repeats(settings, genomes, precision):
    """Whether a worker's results equal this process's."""
    proxy = replace(settings.space.proxy, precision=precision)
    skeleton, data = settings.space.skeleton, settings.data
    jobs = [EvaluationJob(i, genome, proxy, 0) for i, genome in enumerate(genomes)]
    context = EvaluationContext(skeleton, data, ("cuda:0",), lockstep=True)
    with Workers(evaluate_job, context, 1, 4) as workers:
        found = {r.number: r.result for r in workers.run(jobs) if isinstance(r, Finished)}
    equal = 0
    for number, genome in enumerate(genomes):
        here = evaluate(genome, skeleton, proxy, 0, data, "cuda:0", latencies=True)
        there = found[number]
        equal += (here.losses, here.accuracies) == (there.losses, there.accuracies)
        print(f"  {precision} {here.status:5} {here.accuracy:.4f} {here.seconds:6.2f} s "
              f"latency {1e3 * here.latency_1:.3f} ms for one, "
              f"{1e3 * here.latency_full:.3f} ms for {proxy.batch}  {genome}")  # fmt: skip
    print(f"{precision}: {equal} of {len(genomes)} evaluations repeat in a pack elsewhere")
    return equal == len(genomes)


def memory(settings, sizes=(1, 4, 8)):
    """Predicted and real bytes of packs."""
    space = settings.space
    proxy = resolved(space.proxy, space.skeleton, torch.device("cuda"))
    for size in sizes:
        genomes = [space.sample(random.Random(n)) for n in range(size)]
        need = sum(training_bytes(plan(g, space.skeleton), proxy, space.skeleton) for g in genomes)
        torch.cuda.empty_cache()
        found = evaluate_together(
            genomes, space.skeleton, proxy, 0, settings.data, "cuda:0", graphs=True
        )
        real = size * found[0].peak_bytes
        print(f"{space.name}, {size} together: predicted {need / 2**20:.0f} MiB, "
              f"allocated {real / 2**20:.0f} MiB, ratio {real / need:.2f}")  # fmt: skip


def noise(folder):
    """A file with pictures of CIFAR's shape."""
    rng = np.random.default_rng(0)
    path = Path(folder) / "noise.npz"
    images = rng.integers(0, 256, (14_000, 3, 32, 32), dtype=np.uint8)
    np.savez(path, images=images, labels=np.arange(len(images)) % 10)
    return path


def script(name, *arguments):
    command = [sys.executable, HERE / name, *map(str, arguments)]
    print("+", name, *arguments, flush=True)
    return subprocess.run(command, check=False).returncode == 0


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--fashion-mnist", action="store_true", help="time fashion9, too")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no CUDA device: nothing to check")
    print(torch.cuda.get_device_name(), "torch", torch.__version__, flush=True)
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu", HERE.parent], check=False
    )
    settings, _ = prepare_settings(SearchRequest(space="digits9", device="cuda"))
    genomes = [settings.space.sample(random.Random(i)) for i in range(4)]
    fine = [tests.returncode == 0]
    fine += [repeats(settings, genomes, precision) for precision in ("fp32", "bf16")]
    memory(settings)
    with tempfile.TemporaryDirectory() as folder:
        cifar = noise(folder)
        memory(prepare_settings(SearchRequest(space="cifar9", data=str(cifar), device="cuda"))[0])
        work = [("digits9",), ("cifar9", "--data", cifar)]
        work += [("fashion9",)] if arguments.fashion_mnist else []
        for space in work:
            for processes, lag, *how in WAYS:
                fine.append(
                    script("throughput.py", *space, "--device", "cuda", "--workers", processes,
                           "--lag", lag, *how, "--repetitions", 5 if processes == 1 else 2)
                )  # fmt: skip
    sys.exit(0 if all(fine) else 1)


if __name__ == "__main__":
    main()

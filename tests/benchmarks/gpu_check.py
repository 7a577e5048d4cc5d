"""Checks the GPU path and times it, in one call on a machine with a CUDA device.

1. the tests marked gpu;
2. the same evaluations in two processes give the same results, in fp32 and bf16, with latencies;
3. candidates a minute for 1, 2, 4 and 8 workers on one GPU, and beside the usual way.

    python tests/benchmarks/gpu_check.py [--space fashion9] [--data fashion-mnist]
"""

import argparse
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import torch

from nas import evaluate
from nas.jobs import EvaluationBench, EvaluationJob, evaluate_job
from nas.workers import Finished, Workers
from search_spaces import SPACES
from studies.run import Request, prepare_settings

HERE = Path(__file__).parent


def repeats(settings, genomes, precision):
    """Whether a worker's results equal this process's."""
    proxy = replace(settings.space.proxy, precision=precision)
    skeleton, data = settings.space.skeleton, settings.data
    jobs = [EvaluationJob(i, genome, proxy, 0) for i, genome in enumerate(genomes)]
    with Workers(evaluate_job, EvaluationBench(skeleton, data, ("cuda:0",)), 1) as workers:
        found = {r.number: r.result for r in workers.run(jobs) if isinstance(r, Finished)}
    equal = 0
    for number, genome in enumerate(genomes):
        here = evaluate(genome, skeleton, proxy, 0, data, "cuda:0", latencies=True)
        there = found[number]
        equal += (here.losses, here.accuracies) == (there.losses, there.accuracies)
        print(f"  {precision} {here.status:5} {here.accuracy:.4f} {here.seconds:6.2f} s "
              f"{here.peak_bytes / 2**20:7.1f} MiB  latency {1e3 * here.latency_1:.3f} ms for one, "
              f"{1e3 * here.latency_full:.3f} ms for {proxy.batch}  {genome}")  # fmt: skip
    print(f"{precision}: {equal} of {len(genomes)} evaluations repeat exactly in another process")
    return equal == len(genomes)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--space", default="fashion9", choices=sorted(SPACES))
    parser.add_argument("--data")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no CUDA device: nothing to check")
    print(torch.cuda.get_device_name(), "torch", torch.__version__)
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu", HERE.parent], check=False
    )
    settings, _ = prepare_settings(
        Request(space=arguments.space, data=arguments.data, device="cuda")
    )
    genomes = [settings.space.sample(random.Random(i)) for i in range(4)]
    fine = [repeats(settings, genomes, precision) for precision in ("fp32", "bf16")]
    for count in (1, 2, 4, 8):
        subprocess.run(
            [
                sys.executable, HERE / "throughput.py", "--space", arguments.space,
                *(["--data", arguments.data] if arguments.data else []),
                "--device", "cuda", "--workers", str(count), "--candidates", "32",
            ],
            check=True,
        )  # fmt: skip
    sys.exit(0 if all(fine) and tests.returncode == 0 else 1)


if __name__ == "__main__":
    main()

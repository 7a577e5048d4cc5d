"""Candidates a minute beside the usual way, as `nas bench` measures them, for several spaces.

python tests/benchmarks/throughput.py [--device auto] [SPACE …]
"""

import argparse

from rich.console import Console

from studies.cli.tables import bench_table
from studies.speed import bench

CANDIDATES = {"digits9": 48, "fashion9": 12, "cifar9": 6}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("spaces", nargs="*", default=["digits9", "fashion9"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--data", help="for spaces whose usual data is not at hand")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--lag", type=int, default=8)
    parser.add_argument("--lockstep", action="store_true")
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    for space in arguments.spaces:
        found = bench(
            space, arguments.data, arguments.device, arguments.workers,
            CANDIDATES.get(space, 6), arguments.repetitions, arguments.lag,
            arguments.lockstep,
        )  # fmt: skip
        Console(width=120).print(bench_table(found))


if __name__ == "__main__":
    main()

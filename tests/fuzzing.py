"""What the fuzz tests share: how many cases, what a case may do, what was counted.

`FUZZ=80 python -m pytest -s tests/test_fuzz.py tests/studies/test_fuzz_cli.py` runs 80 times as many
cases as the ordinary tests do, and prints how many there were.
"""

import os
import resource
import sys
import time
from collections import Counter
from contextlib import contextmanager

from hypothesis import HealthCheck, Phase, settings

from nas.errors import InputError

SCALE = int(os.environ.get("FUZZ", "1"))
SECONDS, WAITING = 10, 120
"""What no case takes: of the processor, and of the clock, which others on the machine slow down."""
BYTES = 1 << 30
"""What no case adds to the process's memory."""
LINE = 20_000
"""Characters that no message has."""
counted: Counter[str] = Counter()
slowest: dict[str, tuple[float, str]] = {}


def cases(number):
    """So many examples, times the scale; the same ones in every run."""
    phases = (Phase.explicit, Phase.generate, Phase.shrink)
    return settings(
        max_examples=number * SCALE, deadline=None, derandomize=True, database=None, phases=phases,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


@contextmanager
def case(name, what):
    """Counts a case and times it; only an InputError of one line may come out, and ends it."""
    counted[name] += 1
    _limit_memory()
    began, clock = time.process_time(), time.monotonic()
    try:
        yield
    except InputError as error:
        assert len(str(error).splitlines()) == 1, f"{str(error)!r}"
        assert len(str(error)) < LINE
        counted[f"{name}: refused"] += 1
    except BaseException:
        print(f"\n{name}: {what!r:.500}", file=sys.__stderr__, flush=True)
        raise
    seconds = time.process_time() - began
    if seconds > slowest.get(name, (0.0, ""))[0]:
        slowest[name] = seconds, repr(what)[:200]
    assert seconds < SECONDS, f"{seconds:.1f} s"
    assert time.monotonic() - clock < WAITING


def _limit_memory():
    with open("/proc/self/status") as file:
        used = next(int(line.split()[1]) << 10 for line in file if line.startswith("VmData"))
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (used + BYTES, hard))


@contextmanager
def limited_memory():
    """Lifts the cases' limit at the end, and prints what was counted."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    began = time.monotonic()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"\n{dict(counted)} in {time.monotonic() - began:.0f} s; peak {peak >> 10} MiB, "
              f"before {resident >> 10} MiB; slowest {slowest}")  # fmt: skip

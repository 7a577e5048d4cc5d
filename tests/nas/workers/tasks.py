"""What jobs do in tests of pools; worker processes import it, so it imports nearly nothing."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from nas.workers.protocol import Pack


@dataclass(frozen=True)
class Context:
    """Keeps a log of what happens in the worker processes."""

    folder: Path
    devices: tuple[str, ...] = ("cpu",)

    def prepare(self, device):
        self.note("prepare", os.getpid(), device)

    def note(self, *words):
        with (self.folder / "log").open("a") as file:  # one short line is written whole
            file.write(" ".join(map(str, words)) + "\n")

    def log(self, word):
        """What was noted after this word, in order."""
        lines = (self.folder / "log").read_text().splitlines()
        return [line.split()[1:] for line in lines if line.split()[0] == word]

    def tries(self, number):
        """For every try of a job, the numbers of the jobs that ran at any time of it."""
        tries, running = [], set()
        for word, who in (line.split()[:2] for line in (self.folder / "log").open()):
            if word == "begin":
                if int(who) == number:
                    tries.append(set(running))
                elif number in running:
                    tries[-1].add(int(who))
                running.add(int(who))
            elif word == "end":
                running.discard(int(who))
        return tries


class Deadly(Context):
    """Its processes never come to a job."""

    def prepare(self, device):
        os._exit(3)


@dataclass(frozen=True)
class Act:
    """A job that does what it is called."""

    number: int
    what: str = "work"


@dataclass(frozen=True)
class Question:
    number: int
    step: int


def act(job, context, device, send):
    """The task of these tests."""
    jobs = job.jobs if isinstance(job, Pack) else [job]
    results = [_act(one, context, device, send) for one in jobs]
    return results if isinstance(job, Pack) else results[0]


def crowded(result):
    return result == "full"


def _act(job, context, device, send):
    context.note("begin", job.number)
    try:
        return _result(job, context, device, send)
    finally:
        context.note("end", job.number)


def _result(job, context, device, send):
    first = len(context.tries(job.number)) == 1
    match job.what:
        case "ask":
            return [send(Question(job.number, step), wait=True) for step in range(3)]
        case "look":
            return device, os.environ["OMP_NUM_THREADS"]
        case "raise":
            raise RuntimeError("not today")
        case "allocate":
            return len(bytearray(8 << 30))
        case "hang":
            time.sleep(600)
        case "die":
            _die(context, job)
        case "die once" if first:
            _die(context, job)
        case "fill":
            return "full"
        case "fill once":
            time.sleep(0.3)
            return "full" if first else "fits"
    time.sleep(0.1)
    return "worked"


def _die(context, job):
    context.note("end", job.number)
    os.kill(os.getpid(), signal.SIGKILL)

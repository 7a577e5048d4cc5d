"""Small searches that several files of tests run, and what is compared of them."""

import queue
import random
import threading
import time
from contextlib import contextmanager

from nas.evaluation.jobs import evaluate_job
from nas.workers.protocol import Finished, Pool, attempt
from studies.search import run
from studies.search.request import SearchRequest
from studies.store.storages import open_storage
from studies.store.store import Store
from tests.helpers import NAS

MEASURED = {"seconds", "peak_bytes"}


def trials_of(storage, name=None):
    """All that a study's trials say, less the measurements of time and memory."""
    opened = open_storage(storage)
    name = name or min(s.study_name for s in opened.get_all_studies())
    trials = Store.load(opened, name).trials()
    return [
        (
            t.number, str(t.genome), t.state.name, t.values, dict(t.curve),
            {k: v for k, v in t.attrs.items() if k not in MEASURED},
        )
        for t in trials
    ]  # fmt: skip


def request(small_toml, storage, **more):
    values = {
        "evaluations": 24, "contenders": 0, "finalists": 0, "tuning_seeds": 0, "population": 6,
        "workers": 1,
    }  # fmt: skip
    return SearchRequest(
        space=str(small_toml), storage=storage, **{"device": "cpu", **values, **more}
    )


def command(small_toml, storage, *more):
    return [
        *NAS, "search",
        "--space", str(small_toml), "--storage", storage, "--evaluations", "24",
        "--population", "6", "--finalists", "0", "--tuning-seeds", "0", "--device", "cpu", "--json", *more,
    ]  # fmt: skip


class Stepwise:
    """An evaluation in a thread, which goes on to its next report when it is told to."""

    def __init__(self, job, context):
        self.told, self.said = queue.SimpleQueue(), queue.SimpleQueue()
        threading.Thread(target=self.run, args=(job, context), daemon=True).start()

    def run(self, job, context):
        self.told.get()
        self.said.put(attempt(evaluate_job, job, context, "cpu", self.send))

    def send(self, report, wait=False):
        self.said.put(report)
        reply = self.told.get()
        return reply if wait else None

    def step(self, reply):
        self.told.put(reply)
        return self.said.get()


class Here(Pool):
    """A pool in this process, whose workers take turns by chance: the next report is any one's."""

    def __init__(self, context, count, rng):
        self.context, self.count, self.rng = context, count, rng
        self.running, self.replies = {}, {}

    @property
    def idle(self):
        return self.count - len(self.running)

    def submit(self, job):
        self.running[job.number] = Stepwise(job, self.context)

    def answer(self, number, reply):
        self.replies[number] = reply

    def reports(self, timeout=None):
        if not self.running:
            time.sleep(min(timeout or 0, 0.05))
            return
        number = self.rng.choice(sorted(self.running))
        report = self.running[number].step(self.replies.pop(number, None))
        if isinstance(report, Finished):
            del self.running[number]
        yield report


@contextmanager
def here(means, context, kind, lag):
    """Instead of `open_pool`: no process is started, which takes longer than a small search."""
    count = means.count or 1
    yield Here(context, count, random.Random(f"{count} {lag}")), count


def run_search(*asked, make_pool=here, **more):
    """The search in this process, for tests whose subject is not its workers."""
    return run.run_search(*asked, make_pool=make_pool, **more)

"""What a search costs besides its evaluations: per trial, with a long history, and at the start.

(a) milliseconds a trial for proposing, recording, transfer and compiling, beside an evaluation;
(b) with thousands of recorded trials: resuming, a proposal of every strategy, peak memory;
(c) the start of the command line, beside that of an empty click program.

    python tests/benchmarks/overheads.py [--trials 20000] [--part a|b|c]
"""

import argparse
import json
import multiprocessing
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median

import optuna
import sqlalchemy
import torch
from optuna.distributions import distribution_to_json
from optuna.storages._rdb import models

from nas import compile_network, evaluate
from nas.architecture.plan import plan
from nas.evaluation.jobs import Epoch, EvaluationJob
from nas.strategies.problem import PastTrial, Proposal
from nas.workers.protocol import Finished, Pool
from studies.search.loop import Search
from studies.search.records import with_results
from studies.search.request import SearchRequest, prepare_settings
from studies.store.storages import open_storage
from studies.store.store import Store
from studies.store.trial import distributions, measured

PATIENCE_SECONDS = 30
"""A proposal that takes longer is given up."""


def milliseconds(call, items):
    """Median over the items, the first two left out."""
    taken = []
    for item in items:
        started = time.perf_counter()
        call(item)
        taken.append(1e3 * (time.perf_counter() - started))
    return median(taken[2:])


def settings_of(strategy="regularized", objectives=None):
    request = SearchRequest(space="digits9", strategy=strategy, objectives=objectives, device="cpu")
    return prepare_settings(request)[0]


def opened(settings, url):
    return Store.open(
        open_storage(url), "overheads", settings.record(), settings.maximise, settings.objectives
    )


def attributes(genome, space):
    planned = plan(genome, space.skeleton)
    return {
        "parents": [0], "duplicates": 0, "strategy": "regularized", "params": planned.params,
        "macs": planned.macs, "seed": 0, "role": "",
    }  # fmt: skip


class Done(Pool):
    """Two workers that have every job's result at once."""

    def __init__(self, evaluations):
        self.evaluations, self.jobs = evaluations, []

    @property
    def idle(self):
        return 2 - len(self.jobs)

    def submit(self, job):
        self.jobs.append(job)

    def reports(self, timeout=None):
        job = self.jobs.pop(0)
        result = replace(self.evaluations[job.number % len(self.evaluations)], genome=job.genome)
        for epoch, accuracy in enumerate(result.accuracies, 1):
            yield Epoch(job.number, epoch, accuracy)
        yield Finished(job.number, result)


def loop(settings, url, evaluations):
    """Milliseconds a trial of a search whose evaluations take no time: for proposing, for the rest."""
    store, events, proposals = opened(settings, url), [], []
    search = Search(
        settings, store, Done(evaluations), lambda event: events.append(time.perf_counter())
    )
    propose = search._proposal

    def timed(number):
        started = time.perf_counter()
        found = propose(number)
        proposals.append(time.perf_counter() - started)
        return found

    search._proposal = timed
    with store.joined(url):
        search.run(SearchRequest(evaluations=130))
    whole = median(later - event for event, later in pairwise(events[30:]))
    proposing = median(proposals[30:])
    return 1e3 * proposing, 1e3 * (whole - proposing)


def per_trial():
    settings = settings_of()
    space, rng = settings.space, random.Random(0)
    genomes = [space.sample(rng) for _ in range(40)]
    torch.set_num_threads(1)

    def train(genome):
        return evaluate(genome, space.skeleton, space.proxy, 0, settings.data, "cpu")

    evaluations = [train(genome) for genome in genomes[:12]]
    whole = 1e3 * median(evaluation.seconds for evaluation in evaluations[2:])
    costs = {"compile": milliseconds(lambda g: compile_network(g, space.skeleton), genomes)}
    ours, theirs = multiprocessing.Pipe()

    def transfer(number):
        for message in (
            EvaluationJob(number, genomes[number], space.proxy, 0), evaluations[number % 12],
        ):  # fmt: skip
            ours.send(message)
            theirs.recv()

    costs["transfer"] = milliseconds(transfer, range(40))
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        for kind, url in (("SQLite", f"sqlite:///{folder}/a.db"), ("journal", f"{folder}/a.log")):
            proposing, recording = loop(settings, url, evaluations)
            rows = {"propose": proposing, "record": recording, **costs}
            print(f"(a) {kind}: digits9, an evaluation takes {whole:.0f} ms on one core")
            for name, value in rows.items():
                print(f"    {name:9} {value:7.2f} ms  {value / whole:6.2%}")
            print(f"    {'sum':9} {sum(rows.values()):7.2f} ms  {sum(rows.values()) / whole:6.2%}")


def fill(settings, url, count):
    """Thousands of finished trials in one transaction, the rows that Optuna itself would write."""
    store, space, rng = opened(settings, url), settings.space, random.Random(1)
    evaluation = evaluate(
        space.sample(rng), space.skeleton, space.proxy, 0, settings.data, "cpu"
    )  # fmt: skip
    known = distributions(space)
    texts = {name: distribution_to_json(one) for name, one in known.items()}
    trials, values, curves, params, attrs = [], [], [], [], []
    for number in range(count):
        genome, trial_id = space.sample(rng), number + 1
        accuracy = rng.randrange(200, 290) / 297
        trials.append(
            {
                "trial_id": trial_id, "number": number, "study_id": store.study_id,
                "state": optuna.trial.TrialState.COMPLETE, "datetime_start": datetime(2026, 1, 1),
                "datetime_complete": datetime(2026, 1, 1),
            }
        )  # fmt: skip
        values.append(
            {"trial_id": trial_id, "objective": 0, "value": accuracy, "value_type": "FINITE"}
        )
        for epoch in range(1, 5):
            curves.append(
                {
                    "trial_id": trial_id, "step": epoch, "intermediate_value": accuracy * epoch / 4,
                    "intermediate_value_type": "FINITE",
                }
            )  # fmt: skip
        for name, value in space.params_of(genome).items():
            index = known[name].to_internal_repr(value)
            params.append(
                {
                    "trial_id": trial_id, "param_name": name, "param_value": index,
                    "distribution_json": texts[name],
                }
            )  # fmt: skip
        found = replace(evaluation, genome=genome, accuracy=accuracy)
        kept = {"notation": str(genome), **attributes(genome, space)}
        for key, value in (kept | measured(found)).items():
            attrs.append({"trial_id": trial_id, "key": key, "value_json": json.dumps(value)})
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        for model, rows in (
            (models.TrialModel, trials), (models.TrialValueModel, values),
            (models.TrialIntermediateValueModel, curves), (models.TrialParamModel, params),
            (models.TrialUserAttributeModel, attrs),
        ):  # fmt: skip
            connection.execute(sqlalchemy.insert(model.__table__), rows)


def resume(url):
    """Opens the study, takes up its trials, and says how long that took and how much memory."""
    settings = settings_of()
    store = Store.load(open_storage(url), "overheads")
    started = time.perf_counter()
    trials = store.trials()
    read = time.perf_counter()
    search = Search(settings, store, workers=None)
    search.records.follow(tell=False)
    ended = time.perf_counter()
    print(
        f"(b) {len(trials)} trials: resuming {ended - started:.1f} s "
        f"(reading {read - started:.1f} s), peak memory {peak():.0f} MB"
    )
    return list(search.records.past.values())


def propose_all(records):
    for strategy in ["mu-plus-lambda", "nsga2", "random", "regularized"]:
        several = strategy == "nsga2"
        settings = settings_of(strategy, "accuracy,params" if several else None)
        search = Search(settings, None, workers=None)
        for one in records:
            values = one.values
            if several:
                values = (*values, float(plan(one.genome, settings.space.skeleton).params))
            search.records.put(replace(one, values=values))
        taken = []
        signal.signal(signal.SIGALRM, give_up)
        try:
            for _ in range(20):
                k = len(search.records)
                signal.alarm(PATIENCE_SECONDS)
                started = time.perf_counter()
                genome = search._proposal(k)[0].genome
                taken.append(1e3 * (time.perf_counter() - started))
                signal.alarm(0)
                values = search.records.past[k - 20].values
                proposal = search.records.problem.assess(Proposal(genome))
                past = PastTrial(k, genome, None, proposal.admitted, False)
                search.records.put(with_results(past, values, "ok", None, None))
            rest = taken[1:]
            print(
                f"    {strategy:15} {median(rest):8.2f} ms a proposal (slowest {max(rest):.2f}), "
                f"the first after resuming {taken[0]:.0f} ms"
            )
        except TimeoutError:
            print(f"    {strategy:15} more than {PATIENCE_SECONDS} s a proposal")
    print(f"    peak memory after proposals {peak():.0f} MB")


def peak():
    """MB. A child's `ru_maxrss` begins at its parent's, so it would be the filling that it shows."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def give_up(*_):
    raise TimeoutError


def seconds_of(*command):
    taken = []
    for _ in range(9):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - started)
    return median(taken)


def start():
    click = seconds_of(sys.executable, "-c", "import click")
    ours = seconds_of(sys.executable, "-c", "from studies.cli import main; main()", "--help")
    print(
        f"(c) nas --help: {ours:.3f} s, {ours / click:.1f} times an `import click` ({click:.3f} s)"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--part", choices=("a", "b", "c"))
    parser.add_argument("--storage", help="reads this study of an earlier run instead")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if arguments.storage:
        propose_all(resume(arguments.storage))
        return
    if arguments.part in (None, "a"):
        per_trial()
    if arguments.part in (None, "b"):
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            url = f"sqlite:///{folder}/long.db"
            fill(settings_of(), url, arguments.trials)
            again = [sys.executable, __file__, "--storage", url]  # memory of a process of its own
            subprocess.run(again, check=True)
    if arguments.part in (None, "c"):
        start()


if __name__ == "__main__":
    main()

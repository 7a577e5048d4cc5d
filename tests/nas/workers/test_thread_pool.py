"""Threads: results, answers and errors of jobs, in this process."""

from dataclasses import dataclass

import pytest

from nas.workers.protocol import Finished
from nas.workers.thread_pool import Threads


@dataclass(frozen=True)
class Ask:
    number: int


class Context:
    devices = ("cpu",)

    def prepare(self, device):
        raise AssertionError("nothing is prepared")


def ask(job, context, device, send):
    if job.number == 3:
        raise RuntimeError("not today")
    return [send((job.number, step), wait=True) for step in range(3)]


@pytest.mark.parametrize("count", [1, 4])
def test_every_job_has_its_own_answers(count):
    found, most = {}, 0
    with Threads(ask, Context(), count) as pool:
        for report in pool.run([Ask(number) for number in range(6)]):
            most = max(most, count - pool.idle)
            if isinstance(report, Finished):
                found[report.number] = report.result or report.why
            else:
                pool.answer(report[0], report)
        assert list(pool.reports(timeout=0.01)) == []
    assert found.pop(3) == "RuntimeError: not today"
    assert found == {n: [(n, step) for step in range(3)] for n in (0, 1, 2, 4, 5)}
    assert most <= count

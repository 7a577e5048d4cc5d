"""PostgreSQL ends in mid-search, without a word to those who are connected: they wait, and go on."""

import json
import subprocess
from contextlib import ExitStack

import pytest

from studies.search.run import Watcher
from tests.helpers import NAS
from tests.studies.searches import request, run_search, trials_of


class Restarting(Watcher):
    """Restarts the database after each of some trials; what it was told."""

    def __init__(self, control, *after):
        self.control, self.after, self.told, self.numbers = control, after, [], []

    def evaluated(self, event):
        self.numbers.append(event.number)
        if event.number in self.after:
            self.control("restart", "-m", "immediate")

    def away(self, why):
        self.told.append(("away", why))

    def back(self, seconds):
        self.told.append(("back", seconds))


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["none", "hyperband"])
def test_a_search_goes_on_when_its_database_is_back(
    small_toml, tmp_path, postgresql, postgresql_control, pruner
):
    small_toml.write_text(small_toml.read_text().replace("epochs = 2", "epochs = 3"))
    more = {"evaluations": 12, "pruner": pruner}
    run_search(request(small_toml, f"sqlite:///{tmp_path}/whole.db", **more))
    watcher = Restarting(postgresql_control, 3, 7)
    result = run_search(request(small_toml, postgresql, **more), watcher)
    assert result.outcome.reason == "budget"
    assert trials_of(postgresql) == trials_of(f"sqlite:///{tmp_path}/whole.db")
    assert watcher.numbers == list(range(12))
    assert [what for what, _ in watcher.told] == ["away", "back"] * 2


class Searching:
    """`nas search` or `nas worker` as a process of its own, whose JSON lines are read."""

    def __init__(self, arguments, stack):
        command = [*NAS, *arguments, "--workers", "1", "--device", "cpu", "--json"]
        self.process = stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        )
        stack.callback(self.process.kill)
        self.said = []

    def read(self, event=None, count=1):
        """Until so many events of a kind were said from here on, or to the end."""
        for line in self.process.stdout:
            self.said.append(json.loads(line))
            count -= self.said[-1]["event"] == event
            if count == 0:
                return

    def evaluated(self):
        return [one["number"] for one in self.said if one["event"] == "evaluated"]


@pytest.mark.slow
def test_two_processes_go_on_after_two_restarts_with_the_same_trials(
    small_toml, tmp_path, postgresql, postgresql_control
):
    evaluations = 80
    alone = f"sqlite:///{tmp_path}/alone.db"
    run_search(request(small_toml, alone, evaluations=evaluations))
    with ExitStack() as stack:
        where = ["--storage", postgresql, "--study", "shared"]
        how = ["--space", str(small_toml), "--evaluations", str(evaluations), "--population", "6"]
        none = ["--finalists", "0", "--contenders", "0", "--tuning-seeds", "0"]
        search = Searching(["search", *where, *how, *none], stack)
        worker = Searching(["worker", *where, "--wait", "100"], stack)
        for _ in range(2):
            worker.read("evaluated", 2)
            postgresql_control("restart", "-m", "immediate")
            for one in (search, worker):
                one.read("back")
        for one in (search, worker):
            one.read()
            assert one.process.wait() == 0
            events = [said["event"] for said in one.said]
            assert [e for e in events if e in ("away", "back")] == ["away", "back"] * 2
    assert sorted(search.evaluated() + worker.evaluated()) == list(range(evaluations))
    assert trials_of(postgresql, "shared") == trials_of(alone)


@pytest.mark.slow
def test_a_database_that_stays_away_is_a_line_and_exit_code_2(
    small_toml, tmp_path, postgresql, postgresql_control
):
    """The five minutes are two seconds here; what was measured meanwhile is evaluated again."""
    code = (
        "from studies.store.database import patience\n"
        "init = patience.Patience.__init__\n"
        "patience.Patience.__init__ = lambda self, *told: init(self, *told, 2.0)\n"
        "from studies.cli import main; main()"
    )
    how = ["--evaluations", "300", "--finalists", "0", "--workers", "1", "--device", "cpu"]
    search = subprocess.Popen(
        [NAS[0], "-c", code, "search", "--space", str(small_toml), "--storage", postgresql, *how],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while "30/300" not in search.stdout.readline():
        pass
    postgresql_control("stop", "-m", "immediate")
    try:
        out, err = search.communicate(timeout=300)
    finally:
        postgresql_control("start")
    assert search.returncode == 2
    assert err.count("\n") == 1
    assert "what was recorded is kept" in err
    assert out.count("The database does not answer") == 1
    assert "is back" not in out
    assert 30 <= len(trials_of(postgresql)) < 300

"""What another program puts into a study by Optuna's own calls becomes given patterns and history."""

import shutil

import optuna
import pytest

from nas.strategies.known import Known
from nas.strategies.problem import PastTrial
from search_spaces import SPACES
from studies.report.write import write_report
from studies.search.run import Watcher
from studies.store.storages import open_storage
from studies.store.store import Store
from studies.store.trial import distributions
from tests.conftest import write_small_space
from tests.studies.searches import request, run_search, trials_of

NAME = "shared"
TOLD = "add(1) add(2) add(1,3@0.5) add(1,2)"


class Listening(Watcher):
    def __init__(self):
        self.lines = []

    def skipped(self, why):
        self.lines.append(why)


def study_of(url):
    return optuna.load_study(study_name=NAME, storage=open_storage(url))


def told(study, space, notation, value):
    params = space.params_of(space_genome(notation))
    study.add_trial(
        optuna.trial.create_trial(params=params, distributions=distributions(space), value=value)
    )


def space_genome(notation):
    from nas import Genome

    return Genome.parse(notation)


def search(folder, url, evaluations, strategy="regularized", **more):
    asked = {"lag": 3, "study": NAME, "strategy": strategy, **more}
    return run_search(request(write_small_space(folder), url, evaluations=evaluations, **asked))


def first_part(folder, url, strategy="regularized"):
    """Eight trials; another client opens two, enqueues two, tells one; three trials more; it tells the next."""
    space = search(folder, url, 8, strategy).settings.space
    study = study_of(url)
    kinds = distributions(space)
    study.ask(kinds)  # never told
    late = study.ask(kinds)
    study.enqueue_trial({"l3.merge": "concat", "l3.d1": 1.0, "l3.d2": 0.5})
    study.enqueue_trial({}, user_attrs={"pattern": "concat(1)*3 add(1@0.25)"})
    told(study, space, TOLD, 0.99)
    search(folder, url, 11, strategy)
    study.tell(late, 0.01)


@pytest.mark.parametrize(
    ("strategy", "ending"),
    [
        ("regularized", "db"),
        pytest.param("regularized", "log", marks=pytest.mark.slow),
        pytest.param("tpe", "db", marks=pytest.mark.slow),
    ],
)
def test_the_same_trials_however_the_search_goes_on(strategy, ending, tmp_path):
    files = [tmp_path / f"{name}.{ending}" for name in ("whole", "cut")]
    whole, cut = (f"sqlite:///{file}" if ending == "db" else str(file) for file in files)
    first_part(tmp_path, whole, strategy)
    shutil.copy(files[0], files[1])
    search(tmp_path, whole, 20, strategy)
    for evaluations, workers in ((13, 1), (14, 3), (20, 2)):
        search(tmp_path, cut, evaluations, strategy, workers=workers)
    found = trials_of(whole, NAME)
    assert found == trials_of(cut, NAME)
    assert len(found) == 20
    assert [number for number, *_ in found] == [*range(8), 10, 11, *range(13, 23)]
    roles = {number: attrs["role"] for number, *_, attrs in found}
    assert (roles[10], roles[11]) == ("enqueued 10", "enqueued 11")
    notations = [notation for _, notation, *_ in found]
    assert len(set(notations)) == len(notations)
    assert TOLD not in notations
    assert notations[9] == "concat(1)*3 add(1@0.25)"  # outside the space
    assert "concat(1,2@0.5)" in notations[8].split()[2]
    named = {number: attrs["told"] for number, *_, attrs in found if "told" in attrs}
    assert list(named.values()) == [[12], [9]]
    if strategy == "regularized":  # the best of all is a parent, from the trial after on
        assert any(12 in attrs["parents"] for *_, attrs in found)


def test_weights_are_inherited_from_parents_that_were_trained_here(tmp_path):
    url = f"sqlite:///{tmp_path}/nas.db"
    space = search(tmp_path, url, 7, inherit=True).settings.space
    told(study_of(url), space, TOLD, 0.99)
    trials = search(tmp_path, url, 13, inherit=True).trials
    children = [trial for trial in trials if 7 in trial.attrs["parents"]]
    assert children
    assert not any("inherited_from" in trial.attrs for trial in children)
    assert all(trial.ok for trial in trials)


def test_what_cannot_be_understood_is_a_line_each(tmp_path):
    url = f"sqlite:///{tmp_path}/nas.db"
    space = search(tmp_path, url, 4).settings.space
    study = study_of(url)
    study.enqueue_trial({"l1.merge": "nonsense"})
    study.enqueue_trial({"momentum": 0.9})
    study.enqueue_trial({}, user_attrs={"pattern": "add(1)*7"})
    study.enqueue_trial({}, user_attrs={"pattern": "add(1)*4"})
    told(study, space, TOLD, 93.0)
    floats = optuna.distributions.FloatDistribution(0, 1)
    study.add_trial(
        optuna.trial.create_trial(params={"lr": 0.5}, distributions={"lr": floats}, value=0.5)
    )
    listening = Listening()
    small = write_small_space(tmp_path)
    result = run_search(request(small, url, evaluations=8, study=NAME, lag=3), listening)
    assert [trial.number for trial in result.trials] == [0, 1, 2, 3, 10, 11, 12, 13]
    expected = ("nonsense", "momentum", "7 layers", "trial 1", "accuracy 93", "'lr'")
    assert len(listening.lines) == len(expected)
    for number, (line, word) in enumerate(zip(listening.lines, expected, strict=True), 4):
        assert line.startswith(f"trial {number} of another program is not used: ")
        assert word in line
    assert "told" not in result.trials[-1].attrs


def test_enqueued_patterns_are_evaluated_though_the_budget_is_spent(tmp_path):
    url = f"sqlite:///{tmp_path}/nas.db"
    search(tmp_path, url, 5)
    study_of(url).enqueue_trial({"l2.merge": "add", "l2.d1": 0.5})
    result = search(tmp_path, url, 5)
    assert result.trials[-1].attrs["role"] == "enqueued 5"
    assert result.trials[-1].ok
    page = write_report(NAME, url, out=tmp_path / "page.html").read_text()
    assert "1 pattern among the given ones came from study.enqueue_trial" in page


def test_other_programs_running_trials_are_not_taken_over(tmp_path):
    url = f"sqlite:///{tmp_path}/nas.db"
    search(tmp_path, url, 4)
    study_of(url).ask()
    store = Store.load(open_storage(url), NAME)
    assert store.records.claims() == []
    search(tmp_path, url, 6)
    assert study_of(url).trials[4].state == optuna.trial.TrialState.RUNNING


def test_history_is_the_same_by_one_step_as_by_many():
    space = SPACES["digits9"]
    genomes = [space.decode([0] * i + [1] * (len(space.genes) - i)) for i in range(12)]
    past = [PastTrial(n, genomes[n], (n / 20,), True, True) for n in range(12)]

    def known():
        made = Known((1.0,), lag=2)
        made.told = {3: past[3], 7: past[7]}
        for trial in past:
            if trial.number not in made.told:
                made.put(trial, {5: (3,), 10: (7,)}.get(trial.number, ()))
        return made

    many = known()
    for k in range(13):
        seen = many.history(k)
        once = known().history(k)
        assert list(seen) == list(once)
        assert [p.number for p in seen.parents] == [p.number for p in once.parents]
        names = {record.number for record in seen if record.values is not None}
        assert names == {n for n in range(k) if n not in (3, 7) and n < k - 2} | (
            {3} if k > 5 else set()
        ) | ({7} if k > 10 else set())

"""The best are trained again before one is called the best."""

import pytest

from studies.analysis.facts import collect
from studies.finals.contenders import rounds
from studies.notebook.study import Study
from studies.retraining.pattern import from_study
from studies.search.run import Watcher
from studies.store.names import CONTENDERS, FINALISTS, MEANS, beside_name
from studies.store.storages import open_storage
from studies.store.store import Store
from tests.studies.searches import request, run_search, trials_of


def asked(small_toml, storage, **more):
    values = {
        "study": "s", "evaluations": 12, "contenders": 4, "contender_seeds": 3, "finalists": 2,
        "finalist_seeds": 2,
    }  # fmt: skip
    return request(small_toml, storage, **{**values, **more})


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path}/a.db"


def test_the_finalists_are_the_best_over_fresh_seeds(small_toml, storage):
    result = run_search(asked(small_toml, storage))
    opened = open_storage(storage)
    store = Store.load(opened, "s")
    found = [t for t in store.trials() if t.ok and not t.attrs["role"]]
    first = sorted(found, key=lambda t: (-t.attrs["accuracy"], t.attrs["params"], t.number))[:4]
    trained = Store.load(opened, beside_name("s", CONTENDERS)).trials()
    assert len(trained) == 4 * 3
    means = {}
    for trial in first:
        own = [t for t in trained if t.genome == trial.genome]
        assert len({t.attrs["seed"] for t in own}) == 3
        means[trial.number] = sum(t.attrs["accuracy"] for t in own) / 3
    noted = {
        int(number): mean for number, (mean, seeds) in store.notes()[MEANS].items() if seeds == 3
    }
    assert noted == pytest.approx(means)
    order = sorted(
        first, key=lambda t: (-means[t.number], t.attrs["params"], t.number)
    )  # fmt: skip
    assert [row.name for row in result.finalists[:2]] == [f"trial {t.number}" for t in order[:2]]
    best = order[0].number
    assert result.best.number == best
    assert result.best.again == pytest.approx(means[best])
    assert from_study("best", "s", storage, {}).name == f"trial {best} of s"
    assert Study.read(store, storage).best.number == best
    facts = collect(store, storage)
    assert facts.winner.number == best
    assert facts.winner.again == pytest.approx(means[best])
    assert facts.cost.contenders_seconds > 0
    seeds = [
        {trial.attrs["seed"] for trial in Store.load(opened, name).trials()}
        for name in ("s", beside_name("s", CONTENDERS), beside_name("s", FINALISTS))
    ]
    assert not seeds[0] & seeds[1] | seeds[0] & seeds[2] | seeds[1] & seeds[2]


@pytest.mark.slow
def test_their_choice_does_not_depend_on_interruptions(small_toml, tmp_path):
    whole, cut = (f"sqlite:///{tmp_path}/{name}.db" for name in ("whole", "cut"))
    expected = run_search(asked(small_toml, whole))

    class Watch(Watcher):
        done = 0

        def contenders(self, done, total):
            self.done = done

    watch = Watch()
    stopped = run_search(asked(small_toml, cut), watch, lambda: watch.done >= 5)
    assert stopped.outcome.reason == "interrupted"
    assert stopped.finalists == []
    assert stopped.best.again is None
    begun = len(Store.load(open_storage(cut), beside_name("s", CONTENDERS)).trials())
    assert 5 <= begun < 12
    result = run_search(asked(small_toml, cut))
    assert result.finalists == expected.finalists
    assert trials_of(cut, beside_name("s", CONTENDERS)) == trials_of(
        whole, beside_name("s", CONTENDERS)
    )
    again = run_search(asked(small_toml, cut))
    assert again.finalists == expected.finalists
    assert len(Store.load(open_storage(cut), beside_name("s", CONTENDERS)).trials()) == 12


@pytest.mark.slow
def test_a_larger_budget_has_contenders_of_its_own(small_toml, storage):
    run_search(asked(small_toml, storage))
    result = run_search(asked(small_toml, storage, evaluations=30))
    alone = run_search(asked(small_toml, storage, evaluations=30, study="alone"))
    notes = [Store.load(open_storage(storage), name).notes()[MEANS] for name in ("s", "alone")]
    assert notes[0] == notes[1]
    assert len(notes[0]) == 4
    assert result.best.number == alone.best.number


def test_none_are_trained_where_none_are_asked_for_and_finalists_are_contenders(
    small_toml, tmp_path
):
    storage = f"{tmp_path}/a.log"
    result = run_search(asked(small_toml, storage, contenders=0))
    names = {study.study_name for study in open_storage(storage).get_all_studies()}
    assert names == {"s", beside_name("s", FINALISTS)}
    assert result.best.again is None
    found = [t for t in result.trials if t.ok and not t.attrs["role"]]
    assert result.best.attrs["accuracy"] == max(t.attrs["accuracy"] for t in found)
    result = run_search(asked(small_toml, storage, contenders=1, finalists=3))
    assert sum(row.name.startswith("trial") for row in result.finalists) == 3
    assert len(Store.load(open_storage(storage), "s").notes()[MEANS]) == 3


def test_the_better_half_goes_on_with_as_many_seeds_again(small_toml, storage):
    assert rounds(24, 1, 3) == [(24, 1), (12, 2), (6, 4)]
    assert rounds(5, 2, 3) == [(5, 2)]
    watch = Counted()
    run_search(
        asked(small_toml, storage, contenders=8, contender_seeds=1, finalists=1, finalist_seeds=1),
        watch,
    )
    opened = open_storage(storage)
    store = Store.load(opened, "s")
    trained = Store.load(opened, beside_name("s", CONTENDERS)).trials()
    means = {int(number): told for number, told in store.notes()[MEANS].items()}
    assert sorted(seeds for _, seeds in means.values()) == [1] * 4 + [2] * 2 + [4] * 2
    assert len(trained) == 8 + 4 + 2 * 2
    assert watch.totals == {16}
    assert watch.counts == sorted(watch.counts)
    by_key = {t.number: t.key for t in store.trials()}
    first = min(t.attrs["seed"] for t in trained)
    in_round_1 = {t.key: t.attrs["accuracy"] for t in trained if t.attrs["seed"] == first}
    went_on = [in_round_1[by_key[n]] for n, (_, seeds) in means.items() if seeds > 1]
    stayed = [in_round_1[by_key[n]] for n, (_, seeds) in means.items() if seeds == 1]
    assert min(went_on) >= max(stayed)


class Counted(Watcher):
    def __init__(self):
        self.totals, self.counts = set(), []

    def contenders(self, done, total):
        self.totals.add(total)
        self.counts.append(done)

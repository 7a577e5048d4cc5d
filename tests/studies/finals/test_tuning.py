"""Finalists and references at every learning rate, and the comparison with the best reference."""

from dataclasses import replace

import pytest
from scipy import stats

from nas import Genome
from search_spaces import SPACES
from studies.dashboard.notes import search_note
from studies.finals.finalists import Finalist, compare
from studies.finals.tuning import best_reference, recorded_tuning, references_of
from studies.notebook.study import open_study
from studies.retraining.pattern import from_study
from studies.store.names import FINALISTS, TUNING, beside_name
from studies.store.storages import open_storage
from studies.store.store import Store
from tests.studies.searches import request, run_search, trials_of

RATES = "\nlearning_rates = [0.02, 0.1]\n"


@pytest.fixture
def tuned_toml(small_toml, tmp_path):
    path = tmp_path / "tuned.toml"
    path.write_text(small_toml.read_text().replace("[space]", f"[space]{RATES}"))
    return path


def asked(toml, storage):
    return request(
        toml, storage, study="s", evaluations=10, finalists=2, finalist_seeds=3, tuning_seeds=2
    )


@pytest.mark.slow
def test_each_goes_to_the_test_at_its_own_best_rate(tuned_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/a.db"
    result = run_search(asked(tuned_toml, storage))
    opened = open_storage(storage)
    store, trainings = (
        Store.load(opened, "s"),
        Store.load(opened, beside_name("s", TUNING)).trials(),
    )
    space = result.settings.space
    patterns = {t.genome.pattern for t in trainings}
    assert set(references_of(space).values()) <= patterns
    assert len(trainings) == len(patterns) * 2 * 2
    assert {t.genome.learning_rate for t in trainings} == {0.02, 0.1}
    for one in recorded_tuning(store.notes()):
        means = {}
        for t in trainings:
            if t.genome.pattern == one.genome.pattern:
                means.setdefault(t.genome, []).append(t.attrs["accuracy"] if t.ok else 0.0)
        best = {genome: sum(scores) / 2 for genome, scores in means.items()}
        assert best[one.genome] == max(best.values()) == pytest.approx(one.mean)
    tested = {row.name: row.genome for row in result.finalists}
    known = {one.name: one for one in recorded_tuning(store.notes())}
    winner, reference = f"trial {result.best.number}", best_reference(list(known.values())).name
    assert set(tested) == {winner, "residual", reference}
    assert all(known[name].genome == genome for name, genome in tested.items())
    assert known[winner].mean == max(m.mean for n, m in known.items() if n.startswith("trial"))
    assert from_study("best", "s", storage, {}).genome == known[winner].genome
    seeds = [
        {t.attrs["seed"] for t in Store.load(opened, beside_name("s", what)).trials()}
        for what in (TUNING, FINALISTS)
    ]
    assert not seeds[0] & seeds[1]
    study = open_study("s", storage)
    for page in (study._repr_html_(), search_note(study, {})):
        for one in known.values():
            assert one.name in page
            assert f"{100 * one.mean:.2f} %" in page


@pytest.mark.slow
def test_a_search_that_goes_on_tunes_its_new_best(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/a.db"
    more = {"finalists": 1, "finalist_seeds": 1, "tuning_seeds": 1}
    run_search(request(small_toml, storage, study="s", evaluations=5, **more))
    result = run_search(request(small_toml, storage, study="s", evaluations=24, **more))
    alone = run_search(request(small_toml, storage, study="alone", evaluations=24, **more))
    assert result.best.number == alone.best.number > 5
    assert result.finalists == alone.finalists


@pytest.mark.slow
def test_an_interrupted_tuning_goes_on(tuned_toml, tmp_path):
    whole, cut = (f"sqlite:///{tmp_path}/{name}.db" for name in ("whole", "cut"))
    expected = run_search(asked(tuned_toml, whole))
    stopped = run_search(asked(tuned_toml, cut), stop=lambda: len(_tuning(cut)) >= 5)
    assert stopped.finalists == []
    assert 5 <= len(_tuning(cut)) < len(_tuning(whole))
    result = run_search(asked(tuned_toml, cut))
    assert result.finalists == expected.finalists
    assert _tuning(cut) == _tuning(whole)


def _tuning(storage):
    names = {study.study_name for study in open_storage(storage).get_all_studies()}
    name = beside_name("s", TUNING)
    return trials_of(storage, name) if name in names else []


def test_references_have_the_merges_of_the_space():
    found = references_of(SPACES["digits9-distances"])
    assert set(found) == {"plain", "residual", "dense", "distance-2", "every-second", "half"}
    assert {"rezero", "highway", "se", "densenet"} <= set(references_of(SPACES["digits9"]))
    for space in SPACES.values():
        learnt = {"mix", "layerscale"} & {*references_of(space)}
        assert learnt == {"mix", "layerscale"} & {*space.merges}
    scaled = replace(SPACES["digits9"], merges=("layerscale",))
    assert [*references_of(scaled)] == ["plain", "residual", "dense", "layerscale"]
    tiny = replace(SPACES["digits9"].skeleton, stages=SPACES["digits9"].skeleton.stages[:1])
    tiny = replace(tiny, stages=(replace(tiny.stages[0], layers=1),))
    one = references_of(replace(SPACES["digits9"], skeleton=tiny, distances=(1,)))
    assert [str(genome) for genome in one.values()].count("add(1)") == 1


def row(name, accuracies):
    return Finalist(name, Genome.plain(1), tuple(accuracies), 1, 1)


def test_the_best_reference_is_compared_with_as_the_residual_pattern_is():
    residual, rezero = [0.90, 0.92, 0.91, 0.93], [0.93, 0.94, 0.92, 0.96]
    first = [0.95, 0.96, 0.95, 0.99]
    rows = compare(
        [row("trial 5", first), row("residual", residual), row("rezero", rezero)], "rezero"
    )
    assert rows[0].ahead == pytest.approx(0.025)
    assert rows[0].ahead_p == pytest.approx(stats.ttest_rel(first, rezero).pvalue)
    assert rows[1].ahead == pytest.approx(-0.0225)
    assert rows[1].ahead_p is None
    assert rows[2].ahead is None
    assert rows[2].difference == pytest.approx(0.0225)
    alone = compare([row("trial 5", first), row("residual", residual)], "residual")
    assert alone[0].ahead is None

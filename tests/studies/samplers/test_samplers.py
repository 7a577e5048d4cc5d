"""Optuna's samplers and pruners under the promises: what they decide is a function of its inputs."""

import binascii
import math
import random
from dataclasses import replace

import numpy as np
import optuna
import pytest

from nas import Genome, InputError, plan
from nas.strategies.problem import Exhausted, Limits, PastTrial, Problem
from studies.notebook.study import open_study
from studies.report.write import write_report
from studies.samplers.pruners import PRUNERS, judge
from studies.samplers.strategies import SAMPLERS, propose
from studies.search.join import Joining, join_study
from studies.store.names import SETTINGS
from studies.store.storages import open_storage
from studies.store.store import Store
from tests.helpers import with_slow_gp
from tests.studies.searches import request, run_search, trials_of


def similarity(genome):
    """Share of layers whose only skip has distance 1: known, cheap, and best for ResNet's pattern."""
    return np.mean([[s.distance for s in layer.skips] == [1] for layer in genome.layers])


def run(strategy, problem, count, seed=0, lag=4, value=similarity):
    history = []
    for k in range(count):
        seen = history[: max(0, k - lag)]
        masked = [
            PastTrial(r.number, r.genome, None, True, False, memory=r.memory) for r in history
        ]
        proposal = propose(strategy, problem, [*seen, *masked[len(seen) :]], k, seed)
        values = (float(value(proposal.genome)),)
        history.append(PastTrial(k, proposal.genome, values, True, True, memory=proposal.memory))
    return history


@pytest.mark.parametrize("strategy", with_slow_gp(SAMPLERS))
def test_candidates_are_new_and_repeat_themselves_from_any_point(strategy, small_space):
    problem = Problem(small_space, (1.0,), population=6)
    history = run(strategy, problem, 26)
    assert len({r.genome.key for r in history}) == 26
    assert all(r.genome in small_space for r in history)
    seen = history[:16]
    masked = [PastTrial(r.number, r.genome, None, True, False, memory=r.memory) for r in history]
    again = propose(strategy, problem, [*seen, *masked[16:20]], 20, 0)
    assert again.genome == history[20].genome
    assert dict(again.memory) == dict(history[20].memory)
    other = propose(strategy, problem, [*seen, *masked[16:20]], 20, 1)
    assert other.genome != history[20].genome


@pytest.mark.parametrize("strategy", ["tpe", pytest.param("gp", marks=pytest.mark.slow), "nsga3"])
def test_samplers_learn(strategy, small_space):
    problem = Problem(small_space, (1.0,), population=8)
    count = 24 if strategy == "gp" else 60
    learnt = [r.values[0] for r in run(strategy, problem, count)[-8:]]
    drawn = [r.values[0] for r in run("random", problem, 60)]
    assert np.mean(learnt) > np.mean(drawn) + 2 * np.std(drawn) / math.sqrt(8)


def test_a_sampler_stays_within_limits_and_ends_with_the_space(small_space):
    plain = plan(Genome.plain(4), small_space.skeleton)
    least = Limits(max_params=plain.params + 150)
    history = run("tpe", Problem(small_space, (1.0,), least, population=4), 20)
    assert all(least.admit(r.genome, small_space) for r in history)
    tiny = replace(small_space, distances=(1,), merges=("add",), strengths=(1.0,))
    problem = Problem(tiny, (1.0,), population=4)
    assert len({r.genome.key for r in run("tpe", problem, 16)}) == 16 == tiny.distinct
    with pytest.raises(Exhausted):
        run("tpe", problem, 17)


@pytest.mark.parametrize("strategy", SAMPLERS)
def test_several_objectives(strategy, small_space):
    problem = Problem(small_space, (1.0, -1.0), population=6)
    history = []
    for k in range(14):
        proposal = propose(strategy, problem, history, k, 0)
        values = (similarity(proposal.genome), float(len(str(proposal.genome))))
        history.append(PastTrial(k, proposal.genome, values, True, True, memory=proposal.memory))
    assert len({r.genome.key for r in history}) == 14


def searched(small_toml, storage, **more):
    run_search(request(small_toml, storage, **more))
    return trials_of(storage)


@pytest.mark.slow
def test_pruned_trials_count_as_what_they_are(small_toml, tmp_path):
    small_toml.write_text(small_toml.read_text().replace("epochs = 2", "epochs = 4", 1))
    storage = f"sqlite:///{tmp_path}/a.db"
    result = run_search(request(small_toml, storage, pruner="halving", lag=4, evaluations=30))
    pruned = [t for t in result.trials if t.state.name == "PRUNED"]
    assert pruned
    assert len(result.trials) == 30
    for trial in pruned:
        assert trial.attrs["status"] == "pruned"
        assert len(trial.curve) < 4
        assert trial.values == (trial.attrs["accuracy"],) == (list(trial.curve.values())[-1],)
        assert not trial.ok
        assert not any(trial.number in other.attrs["parents"] for other in result.trials)
    assert result.best.ok
    study = optuna.load_study(study_name=None, storage=storage)
    assert study.best_trial.number not in {t.number for t in pruned}


def test_a_pruner_is_for_one_objective(small_toml, tmp_path):
    with pytest.raises(InputError, match="it judges by accuracy alone"):
        run_search(
            request(small_toml, f"sqlite:///{tmp_path}/a.db", strategy="nsga2", pruner="median")
        )


def records(accuracies):
    """Finished trials with a curve of one epoch, then two more."""
    genome = Genome.residual(4)
    return [
        PastTrial(n, genome, (a,), True, True, {1: a, 2: a, 3: a}) for n, a in enumerate(accuracies)
    ]


def test_median_prunes_below_the_median_of_the_visible():
    visible = records([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    assert judge("median", 3, visible, 20, {1: 0.49}, {})[0]
    assert not judge("median", 3, visible, 20, {1: 0.51}, {})[0]
    assert not judge("median", 3, visible[:7], 20, {1: 0.0}, {})[0]  # too few to judge by
    assert not judge("median", 3, visible, 20, {1: 0.0, 2: 0.0, 3: 0.0}, {})[0]  # nothing to save


def test_halving_lets_the_better_half_go_on():
    kept, memory = [], {}
    for number, accuracy in enumerate([0.5, 0.6, 0.4, 0.7, 0.1, 0.65, 0.66]):
        stop, memory[number] = judge("halving", 4, kept, number, {1: accuracy}, {})
        competing = sorted([r.curve[1] for r in kept] + [accuracy], reverse=True)
        assert stop == (accuracy < competing[max(0, len(competing) // 2 - 1)])
        curve = {1: accuracy}
        kept.append(
            PastTrial(
                number,
                Genome.residual(4),
                (accuracy,),
                True,
                True,
                curve,
                stop,
                judged=memory[number],
            )
        )


def test_hyperband_depends_on_the_number_and_not_on_the_studys_name():
    # four epochs, halved: brackets that judge from epoch 1, 2 and 4 on, with budgets 4, 3 and 3
    visible = [
        PastTrial(
            n, Genome.residual(4), (0.9,), True, True, {1: 0.9}, judged={"completed_rung_0": 0.9}
        )
        for n in range(8)
    ]
    for k in range(8, 40):
        budget = binascii.crc32(f"view_{k}".encode()) % 10
        stop, _ = judge("hyperband", 4, visible, k, {1: 0.1}, {})
        same = [n for n in range(8) if binascii.crc32(f"view_{n}".encode()) % 10 < 4]
        assert stop == (budget < 4 and len(same) > 0)


def test_every_pruner_is_tested():
    assert set(PRUNERS) == {"none", "median", "halving", "hyperband"}


def test_a_study_of_before_pruners_goes_on(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/a.db"
    searched(small_toml, storage, evaluations=4)
    opened = open_storage(storage)
    settings = Store.load(opened, opened.get_all_studies()[0].study_name).settings
    assert "pruner" not in settings
    assert "always" not in settings["space"]
    with pytest.raises(InputError, match='pruner is null, not "median"'):
        name = opened.get_all_studies()[0].study_name
        searched(small_toml, storage, pruner="median", study=name)


def test_a_study_of_a_strategy_that_is_gone_is_read_and_not_continued(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/a.db"
    asked = request(small_toml, storage, strategy="nsga2", evaluations=4, study="old")
    run_search(asked)
    opened = open_storage(storage)
    (study,) = opened.get_all_studies()
    assert study.user_attrs[SETTINGS]["strategy"] == "nsga2"
    recorded = {**study.user_attrs[SETTINGS], "strategy": "nsga2-optuna"}
    opened.set_study_user_attr(study._study_id, SETTINGS, recorded)
    before = trials_of(storage)
    why = "strategy nsga2-optuna is gone, nsga2 searches in the same way"
    with pytest.raises(InputError, match=f"--strategy: {why}"):
        run_search(replace(asked, strategy="nsga2-optuna", evaluations=8))
    with pytest.raises(InputError, match=f"study 'old': {why}"):
        join_study(Joining(study="old", storage=storage, device="cpu", workers=1))
    with pytest.raises(InputError, match="nsga2-optuna"):
        run_search(replace(asked, evaluations=8))
    assert trials_of(storage) == before
    assert "nsga2-optuna" in str(open_study("old", storage).facts())
    page = write_report("old", storage, str(tmp_path / "old.html"))
    assert "nsga2-optuna" in page.read_text()


@pytest.mark.slow
def test_genetic_samplers_go_on_after_a_thousand_generations(small_space):
    problem = Problem(small_space, (1.0,), population=2)
    rng = random.Random(0)
    history = [
        PastTrial(
            k, small_space.sample(rng), (rng.random(),), True, True,
            memory={"NSGAIIISampler:generation": k // 2},
        )
        for k in range(2400)
    ]  # fmt: skip
    found = propose("nsga3", problem, history, 2400, 0)
    assert found.memory == {"NSGAIIISampler:generation": 1200}


def test_a_trial_without_a_result_says_nothing_to_a_pruner():
    best = {"completed_rung_0": 0.9}
    seen = PastTrial(0, Genome.residual(4), (0.9,), True, True, {1: 0.9}, judged=best)
    lost = PastTrial(0, Genome.residual(4), None, True, False, {1: 0.9}, judged=best)
    assert judge("halving", 4, [seen], 9, {1: 0.1}, {})[0]
    assert not judge("halving", 4, [lost], 9, {1: 0.1}, {})[0]

"""Checks speak where something is wrong, and only there."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
from optuna.trial import TrialState

from nas import SearchSpace, Skeleton, Stage
from studies.analysis.health import health
from studies.analysis.importance import importance
from studies.store.trial import Trial

SPACE = SearchSpace(
    Skeleton((1, 8, 8), 10, (Stage(3, 4), Stage(3, 8, 2))),
    distances=(1, 2),
    merges=("add", "concat"),
    strengths=(1.0,),
)
RECORD = {"objectives": ["accuracy"], "strategy": "regularized", "proxy": {}}


def trials(accuracy, duplicates=0, reference=0.1):
    """A reference, then 150 random candidates with the accuracy that a function of (genome, rng) says."""
    rng = random.Random(0)
    genomes = [SPACE.sample(rng) for _ in range(150)]
    made = [trial(0, genomes[0], reference, "residual", 0)]
    for number, genome in enumerate(genomes, 1):
        made.append(trial(number, genome, accuracy(genome, rng), "", duplicates))
    return made


def trial(number, genome, accuracy, role, duplicates):
    attrs = {"status": "ok", "accuracy": accuracy, "role": role, "duplicates": duplicates}
    attrs["scored_losses"] = [1 - accuracy]
    genes = SPACE.params_of(genome)
    return Trial(number, genome, TrialState.COMPLETE, (accuracy,), attrs, {}, genes, {})


def short_skips(genome, rng):
    """Each skip of distance 1 helps; skip 2 and merges do nothing."""
    count = sum(skip.distance == 1 for layer in genome.layers for skip in layer.skips)
    return 0.3 + 0.1 * count + rng.gauss(0, 0.003)


def scatter(within):
    overall = SimpleNamespace(within=within)
    return SimpleNamespace(measures=[SimpleNamespace(overall=overall)])


def said(found, validity=None, record=RECORD, genes=True):
    return health(record, found, SPACE, importance(found, SPACE) if genes else None, validity)


def test_a_search_that_found_something_has_no_complaint():
    assert said(trials(short_skips), scatter(0.01), genes=False) == ()


def test_too_few_candidates_are_not_judged():
    assert said(trials(short_skips, reference=0.99)[:25]) == ()


@pytest.mark.parametrize("goal", ["accuracy", "loss"])
def test_a_reference_that_nothing_is_better_than(goal):
    record = {**RECORD, "objectives": [goal]}
    (sentence,) = said(trials(short_skips, reference=0.99), record=record, genes=False)
    assert "residual" in sentence
    assert "150 candidates" in sentence


def test_a_training_whose_seeds_scatter_as_patterns_do():
    found = trials(short_skips)
    whole = np.std([one.attrs["accuracy"] for one in found[1:]], ddof=1)
    assert said(found, scatter(0.7 * whole), genes=False) == ()
    (sentence,) = said(found, scatter(0.8 * whole), genes=False)  # 1 - 0.64 is below a half
    assert "reliability 0.36" in sentence


def test_genes_without_effect_beside_some_with():
    """Only merges and skip 2 can be named; where nothing has an effect nothing is said of genes."""
    found = [line for line in said(trials(short_skips)) if line.startswith("Genes")]
    assert all("skip 1" not in line for line in found)
    noise = trials(lambda genome, rng: 0.3 + rng.random() / 2)
    for line in said(noise):
        assert "skip 1, skip 2" not in line
    fixed = importance(trials(short_skips), SPACE)
    quiet = [
        SimpleNamespace(**{**vars(gene), "share": 0.001 if gene.distance == 2 else 0.2, "noise": 0.05})
        for gene in fixed.genes
    ]  # fmt: skip
    (line,) = health(
        RECORD, trials(short_skips), SPACE, SimpleNamespace(genes=quiet, candidates=150), None
    )
    assert "skip 2" in line
    assert "skip 1" not in line


def test_a_strategy_that_turns_in_a_circle():
    assert said(trials(short_skips, duplicates=0), genes=False) == ()
    (sentence,) = said(trials(short_skips, duplicates=2), genes=False)
    assert "300 known patterns beside 150 new" in sentence

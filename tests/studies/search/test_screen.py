"""Screening: which candidate it takes, and promise 2 with it."""

import random
import subprocess
from dataclasses import replace
from math import inf, isfinite, nan

import pytest

from nas import Genome, InputError, SearchSpace, Skeleton, Stage, plan, score
from nas.strategies.problem import Exhausted, PastTrial, Problem, Proposal
from studies.samplers.strategies import STRATEGIES, propose
from studies.search.request import SearchRequest, prepare_settings
from studies.search.screen import Screen, screened
from tests.conftest import write_small_space
from tests.helpers import with_slow_gp
from tests.studies.searches import command, request, run_search, trials_of

PATTERNS = 3
TOKENS = [f"add({d})" for d in range(1, 9)]


def drawing(*duplicates):
    """A strategy that draws 8 layers of `add(1)`, then of its distances in turn; then it ends."""
    genomes = [Genome.parse(f"-*7 {token}") for token in TOKENS]

    def draw(drawn):
        assert drawn == {g.key for g in genomes[: len(drawn)]}
        if len(drawn) == len(duplicates):
            raise Exhausted("nothing is left")
        return Proposal(genomes[len(drawn)], (7,), duplicates=duplicates[len(drawn)])

    return draw, genomes


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([1, 3, 2], 1),
        ([2, 3, 3], 1),
        ([nan, -5, -6], 1),
        ([inf, -5, -4], 2),
        ([nan, inf, -inf], 0),
    ],
)
def test_the_best_is_taken_and_the_first_of_equals(scores, best):
    draw, genomes = drawing(1, 0, 4)
    values = dict(zip(genomes, scores, strict=False))
    proposal, attrs = screened(Screen("snip", 3), draw, values.__getitem__)
    assert proposal.genome == genomes[best]
    assert proposal.parents == (7,)
    assert proposal.duplicates == 5
    recorded = {g.key: v if isfinite(v) else None for g, v in values.items()}
    assert attrs["screen_score"] == recorded.pop(genomes[best].key)
    assert attrs["screen_rejected"] == recorded


def test_what_is_left_is_enough():
    draw, genomes = drawing(0, 0)
    proposal, attrs = screened(Screen("snip", 4), draw, lambda genome: 1.0)
    assert proposal.genome == genomes[0]
    assert list(attrs["screen_rejected"]) == [genomes[1].key]
    with pytest.raises(Exhausted):
        screened(Screen("snip", 4), drawing()[0], lambda genome: 1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sinflow:4", "--screen sinflow:4: unknown score 'sinflow': did you mean synflow"),
        ("synflow", "from 2 to 64, such as synflow:4"),
        ("synflow:1", "--screen synflow:1: SCORE:N with N candidates from 2 to 64"),
        ("synflow:65", "from 2 to 64"),
        ("synflow:-3", "from 2 to 64"),
        ("", "unknown score ''"),
    ],
)
def test_other_screens_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        Screen.parse(text)
    assert str(Screen.parse("synflow:64")) == "synflow:64"


@pytest.mark.parametrize("strategy", with_slow_gp(sorted(STRATEGIES)))
def test_alternatives_are_new_distinct_and_repeatable(strategy, small_space):
    problem = Problem(small_space, (1.0,), population=6)
    rng = random.Random(0)
    genomes = list(dict.fromkeys(small_space.sample(rng) for _ in range(12)))
    history = [PastTrial(k, g, (rng.random(),), True, True) for k, g in enumerate(genomes)]

    def draws():
        drawn = {}
        while len(drawn) < 4:
            proposal = propose(strategy, problem, history, len(history), 0, drawn=drawn.keys())
            drawn[proposal.genome.key] = proposal.parents
        return drawn

    first = draws()
    assert not first.keys() & {g.key for g in genomes}
    assert first == draws()
    unscreened = propose(strategy, problem, history, len(history), 0)
    assert next(iter(first)) == unscreened.genome.key


def test_only_candidates_of_the_history_are_duplicates():
    """Of 8 genomes 7 are known, all from the history or most from draws for this very trial."""
    space = SearchSpace(Skeleton((1, 8, 8), 10, (Stage(3, 4),)), (1,), ("add",), (1.0,))
    rng = random.Random(1)
    every = sorted({space.sample(rng) for _ in range(200)}, key=str)
    assert len(every) == space.distinct == 8
    history = [PastTrial(k, g, (0.5,), True, True) for k, g in enumerate(every[:2])]
    problem = Problem(space, (1.0,), population=2)
    drawn = {g.key for g in every[2:7]}
    counts = [
        propose("regularized", problem, history, 2, seed, drawn=drawn).duplicates
        for seed in range(30)
    ]
    full = [PastTrial(k, g, (0.5,), True, k < 2) for k, g in enumerate(every[:7])]
    without = [propose("regularized", problem, full, 2, seed).duplicates for seed in range(30)]
    assert sum(counts) < 0.6 * sum(without)


@pytest.fixture(scope="module")
def screened_storage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("screened")
    storage = f"sqlite:///{folder}/a.db"
    run_search(request(write_small_space(folder), storage, screen="synflow:3", evaluations=18))
    return storage


@pytest.fixture(scope="module")
def undisturbed(screened_storage):
    return trials_of(screened_storage)


def test_every_trial_is_the_best_scored_of_three_new_candidates(undisturbed, small_toml):
    settings, _ = prepare_settings(SearchRequest(space=str(small_toml), device="cpu"))
    space = settings.space
    earlier = set()
    for number, notation, *_, attrs in undisturbed:
        if number < PATTERNS:
            assert attrs["role"]
            assert not {"screen_score", "screen_rejected"} & attrs.keys()
        else:
            rejected = attrs["screen_rejected"]
            drawn = {key: Genome.parse(key) for key in (notation, *rejected)}
            assert len(drawn) == 3
            assert not drawn.keys() & earlier
            assert all(genome in space for genome in drawn.values())
            scores = {
                key: score(g, space.skeleton, space.proxy, 0, settings.data, "synflow", "cpu")
                for key, g in drawn.items()
            }
            assert scores == {notation: attrs["screen_score"], **rejected}
            assert scores[notation] == max(scores.values())
        earlier.add(notation)


@pytest.mark.parametrize("strategy", ["random", "tpe", "nsga3"])
def test_the_number_of_parameters_as_a_screen_takes_the_largest(strategy, small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/a.db"
    asked = request(small_toml, storage, strategy=strategy, screen="params:4", evaluations=12)
    result = run_search(asked)
    for trial in result.trials[PATTERNS:]:
        rejected = map(Genome.parse, trial.attrs["screen_rejected"])
        sizes = [plan(genome, result.settings.space.skeleton).params for genome in rejected]
        assert len(sizes) == 3
        assert trial.attrs["params"] >= max(sizes)
        assert trial.attrs["screen_score"] == trial.attrs["params"]


def test_a_small_space_is_still_searched_to_its_last_genome(small_toml, tmp_path):
    text = small_toml.read_text().replace("[1, 2, 3]", "[1]").replace("[0.5, 1.0]", "[1.0]")
    small_toml.write_text(text.replace('["add", "concat"]', '["add"]').replace("128", "64"))
    storage = f"sqlite:///{tmp_path}/a.db"
    result = run_search(request(small_toml, storage, screen="params:4", evaluations=99))
    assert result.outcome.reason == "exhausted"
    assert len(result.trials) == result.settings.space.distinct + 1 == 17
    rejected = [set(t.attrs["screen_rejected"]) for t in result.trials[PATTERNS:]]
    assert [len(keys) for keys in rejected[-4:]] == [3, 2, 1, 0]


def test_another_screen_is_another_study(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/a.db"
    first = request(small_toml, storage, study="mine", evaluations=3, screen="params:4")
    run_search(first)
    run_search(first)
    for other, said in (("params:5", '"params:5"'), (None, "null")):
        with pytest.raises(InputError, match=f'screen is "params:4", not {said}'):
            run_search(replace(first, screen=other))
    named = [prepare_settings(replace(first, screen=s))[0].default_name for s in ("snip:4", None)]
    assert named[0] != named[1]


def test_where_a_gpu_trains_the_cpu_that_scores_is_recorded(small_toml):
    asked = SearchRequest(space=str(small_toml), device="cpu", screen="snip:4")
    on_cpu = prepare_settings(asked)[0]
    on_gpu = replace(on_cpu, device={"type": "cuda", "torch": "2.99"})
    assert on_cpu.record()["screen"] == on_gpu.record()["screen"] == "snip:4"
    assert on_gpu.record()["screened_on"] == on_cpu.device
    assert "screened_on" not in on_cpu.record()
    assert on_cpu.default_name == on_gpu.default_name


@pytest.mark.slow
def test_a_screen_of_a_users_own_in_a_definition(small_toml, tmp_path):
    plugin = small_toml.parent / "mine.py"
    plugin.write_text(
        "def fewest(candidate):\n"
        "    return -sum(len(layer.skips) for layer in candidate.planned.layers)\n"
        "SCORES = {'fewest-skips': fewest}\n"
    )
    definition = small_toml.parent / "study.toml"
    definition.write_text('screen = "fewest-skips:4"\nplugin = ["mine.py"]\n')
    storage = f"sqlite:///{tmp_path}/a.db"
    asked = command(small_toml, storage, "--config", str(definition), "--evaluations", "6")
    subprocess.run(asked, check=True, capture_output=True)
    for _, notation, *_, attrs in trials_of(storage)[PATTERNS:]:
        skips = {
            key: sum(len(layer.skips) for layer in Genome.parse(key).layers)
            for key in (notation, *attrs["screen_rejected"])
        }
        assert skips[notation] == min(skips.values()) == -attrs["screen_score"]

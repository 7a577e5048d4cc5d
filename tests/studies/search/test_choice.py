"""Points of a Pareto front by name, and how trainings are spread over it."""

import random
import re

import numpy as np
import pytest

from nas import InputError
from search_spaces import SPACES
from studies.search.choice import POINTS, front_of, named_point, spread
from tests.helpers import nas
from tests.studies.search.test_verdict import trial

SPACE, GOALS = SPACES["digits9"], ("accuracy", "params")


def trials(points, again=()):
    rng = random.Random(0)
    return [
        trial(i, SPACE.sample(rng), a, values=(a, float(p)), again=dict(again).get(i))
        for i, (a, p) in enumerate(points)
    ]


BENT = [(0.9, 100), (0.89, 50), (0.85, 20), (0.6, 10), (0.5, 5), (0.4, 60), (0.88, 100)]
"""The last two are dominated."""


def numbers(found):
    return [t.number for t in found]


def test_the_front_is_what_nothing_dominates_the_most_accurate_first():
    assert numbers(front_of(trials(BENT), SPACE, GOALS)) == [0, 1, 2, 3, 4]
    small = front_of(trials(BENT), SPACE, GOALS, admitted=lambda g: g == trials(BENT)[5].genome)
    assert numbers(small) == [5]
    assert front_of([], SPACE, GOALS) == []


def test_contenders_alone_are_on_the_front_by_their_means():
    again = [(1, 0.7), (2, 0.8), (5, 0.75)]
    assert numbers(front_of(trials(BENT, again), SPACE, GOALS)) == [2]


@pytest.mark.parametrize(("name", "number"), [*zip(POINTS, (0, 2, 4), strict=True)])
def test_points_by_name(name, number):
    assert named_point(front_of(trials(BENT), SPACE, GOALS), GOALS, name).number == number


def test_an_unknown_point():
    with pytest.raises(
        InputError, match="unknown point 'middle': allowed: accuracy, cheapest, knee"
    ):
        named_point(trials(BENT), GOALS, "middle")


def test_trainings_are_spread():
    front = front_of(trials(BENT), SPACE, GOALS)
    assert numbers(spread(front, GOALS, 1)) == [2]
    assert numbers(spread(front, GOALS, 3)) == [0, 2, 4]
    assert numbers(spread(front, GOALS, 4)) == [0, 1, 2, 4]
    assert numbers(spread(front, GOALS, 99)) == [0, 1, 2, 3, 4]
    assert spread([], GOALS, 3) == spread(front, GOALS, 0) == []


def test_each_further_point_is_the_farthest_from_those_before():
    rng = np.random.default_rng(0)
    accuracy = np.sort(rng.random(40))[::-1]
    front = trials(list(zip(accuracy, np.sort(rng.random(40))[::-1] * 1e5, strict=True)))
    picked = numbers(spread(front, GOALS, 8))
    assert len(set(picked)) == 8
    good = np.column_stack([accuracy, -np.array([t.values[1] for t in front])])
    good = (good - good.min(0)) / np.ptp(good, axis=0)

    def nearest(chosen):
        return max(min(np.linalg.norm(good[i] - good[j]) for j in chosen) for i in range(40))

    assert nearest(picked) < 0.5 * nearest(picked[:3])


@pytest.mark.slow
def test_a_searchs_end_names_the_points(small_toml, tmp_path, capsys):
    storage = f"sqlite:///{tmp_path}/a.db"
    code, out, err = nas(
        capsys, "search", "--space", small_toml, "--storage", storage, "--strategy", "nsga2",
        "--population", 4, "--evaluations", 12, "--device", "cpu", "--workers", 1, "--study", "both",
        "--contenders", 4, "--contender-seeds", 1, "--finalists", 3, "--finalist-seeds", 3,
        "--picture", "",
    )  # fmt: skip
    assert code == 0, err
    for point in POINTS:
        number = re.search(rf"best:both/{point} is trial (\d+)\n", out)[1]
        code, by_number, _ = nas(capsys, "show", f"trial:both/{number}", "--storage", storage)
        code, shown, err = nas(capsys, "show", f"best:both/{point}", "--storage", storage)
        assert code == 0, err
        assert shown == by_number
    assert "finalists dominate" in " ".join(out.split()) or "Nothing was learnt" in out

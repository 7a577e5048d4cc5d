"""What the patterns of a space cost, against going through all of them."""

from dataclasses import replace
from itertools import product

import pytest

from nas import SearchSpace, Skeleton, Stage, plan
from nas.strategies.problem import Limits
from search_spaces import SPACES
from studies.speed.costs import space_costs
from tests.helpers import nas

LITTLE = SearchSpace(
    Skeleton((1, 8, 8), 10, (Stage(2, 4), Stage(2, 8, 2))),
    distances=(1, 2),
    merges=("add", "dense", "concat"),
    strengths=(0.5, 1.0),
)


@pytest.mark.parametrize(
    "space",
    [replace(LITTLE, distances=(2,)), replace(LITTLE, period=2), replace(LITTLE, distances=(1,), always=True)],
    ids=["layers", "motif", "always"],
)  # fmt: skip
def test_least_and_most_are_those_of_all_patterns(space):
    vectors = product(*(range(len(gene.choices)) for gene in space.genes))
    plans = [plan(space.decode(vector), space.skeleton) for vector in vectors]
    costs = space_costs(space)
    for which, name in enumerate(costs.names):
        every = [getattr(one, name) for one in plans]
        assert (costs.least[which], costs.most[which]) == (min(every), max(every))
        assert costs.least[which] <= costs.middle[which] <= costs.most[which]


@pytest.mark.slow
def test_limits():
    space = SPACES["digits9"]
    least = int(space_costs(space).least[0])
    assert space_costs(space, Limits(least)).reachable
    below = space_costs(space, Limits(least - 1))
    assert (below.reachable, below.within) == (False, 0.0)
    assert f"{least:,}" in below.limits_sentence
    most = int(space_costs(space).most[1])
    assert space_costs(space, Limits(None, most)).within == 1.0


def test_the_command_times_an_evaluation(small_toml, capsys):
    code, out, err = nas(
        capsys, "spaces", small_toml, "--profile", "--max-params", 2500, "--device", "cpu"
    )
    assert code == 0, err
    assert "seconds an evaluation" in out
    assert "cannot be reached" in out

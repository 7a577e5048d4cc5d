"""Skeletons of equal cost."""

from dataclasses import replace

import pytest

from nas import Genome, InputError, Stage, plan
from nas.architecture.matching import matched
from search_spaces import SPACES

SKELETON = SPACES["digits27"].skeleton


@pytest.mark.parametrize("cost", ["params", "macs"])
@pytest.mark.parametrize("factor", [1.02, 1.3, 3.0])
def test_a_wider_skeleton_costs_what_is_wanted_within_one_percent(cost, factor):
    genome = Genome.residual(27)
    wanted = round(factor * getattr(plan(genome, SKELETON), cost))
    wider = matched(genome, SKELETON, cost, wanted)
    assert abs(getattr(plan(genome, wider), cost) - wanted) <= 0.01 * wanted
    pairs = list(zip(SKELETON.stages, wider.stages, strict=True))
    assert all(b.layers == a.layers and b.stride == a.stride for a, b in pairs)
    ratios = [b.width / a.width for a, b in pairs]
    assert max(ratios) / min(ratios) < 1.5


@pytest.mark.parametrize("cost", ["params", "macs"])
@pytest.mark.parametrize("factor", [1.02, 1.4, 2.0])
@pytest.mark.parametrize("name", ["gpt12", "vit12", "unet", "convnext9"])
def test_so_it_is_in_every_family(name, factor, cost):
    skeleton = SPACES[name].skeleton
    genome = Genome.residual(skeleton.layers)
    wanted = round(factor * getattr(plan(genome, skeleton), cost))
    wider = matched(genome, skeleton, cost, wanted)
    assert abs(getattr(plan(genome, wider), cost) - wanted) <= 0.01 * wanted
    assert skeleton.widened(wider.widenable) == wider  # as a transfer records it


def test_what_costs_as_much_stays_as_it_is():
    genome = Genome.residual(27)
    assert matched(genome, SKELETON, "params", plan(genome, SKELETON).params) is SKELETON
    assert matched(genome, SKELETON, "params", 1000) is SKELETON


def test_coarse_widths_give_the_next_that_costs_more():
    narrow = replace(SKELETON, stages=(Stage(2, 2), Stage(2, 3, 2)))
    genome = Genome.residual(4)
    costs = plan(genome, narrow).params
    wider = matched(genome, narrow, "params", round(1.1 * costs))
    assert costs * 1.1 < plan(genome, wider).params < 2 * costs


def test_what_cannot_be_matched_is_refused():
    with pytest.raises(InputError, match="cost"):
        matched(Genome.residual(27), SKELETON, "watts", 1)
    with pytest.raises(InputError, match="no widths"):
        matched(Genome.residual(27), SKELETON, "params", 10**9)

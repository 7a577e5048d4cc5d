"""Drawings: lanes do not overlap, pictures have every arc."""

import random
import re
from itertools import pairwise

import pytest
from matplotlib.patches import Arc, FancyBboxPatch, PathPatch

from nas import Genome, InputError, Skeleton, Stage, plan
from nas.architecture.merges import MERGES
from nas.architecture.skeletons.unet import UNet
from nas.drawing.figure import draw, save
from nas.drawing.levels import levels
from nas.drawing.svg import plan_svg
from nas.drawing.text import lanes, text_rows
from tests.conftest import random_genome


def skeleton(layers):
    return Skeleton((1, 8, 8), 10, (Stage(layers, 4),))


def test_the_residual_pattern_has_one_lane():
    rows = text_rows(Genome.residual(4), skeleton(4))
    assert [row[2] for row in rows] == ["○", "◉", "◉", "◉", "●", ""]
    assert [row[1] for row in rows] == ["stem", *["add(1)"] * 4, "head"]


def test_long_skips_pass():
    rows = text_rows(Genome.parse("- - add(1,3)"), skeleton(3))
    assert [row[2] for row in rows[:4]] == ["  ○", "  │", "○ │", "● ●"]


@pytest.mark.parametrize("seed", range(20))
def test_every_skip_has_its_place(seed):
    rng = random.Random(seed)
    genome = random_genome(rng.randint(1, 15), rng, sorted(MERGES))
    found = lanes(plan(genome, skeleton(len(genome))))
    edges = [edge for lane in found for edge in lane]
    expected = [
        (i - s.distance, i) for i, layer in enumerate(genome.layers, 1) for s in layer.skips
    ]
    assert sorted(edges) == sorted(expected)
    for lane in found:
        ordered = sorted(lane)
        assert all(a[1] <= b[0] for a, b in pairwise(ordered))
    figure = draw(genome, skeleton(len(genome)))
    arcs = [p for p in figure.axes[0].patches if isinstance(p, Arc)]
    assert len(arcs) == len(expected)


def test_parameters_and_macs_add_up():
    genome, where = Genome.parse("- add(1) concat(1,2)"), skeleton(3)
    rows = text_rows(genome, where)
    assert sum(row[4] for row in rows) == plan(genome, where).params
    assert sum(row[5] for row in rows) == plan(genome, where).macs


def test_a_u_net_is_a_u():
    unet, genome = UNet((1, 16, 16), 1, (2, 3, 4)), Genome.parse("-*3 concat(1,2) add(4)")
    assert levels(unet.shapes) == [0, 0, 1, 2, 1, 0]
    halving = Skeleton((1, 8, 8), 10, (Stage(1, 4), Stage(1, 4, 2)))
    assert levels(halving.shapes) == [0, 0, 0]
    axes = draw(genome, unet).axes[0]
    boxes = [p.get_y() for p in axes.patches if isinstance(p, FancyBboxPatch)]
    assert [round(boxes[0] - y) for y in boxes] == [0, 0, 1, 2, 1, 0]
    kinds = [type(p) for p in axes.patches if isinstance(p, Arc | PathPatch)]
    assert kinds == [PathPatch, Arc, Arc]
    lowest = [
        float(y)
        for y in re.findall(
            r'<rect x="[\d.]+" y="([\d.]+)" [^>]* rx="4"', plan_svg(plan(genome, unet))
        )
    ]
    assert [y - lowest[0] for y in lowest] == [0, 0, 40, 80, 40, 0]


def test_two_write_the_same_picture(tmp_path):
    class Meanwhile:
        """While it is written, another takes its place."""

        def savefig(self, path, dpi):
            path.write_text("first")
            save(draw(Genome.residual(3), skeleton(3)), tmp_path / "a.png")

    save(Meanwhile(), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_unknown_endings_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"pictures end in"):
        save(draw(Genome.residual(3), skeleton(3)), tmp_path / "a.gif")

"""What a merge of a user's own gets for nothing, and what it must say itself."""

import pytest

from nas import Genome, InputError, Skeleton, Stage, compile_network
from nas.architecture.merges import MERGES, Merge, total
from nas.architecture.parts import Vector
from nas.drawing.svg import genome_svg
from studies.knockouts.lesions import without_skip


class Weighted(Merge):
    """A learnt number for every skip."""

    def parts(self, site):
        return {"weights": Vector(site.skips, 1.0)}

    def forward(self, learnt, branch, skips, previous):
        return branch + total([w * s for w, s in zip(learnt.weights, skips, strict=True)])


class Told(Weighted):
    """The same, which says what is left of its numbers."""

    colour = "#123456"

    def without(self, learnt, skip):
        kept = [w for i, w in enumerate(learnt["weights"]) if i != skip]
        return {"weights": learnt["weights"].new_tensor(kept)}


@pytest.fixture
def own(monkeypatch):
    monkeypatch.setitem(MERGES, "weighted", Weighted())
    monkeypatch.setitem(MERGES, "told", Told())


def test_our_colours_differ():
    colours = [merge.colour for merge in MERGES.values()]
    assert len(set(colours)) == len(colours)
    assert None not in colours


def test_a_merge_without_a_colour_is_drawn_in_that_of_the_text(own):
    assert 'stroke="currentColor"' in genome_svg(Genome.parse("weighted(1)"))
    assert 'stroke="#123456"' in genome_svg(Genome.parse("told(1)"))


def test_a_skip_is_cut_by_what_the_merge_says(own):
    skeleton = Skeleton((1, 8, 8), 10, (Stage(3, 8),))
    genome = "- {0}(1,2) {0}(1,2,3)"
    with pytest.raises(InputError, match=r"merge 'weighted'.*without.*weights has shape \(3,\)"):
        without_skip(compile_network(Genome.parse(genome.format("weighted")), skeleton), 3, 2)
    network = compile_network(Genome.parse(genome.format("told")), skeleton)
    network.layers["3"].merge.weights.data.copy_(
        network.layers["3"].merge.weights.new_tensor([1.0, 2.0, 4.0])
    )
    kept = without_skip(network, 3, 2).layers["3"].merge.weights
    assert kept.tolist() == [1.0, 4.0]

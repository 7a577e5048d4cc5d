"""Sources by name: the stem and the mirrored node, in notation, plan, space, stretch and mutations."""

import random
from dataclasses import dataclass, replace
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas import Genome, InputError, Layer, SearchSpace, Skeleton, Skip, Stage, compile_network, plan
from nas.architecture.layers import MIRROR, STEM, rank
from nas.architecture.stretch import deepened, stretched
from nas.drawing.svg import genome_svg, plan_svg
from nas.drawing.text import lanes
from nas.strategies.mutations import MUTATIONS, crossover, mutate
from search_spaces import SPACES, load_space
from studies.analysis.lineage import describe
from studies.knockouts.lesions import remove_skip, skips_of, without_skip

STARTS = [STEM, MIRROR, 1, 2, 3, 5]


@dataclass(frozen=True)
class Mirrored(Skeleton):
    """A chain whose layers of the second half have the mirrored node of the first."""

    def mirror(self, index):
        return self.layers - index if 2 * index > self.layers else None


def chain(layers=6, adapter="B", kind=Mirrored):
    stages = (Stage(layers // 2, 4), Stage(layers - layers // 2, 8, 2))
    return kind((1, 8, 8), 10, stages, adapter=adapter)


@st.composite
def patterns(draw, skeleton):
    layers = []
    for index in range(1, skeleton.layers + 1):
        nodes = {start: skeleton.source(index, start) for start in STARTS}
        skips, seen = [], {None}
        for start in draw(st.lists(st.sampled_from(STARTS), max_size=4)):
            if nodes[start] not in seen:
                seen.add(nodes[start])
                skips.append(Skip(start, draw(st.sampled_from([0.5, 1.0]))))
        skips.sort(key=lambda skip: rank(skip.distance))
        merge = draw(st.sampled_from(["add", "gate", "concat"]))
        layers.append(Layer(merge, tuple(skips)) if skips else Layer())
    return Genome(tuple(layers))


@given(patterns(chain(9)))
def test_notation_and_json_round_trip(genome):
    assert Genome.parse(str(genome)) == genome == Genome.from_json(genome.to_json())
    assert Genome.parse(genome.key).key == genome.key


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("add(1) add(0,1)", "add(1) add(1,0)"),
        ("- add(m@0.5,0,1)", "- add(1,0,m@0.5)"),
        ("[add(1,0)]*9", "add(1) add(1,0)*8"),
        ("[add(2,0) -]*4", "add(0) - [add(2,0) -]*3"),
        ("[- add(2,0)]*2", "- add(2) - add(2,0)"),
        ("add(0)*9", "add(0)*9"),
        ("[add(1,m)]*3", "add(1,m)*3"),
    ],
)
def test_names_stand_last_and_a_tiled_name_gives_way_to_a_distance(text, canonical):
    assert Genome.parse(text) == Genome.parse(canonical)
    if "[" not in text:
        assert str(Genome.parse(text)) == canonical


def test_a_motif_is_found_although_a_name_gave_way():
    assert str(Genome.parse("add(1) add(1,0)*8").motif) == "add(1,0)"


@settings(max_examples=40, deadline=None)
@given(patterns(chain()))
def test_the_plan_reads_the_nodes_that_names_say(genome):
    skeleton = chain()
    planned = plan(genome, skeleton)
    for layer, found in zip(genome.layers, planned.layers, strict=True):
        for skip, (source, strength) in zip(layer.skips, found.skips, strict=True):
            names = {STEM: 0, MIRROR: 6 - found.index}
            assert source == names.get(skip.distance, found.index - skip.distance)
            assert strength == skip.strength
    edges = {(source, target) for lane in lanes(planned) for source, target in lane}
    assert edges == {(s, layer.index) for layer in planned.layers for s, _ in layer.skips}
    assert plan_svg(planned).count(" 0 0 1 ") == len(edges) >= genome_svg(genome).count(" 0 0 1 ")


@pytest.mark.parametrize(
    ("notation", "message"),
    [
        ("- - add(m) - - -", r"layer 3 'add\(m\)': the mirrored node: .* allowed are 0 and 1 to 3"),
        ("- - - add(2,m) - -", r"layer 4 'add\(2,m\)': the mirrored node is node 2, as distance 2"),
        ("- - - - - add(0,m)", r"layer 6 'add\(0,m\)': the mirrored node is node 0, as the stem"),
    ],
)
def test_plan_and_space_refuse_names_that_say_nothing_new(notation, message):
    genome = Genome.parse(notation)
    space = SearchSpace(chain(), (1, 2), sources=("0", "m"))
    with pytest.raises(InputError, match=message) as caught:
        plan(genome, chain())
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"layer \d"):
        space.check(genome)


def test_no_mirror_and_unknown_names_are_refused():
    with pytest.raises(InputError, match=r"no layer of .* has it"):
        SearchSpace(chain(kind=Skeleton), (1,), sources=("m",))
    with pytest.raises(InputError, match="unknown source by name 'x'"):
        SearchSpace(chain(), (1,), sources=("x",))
    with pytest.raises(InputError, match="distinct"):
        SearchSpace(chain(), (1,), sources=("0", "0"))
    with pytest.raises(InputError, match="the mirrored node: there is none here"):
        plan(Genome.parse("- add(m) - - - -"), chain(kind=Skeleton))


def tiny(layers=4, adapter="B", distances=(1, 2), sources=("0", "m"), **more):
    values = {"merges": ("add", "gate"), "strengths": (1.0,), **more}
    return SearchSpace(chain(layers, adapter), distances, sources=sources, **values)


BRUTE = [
    tiny(3, merges=("add",)),
    tiny(3, distances=(1,)),
    tiny(3, distances=(2, 3), strengths=(0.5, 1.0), merges=("add",), sources=("0",)),
    tiny(sources=("m",), adapter="A", merges=("add",), distances=(1, 2, 3)),
    tiny(always=True),
    tiny(3, always=True, strengths=(0.5, 1.0), distances=(1,)),
    tiny(period=1, distances=(1, 2, 3, 4)),
    tiny(period=2),
    tiny(period=2, distances=(2, 4), strengths=(0.5, 1.0), merges=("add",)),
    tiny(3, period=3, distances=(1, 2), merges=("add",)),
    tiny(period=2, always=True),
]


@pytest.mark.parametrize("space", BRUTE)
def test_sizes_and_codes_by_brute_force(space):
    vectors = list(product(*(range(len(gene.choices)) for gene in space.genes)))
    genomes = [space.decode(vector) for vector in vectors]
    assert len(vectors) == space.size
    assert len({genome.key for genome in genomes}) == space.distinct
    for genome in genomes:
        assert genome in space
        assert space.decode(space.encode(genome)) == genome
    for genome in genomes[:: max(1, len(genomes) // 200)]:
        plan(genome, space.skeleton)
    for genome in genomes[:: max(1, len(genomes) // 10)]:
        neighbours = list(space.neighbours(genome))
        assert len({other.key for other in neighbours} - {genome.key}) == len(neighbours)
        assert all(other in space for other in neighbours)


def test_genes_have_names_of_their_own():
    names = [gene.name for gene in tiny(merges=("add",)).genes]
    assert names == [
        "l1.d1", "l1.s0", "l2.d1", "l2.d2", "l2.s0", "l3.d1", "l3.d2", "l3.s0", "l3.sm",
        "l4.d1", "l4.d2", "l4.s0", "l4.sm",
    ]  # fmt: skip
    genome = Genome.parse("- - gate(1,0,m) -")
    params = tiny().params_of(genome)
    assert (params["l3.d1"], params["l3.s0"], params["l3.sm"]) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("space", [tiny(6), tiny(6, period=2), tiny(6, strengths=(0.5, 1.0))])
def test_mutations_stay_in_the_space_and_reach_names(space):
    rng, seen = random.Random(0), set()
    genome = Genome.plain(6)
    for _ in range(600):
        before, genome = genome, mutate(genome, space, rng)
        assert genome in space
        assert crossover(before, space.sample(rng), space, rng) in space
        seen |= {(i, s.distance) for i, x in enumerate(genome.layers) for s in x.skips}
        if space.period is None:
            name = rng.choice(sorted(MUTATIONS))
            assert MUTATIONS[name](genome, space, rng) in space
    assert seen == {(i, start) for i, row in enumerate(space.reachable) for start in row}


@pytest.mark.parametrize(
    ("notation", "deeper"),
    [
        ("add(1) add(1,0)*5", "add(1) add(1,0)*11"),
        ("-*3 concat(m)*3", "-*6 concat(m)*6"),
        ("add(0) - add(0) concat(1,m)*3", "add(0) - add(0)*2 - add(0) concat(1,m)*6"),
        ("- add(2) - - add(2,m) -", None),
    ],
)
def test_names_survive_stretching(notation, deeper):
    genome, skeleton = Genome.parse(notation), chain()
    longer, long = stretched(genome, skeleton, 12), deepened(skeleton, 12)
    planned = plan(longer, long)
    for layer, found in zip(longer.layers, planned.layers, strict=True):
        for skip, (source, _) in zip(layer.skips, found.skips, strict=True):
            assert source == {STEM: 0, MIRROR: 12 - found.index}.get(
                skip.distance, found.index - skip.distance
            )
    names = {skip.distance for layer in genome.layers for skip in layer.skips if skip.distance < 1}
    assert names == {s.distance for layer in longer.layers for s in layer.skips if s.distance < 1}
    if deeper:
        assert str(longer) == deeper


def test_a_named_skip_is_cut_out_as_the_smaller_genome_is_compiled():
    torch.manual_seed(0)
    images = torch.randn(4, 1, 8, 8)
    genome = Genome.parse("add(1) add(1,0) gate(1,2) add(0,m@0.5) concat(1,0,m) -")
    network = compile_network(genome, chain(), seed=1).eval()
    assert network(images).isfinite().all()
    assert sum(p.numel() for p in network.parameters()) == plan(genome, chain()).params
    for layer, distance in skips_of(genome):
        if genome.layers[layer - 1].merge == "concat":
            continue  # its convolution begins otherwise with other inputs
        smaller = compile_network(remove_skip(genome, layer, distance), chain(), seed=1).eval()
        cut = without_skip(network, layer, distance).eval()
        torch.testing.assert_close(cut(images), smaller(images))  # in other memory formats


def test_the_stem_by_name_is_the_same_network_as_by_its_distance():
    images = torch.randn(2, 1, 8, 8)
    named, counted = (
        compile_network(Genome.parse(f"- - - - {token} -"), chain(), seed=3).eval()
        for token in ("add(1,0)", "add(1,5)")
    )
    assert torch.equal(named(images), counted(images))


def test_changes_are_told_by_name():
    before = Genome.parse("- add(1) add(1,0) add(0)")
    after = Genome.parse("- add(0) add(1) add(0@0.5)")
    assert describe(before, after) == [
        "layer 2: skip moved from distance 1 to the stem",
        "layer 3: skip from the stem removed",
        "layer 4: skip from the stem strength 1 → 0.5",
    ]


def test_a_file_names_sources(tmp_path):
    path = tmp_path / "named.toml"
    path.write_text('base = "digits9"\n[space]\nsources = ["0"]\n')
    space = load_space(path, SPACES)
    assert space.sources == ("0",)
    assert space == replace(SPACES["digits9"], sources=("0",), name="named")
    path.write_text('base = "digits9"\n[space]\nsources = ["stem"]\n')
    with pytest.raises(InputError, match=r"named.toml.*sources"):
        load_space(path, SPACES)

"""Genes, sizes by brute force, files."""

import random
from dataclasses import replace
from itertools import product

import pytest

from nas import Genome, InputError, SearchSpace, Skeleton, Stage, plan
from nas.architecture.skeletons.transformer import Transformer
from nas.strategies.mutations import mutate
from search_spaces import SPACES, load_space


def tiny(
    merges=("add", "concat"), strengths=(0.5, 1.0), distances=(1, 2), adapter="B", always=False
):
    skeleton = Skeleton((1, 8, 8), 10, (Stage(2, 8), Stage(1, 4, 2)), adapter=adapter)
    return SearchSpace(skeleton, distances, merges, strengths, always)


@pytest.mark.parametrize(
    "space",
    [
        tiny(),
        tiny(merges=("add",)),
        tiny(strengths=(1.0,)),
        tiny(merges=("add", "gate", "se"), strengths=(1.0,), distances=(2, 3)),
        tiny(adapter="A"),  # stage 2 is narrower: no skip crosses into it
        tiny(always=True),
        tiny(always=True, strengths=(0.5,)),
        tiny(always=True, merges=("add",), distances=(2,)),
        replace(tiny(), period=1),
        replace(tiny(distances=(1, 3)), period=2),
        replace(tiny(adapter="A", strengths=(1.0,)), period=2),
        replace(tiny(always=True), period=2),
        replace(tiny(merges=("add",)), learning_rates=(0.1, 0.2)),
        replace(tiny(), period=1, learning_rates=(0.1,)),
    ],
)
def test_sizes_and_codes_by_brute_force(space):
    vectors = list(product(*(range(len(gene.choices)) for gene in space.genes)))
    genomes = [space.decode(vector) for vector in vectors]
    assert len(vectors) == space.size
    assert len({genome.key for genome in genomes}) == space.distinct
    for vector, genome in zip(vectors, genomes, strict=True):
        assert genome in space
        code = space.encode(genome)
        assert space.decode(code).key == genome.key
        assert all(a == b for g, a, b in zip(space.genes, vector, code, strict=True) if g.distance)
        plan(genome, space.skeleton)
    neighbours = {g.key for g in space.neighbours(genomes[0])}
    assert neighbours == {
        other.key
        for vector, other in zip(vectors, genomes, strict=True)
        if sum(a != b for a, b in zip(vector, space.encode(genomes[0]), strict=True)) == 1
    } - {genomes[0].key}


def test_gene_names_and_choices():
    genes = {gene.name: gene.choices for gene in SPACES["digits9"].genes}
    assert genes["l4.d1"] == (0.0, 0.5, 1.0)
    assert genes["l4.merge"] == SPACES["digits9"].merges
    assert "l1.d2" not in genes
    assert "l2.d2" in genes


def test_samples_are_spread_over_the_vectors():
    space = tiny(merges=("add",), strengths=(1.0,))
    rng = random.Random(0)
    counts = {}
    for _ in range(3200):
        key = space.sample(rng).key
        counts[key] = counts.get(key, 0) + 1
    assert len(counts) == space.distinct == 32
    assert min(counts.values()) > 60


@pytest.mark.parametrize(
    ("notation", "message"),
    [
        ("- - se(1)", "layer 3 'se(1)': unknown merge in this space 'se'"),
        ("- - add(3)", "layer 3 'add(3)': distance 3 is not in this space; allowed here: 1, 2"),
        ("- add(1@0.7) -", "layer 2 'add(1@0.7)': strength 0.7 is not in this space"),
        ("-*4", "the genome has 4 layers, space custom 3"),
    ],
)
def test_genomes_outside_are_refused_with_the_place(notation, message):
    with pytest.raises(InputError) as caught:
        tiny().encode(Genome.parse(notation))
    assert message in str(caught.value)


def test_skips_that_are_always_there_stay_there():
    space, rng = tiny(always=True), random.Random(0)
    with pytest.raises(InputError, match=r"layer 2 'add\(1\)': .* always has the skips 1, 2"):
        space.encode(Genome.parse("add(1)*3"))
    genome = space.sample(rng)
    seen = set()
    for _ in range(300):
        genome = mutate(genome, space, rng)
        assert [len(layer.skips) for layer in genome.layers] == [1, 2, 2]
        seen.add(genome.key)
    assert len(seen) > 20


def test_wrong_vectors_are_refused():
    space = tiny()
    with pytest.raises(InputError, match="has 8 genes, not 3"):
        space.decode([0, 0, 0])
    with pytest.raises(InputError, match=r"gene l1\.merge: 2 is not an index from 0 to 1"):
        space.decode([2] * 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distances": ()}, "at least one"),
        ({"distances": (1, 1)}, "must be distinct"),
        ({"distances": (4,)}, "distance 4 is not from 1 to 3"),
        ({"merges": ("ad",)}, "did you mean add"),
        ({"strengths": (0.0,)}, "strength 0.0"),
    ],
)
def test_impossible_spaces(change, message):
    with pytest.raises(InputError, match=message):
        replace(tiny(), **change)


@pytest.mark.parametrize("name", sorted(SPACES))
def test_named_spaces(name):
    space = SPACES[name]
    genome = space.sample(random.Random(1))
    assert space.decode(space.encode(genome)) == genome
    assert plan(genome, space.skeleton).params > 0
    rate = next(iter(space.learning_rates), None)
    assert Genome.residual(space.skeleton.layers).at(rate) in space


def test_named_skeletons_are_what_their_names_say():
    shape = {n: (s.skeleton.input_shape, s.skeleton.layers) for n, s in SPACES.items()}
    assert shape["digits9"] == ((1, 8, 8), 9)
    assert shape["fashion9"] == ((1, 28, 28), 9)
    assert shape["cifar27"] == ((3, 32, 32), 27)
    assert shape["exercise28"] == ((3, 32, 32), 28)
    assert shape["resnet50"] == ((3, 224, 224), 16)
    resnet50 = SPACES["resnet50"].skeleton
    assert plan(Genome.residual(16), resnet50).params == 25_557_032


def test_a_space_follows_the_data():
    space = SPACES["resnet50"].for_data((1, 28, 28), 10)
    assert space.skeleton.input_shape == (1, 28, 28)
    assert space.genes == SPACES["resnet50"].genes
    with pytest.raises(InputError, match="least side is 17"):
        SPACES["resnet50"].for_data((1, 8, 8), 10)


def test_a_space_from_a_file(small_toml):
    space = load_space(small_toml, SPACES)
    assert space.name == "small"
    assert space.skeleton.stages == (Stage(2, 4), Stage(2, 8, 2))
    assert space.proxy.images == 128


def test_a_file_on_the_base_of_a_named_space(tmp_path, small_space):
    path = tmp_path / "mine.toml"
    path.write_text('base = "digits9"\n[space]\nmerges = ["dense"]\n[proxy]\nepochs = 7\n')
    space, base = load_space(path, SPACES), SPACES["digits9"]
    assert space.skeleton == base.skeleton
    assert (space.merges, space.distances) == (("dense",), base.distances)
    assert (space.proxy.epochs, space.proxy.learning_rate) == (7, base.proxy.learning_rate)
    assert space.final == base.final
    path.write_text('base = "small"\n[final]\nepochs = 9\n')
    bases = {"small": small_space}  # which says nothing of finalists
    assert load_space(path, bases).final == replace(small_space.final_proxy, epochs=9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "unknown key 'x'"),
        ("base = 'digit9'", "did you mean digits9"),
        ("[space]\ndistances = [1]", "a [skeleton] table or base"),
        ("base = 'digits9'\n[space]\ndistance = [1]", "[space]: unknown key 'distance': did you mean distances"),
        ("base = 'digits9'\n[space]\nmerges = ['ad']", "did you mean add"),
        ("base = 'digits9'\n[proxy]\nepochs = 'a'", "[proxy]: epochs: input should be a valid integer (given: 'a')"),
        ("base = 'digits9'\n[proxy]\nepochs = 0", "epochs is 0; it must be at least 1"),
        ("base = 'digits9'\n[skeleton]\nstages = [{layers = 3, widht = 4}]", "widht"),
        ("base = 'digits9'\nspace = 3", "[space]: must be a table"),
        ("base = 'digits9'\ndata = 3", "data must be a string"),
        ("base = \nx = 1", "line 1, column 8"),
        ("[skeleton]\nfamily = 'wrapped'", "'wrapped': allowed: convolutional, transformer, unet"),
        ("[skeleton]\nfamily = 3", "'3': allowed: convolutional, transformer, unet"),
        ("[skeleton]\nfamily = 'unet'\nheads = 2", "'heads' is of family transformer, and this skeleton is of family unet, in which are allowed: bias, "),
        ("base = 'digits9'\n[skeleton]\nlevels = [2, 4]", "'levels' is of family unet, and this skeleton is of family convolutional"),
        ("[skeleton]\nfamily = 'transformer'\nwidth = 8", "family transformer needs blocks, heads, too"),
        ("[skeleton]\nfamily = 'unet'", "proxy: task classification needs networks that give classes, and those of"),
        ("base = 'digits9'\n[skeleton]\nfamily = 'unet'\n[proxy]\ntask = 'denoising'",
         "final: task classification needs networks that give classes, and those of U-Net 1×16 | 1×32 | 1×64 | "
         "1×32 | 1×16 give map; tasks allowed: denoising, inpainting, segmentation"),
        ("base = 'digits9'\nfamily = 'unet'", "key 'family' stands in [skeleton]; allowed outside of tables: base"),
        ("base = 'digits9'\nepochs = 3", "key 'epochs' stands in [proxy] or [final]"),
    ],
)  # fmt: skip
def test_errors_in_files_name_file_and_key(tmp_path, text, message):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_space(path, SPACES)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_family_beside_a_base(tmp_path):
    stages = "stages = [{layers = 3, width = 4}]"
    same = written(tmp_path, "base = 'digits9'\n[skeleton]\nfamily = 'convolutional'\n" + stages)
    assert same.skeleton == replace(SPACES["digits9"].skeleton, stages=(Stage(3, 4),))
    unet = written(tmp_path, "base = 'unet'\n[skeleton]\nfamily = 'unet'\nlevels = [4, 8, 16]")
    assert unet.skeleton == replace(SPACES["unet"].skeleton, levels=(4, 8, 16))
    vit = "[skeleton]\nfamily = 'transformer'\nblocks = 2\nwidth = 8\nheads = 2"
    other = written(tmp_path, f"base = 'digits9'\n{vit}")
    assert other.skeleton == Transformer((1, 8, 8), 10, blocks=2, width=8, heads=2)
    assert other.proxy == SPACES["digits9"].proxy


def written(folder, text):
    path = folder / "other.toml"
    path.write_text(text)
    return load_space(path, SPACES)


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"none\.toml"):
        load_space(tmp_path / "none.toml", SPACES)


def test_a_space_of_motifs_has_those_that_are_tiled():
    space = replace(SPACES["digits9"], period=3)
    assert [gene.layer for gene in space.genes if gene.distance == 3] == [1, 2, 3]
    assert Genome.parse("[add(1) - scale(1,3)]*3") in space
    assert Genome.parse("add(1)*9") in space
    with pytest.raises(InputError, match="no motif of 3 layers"):
        space.check(Genome.parse("add(1)*8 -"))
    with pytest.raises(InputError, match="distance 4 is not in this space"):
        space.check(Genome.parse("[add(4)]*9"))


@pytest.mark.parametrize("period", [0, 10])
def test_a_period_is_within_the_network(period):
    with pytest.raises(InputError, match=f"period {period} is not from 1 to 9"):
        replace(SPACES["digits9"], period=period)


@pytest.mark.parametrize(
    ("rates", "what"),
    [((0.0,), "above 0"), ((101.0,), "at most 100"), ((0.1, 0.1), "distinct"),
     (tuple(i / 200 for i in range(1, 201)), "at most 16")],
)  # fmt: skip
def test_learning_rates_are_few_and_possible(rates, what):
    with pytest.raises(InputError, match=what):
        replace(SPACES["digits9"], learning_rates=rates)


def test_learning_rates_are_a_gene_and_nothing_without_it_lies_in_the_space():
    space = replace(SPACES["digits9"], learning_rates=(0.05, 0.1))
    assert space.genes[-1].name == "learning_rate"
    assert Genome.parse("add(1)*9 lr=0.1") in space
    for outside in ("add(1)*9", "add(1)*9 lr=0.2"):
        with pytest.raises(InputError, match=r"allowed: 0\.05, 0\.1"):
            space.check(Genome.parse(outside))

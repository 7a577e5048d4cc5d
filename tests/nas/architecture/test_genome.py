"""Notation, validation, keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas import Genome, InputError, Layer, Motif, Skip
from nas.architecture.merges import MERGES


@st.composite
def genomes(draw):
    layers = []
    for index in range(1, draw(st.integers(1, 12)) + 1):
        distances = draw(st.sets(st.integers(1, index), max_size=4))
        skips = tuple(
            Skip(d, draw(st.floats(1e-6, 1e6, allow_nan=False))) for d in sorted(distances)
        )
        merge = draw(st.sampled_from(sorted(MERGES)))
        layers.append(Layer(merge, skips) if skips else Layer())
    return Genome(tuple(layers))


@given(genomes())
def test_notation_and_json_round_trip(genome):
    assert Genome.parse(str(genome)) == genome
    assert Genome.from_json(genome.to_json()) == genome
    assert Genome.parse(genome.key).key == genome.key
    assert hash(Genome.parse(str(genome))) == hash(genome)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("add(1)*4 - concat(1,3@0.5)*4", "add(1)*4 - concat(1,3@0.5)*4"),
        ("add(1) add(1) add(1)", "add(1)*3"),
        ("- add(2,1)", "- add(1,2)"),
        ("add(1@1.0) gate(2@2)", "add(1) gate(2@2)"),
        ("  -\n-*2\t- ", "-*4"),
    ],
)
def test_canonical_notation(text, canonical):
    assert str(Genome.parse(text)) == canonical


def test_hand_made_patterns():
    assert str(Genome.plain(9)) == "-*9"
    assert str(Genome.residual(9)) == "add(1)*9"
    assert str(Genome.dense(9)) == "add(1) add(1,2) add(1,2,3)*7"
    assert str(Genome.dense(1)) == "add(1)"


def test_layers_are_read_from_the_design_example():
    genome = Genome.parse("add(1)*4 - concat(1,3@0.5)*4")
    assert len(genome) == 9
    assert genome.layers[4] == Layer()
    assert genome.layers[8] == Layer("concat", (Skip(1), Skip(3, 0.5)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("add(1) add(3)", "layer 2 'add(3)': distance 3 reaches before the stem; at most 2 here"),
        ("add(1) ad(1)", "layer 2 'ad(1)': unknown merge 'ad': did you mean add?"),
        ("- add(1", "column 3: 'add(1' is not a layer"),
        ("- add(1,x)", "column 9: 'x' is not a skip"),
        ("add(1@)", "column 5: '1@' is not a skip"),
        ("add()", "column 5: '' is not a skip"),
        ("add(1,0)", "layer 1 'add(1,0)': 0 is the stem, which distance 1 is here, too"),
        ("- add(2@0.5,0)", "layer 2 'add(2@0.5,0)': 0 is the stem"),
        ("- add(0,0)", "distances must be distinct"),
        ("- add(m,m)", "distances must be distinct"),
        ("add(-1)", "column 5: '-1' is not a skip"),
        ("add(n)", "column 5: 'n' is not a skip"),
        ("- add(1,1)", "distances must be distinct"),
        ("add(1@0)", "strength 0.0 is not a finite number above 0"),
        ("add(1@-2)", "strength -2.0"),
        ("add(1@inf)", "strength inf"),
        ("add(1@nan)", "strength nan"),
        ("", "empty notation"),
        ("add(1)*0", "column 1: 'add(1)*0' makes 0 layers"),
        ("-*10001", "makes 10001 layers; 1 to 10000"),
        ("-*9999 -*2", "makes 10001 layers"),
    ],
)
def test_errors_say_value_place_and_what_is_allowed(text, message):
    with pytest.raises(InputError) as caught:
        Genome.parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"layers": 3}', '{"layers": [{"merge": "add"}]}', '{"layers": []}']
)
def test_broken_json_is_an_input_error(text):
    with pytest.raises(InputError):
        Genome.from_json(text)


def test_a_genome_is_immutable_and_its_layers_are_checked():
    with pytest.raises(AttributeError):
        Genome.plain(2).layers = ()
    with pytest.raises(InputError, match="rising order"):
        Genome((Layer(), Layer("add", (Skip(2), Skip(1)))))
    with pytest.raises(InputError, match="a plain layer has no merge"):
        Genome((Layer("add"),))


@pytest.mark.parametrize(
    ("notation", "motif"),
    [
        ("[add(1) - scale(1,3)]*9", "add(1) - scale(1,3)"),
        ("[add(1)*2 gate(2@0.5)]*3 add(1)", "add(1)*2 gate(2@0.5)"),
        ("add(1)*9", "add(1)"),
        ("add(1) add(1,2) add(1,2,3)*7", "add(1,2,3)"),
        ("- add(2)*8", "add(2)"),
        ("add(1)*4 - concat(1,3@0.5)*4", None),
    ],
)
def test_a_motif_names_a_pattern_of_any_depth(notation, motif):
    genome = Genome.parse(notation)
    assert str(genome) == notation
    if motif is None:
        assert genome.motif is None
    else:
        assert str(genome.motif) == motif
        assert genome.motif.tiled(len(genome)) == genome
        assert str(Motif.parse(motif).tiled(2 * len(genome)).motif) == motif


def test_in_brackets_skips_that_reach_before_the_stem_are_left_out():
    expected = Genome.parse("- add(1) scale(1,3) add(3) add(1,4) scale(1,3)")
    assert Genome.parse("[add(3) add(1,4) scale(1,3)]*2") == expected


@pytest.mark.parametrize(
    "notation", ["[[add(1)]*2]*2", "[]*3", "[add(1)", "add(1)]*2", "[-]*0", "[- -]*9999"]
)
def test_wrong_motifs_are_refused(notation):
    with pytest.raises(InputError, match=r"motif|without|layers"):
        Genome.parse(notation)


def test_a_learning_rate_ends_a_notation():
    genome = Genome.parse("add(1)*9 lr=0.05")
    assert genome.learning_rate == 0.05
    assert str(genome) == "add(1)*9 lr=0.05"
    assert genome.pattern == Genome.residual(9) != genome
    assert genome.pattern.at(0.05) == genome == Genome.from_json(genome.to_json())
    assert str(Genome.parse("[add(1) -]*4 lr=0.1").motif) == "add(1) - lr=0.1"


@pytest.mark.parametrize("rate", ["lr=0", "lr=-1", "lr=nan", "lr=1000", "lr=", "lr=0.1 -", "lr=x"])
def test_impossible_learning_rates_are_refused(rate):
    with pytest.raises(InputError, match="learning rate"):
        Genome.parse(f"add(1)*9 {rate}")

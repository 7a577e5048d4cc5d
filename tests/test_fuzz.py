"""Anything at all as notation, JSON, TOML, .npz or picture: an InputError of one line, or it is right."""

import io
import json
import random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from nas import Genome
from nas.architecture.genome import MAX_CHARACTERS
from nas.architecture.merges import MERGES
from nas.architecture.notation import MAX_SKIPS
from nas.architecture.plan import plan
from nas.data.load import load_data
from search_spaces import SPACES, load_space
from studies.cli.config import read_definition
from studies.cli.tables import drawing, space_table
from tests.conftest import SMALL_TOML
from tests.fuzz_texts import NOTATIONS, NUMBERS, STRICT, mutated
from tests.fuzzing import case, cases, limited_memory


@pytest.fixture(scope="module", autouse=True)
def memory():
    with limited_memory():
        yield


@given(NOTATIONS)
@example("add(1)*" + "9" * 5000)
@example("-*٣")
@example(f"-*5000 add({','.join(map(str, range(1, 5001)))})*5000")
@example(f"add({','.join(map(str, range(1, MAX_SKIPS + 3)))})")
@example("-" * (MAX_CHARACTERS + 1))
@example("(" * 100_000)
@example("add(" * 50_000)
@example("- " * 100_000)
@example("add(1)*10000")
@example("add(1@1e308)*10000")
@cases(730)
def test_notations(text):
    with case("notation", text):
        genome = Genome.parse(text)
        again = Genome.parse(str(genome))
        assert again == genome
        assert again.key == genome.key
        assert Genome.from_json(genome.to_json()) == genome


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
PAIRS = st.one_of(st.tuples(st.integers(1, 3), st.just(0.5)), st.tuples(NUMBERS, NUMBERS), VALUES)
LAYERS = st.one_of(
    st.none(),
    VALUES,
    st.fixed_dictionaries(
        {"merge": st.one_of(st.sampled_from([*MERGES]), VALUES),
         "skips": st.one_of(st.lists(PAIRS, max_size=4), VALUES)},
    ),
)  # fmt: skip


def dumped(value):
    try:
        return json.dumps(value)
    except ValueError:  # a number of too many digits
        return '{"layers": [' + "9" * 5000 + "]}"


DOCUMENTS = st.one_of(
    st.fixed_dictionaries({"layers": st.one_of(st.lists(LAYERS, max_size=6), VALUES)}).map(dumped),
    STRICT.map(Genome.to_json),
    mutated(STRICT.map(Genome.to_json)),
    VALUES.map(dumped),
    st.text(max_size=40),
)


@given(DOCUMENTS)
@example('{"layers": [{"merge": "add", "skips": [[5, "x"]]}]}')
@example('{"layers": [{"merge": ["add"], "skips": [[1, 1]]}]}')
@example('{"layers": [{"merge": "a\\nb", "skips": [[1, 1]]}]}')
@example('{"layers": [{"merge": "add", "skips": [[1, 1' + "0" * 400 + "]]}]}")
@example('{"layers": [{"merge": "add", "skips": [[1, 100000000000000001]]}]}')
@example('{"layers": [{"merge": "add", "skips": [[1, true]]}]}')
@example('{"layers": [{"merge": "' + "x" * 1_000_000 + '", "skips": [[1, 1]]}]}')
@example('{"layers": ' + "[" * 100_000)
@example('{"layers": "' + "[" * 100_000 + '"}')
@cases(200)
def test_genomes_in_json(text):
    with case("json", text):
        genome = Genome.from_json(text)
        assert Genome.parse(str(genome)) == genome
        assert Genome.from_json(genome.to_json()) == genome


def toml(value):
    """A value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return "9" * 5000 if abs(value) > 10**4000 else str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return quoted("" if value is None else value)


def quoted(text):
    return json.dumps("".join(c for c in text if not "\ud800" <= c <= "\udfff"))


FIELDS = {
    "skeleton": ("input_shape", "classes", "stages", "stem", "block", "norm", "bias", "activation",
                 "adapter", "init", "stem_width", "wrong"),
    "space": ("distances", "merges", "strengths", "always", "wrong"),
    "proxy": ("epochs", "images", "validation_images", "resolution", "batch", "learning_rate",
              "warmup", "momentum", "weight_decay", "label_smoothing", "augment",
              "calibration_images", "precision"),
}  # fmt: skip
STAGES = st.lists(
    st.fixed_dictionaries({}, optional={n: st.one_of(st.integers(1, 5), NUMBERS) for n in
                                        ("layers", "width", "stride", "x")}),
    max_size=3,
)  # fmt: skip
PLAUSIBLE = st.one_of(
    NUMBERS,
    st.lists(NUMBERS, max_size=4),
    STAGES,
    st.lists(st.sampled_from([*MERGES, "none"]), max_size=3),
    st.sampled_from(["7x7", "bottleneck", "preact-basic", "none", "A", "he", "crop", "bf16"]),
    st.booleans(),
    VALUES,
)
TABLES = {
    name: st.one_of(
        st.dictionaries(st.sampled_from(keys), PLAUSIBLE, min_size=1, max_size=2), PLAUSIBLE
    )
    for name, keys in {**FIELDS, "final": FIELDS["proxy"]}.items()
}
SPACE_FILES = st.one_of(
    st.fixed_dictionaries(
        {"base": st.sampled_from([*SPACES])},
        optional={**TABLES, "data": st.one_of(st.just("digits"), VALUES), "wrong": VALUES},
    ).map(lambda given: "\n".join(f"{key} = {toml(value)}" for key, value in given.items())),
    mutated(st.just(SMALL_TOML)),
    st.text(max_size=60),
).map(lambda text: text.encode(errors="replace"))
RAW = st.one_of(SPACE_FILES, st.binary(max_size=60))


def layers(count, width=4, more=""):
    stages = f"stages = [{{layers = {count}, width = {width}}}]"
    return f"[skeleton]\ninput_shape = [1, 8, 8]\nclasses = 10\n{stages}\n{more}".encode()


@given(RAW)
@example(layers(10**12))
@example(layers(10_000, more="[space]\ndistances = [1]\nmerges = ['add']\nstrengths = [1.0]"))
@example(layers(3000))
@example(layers(4, 10**300))
@example(
    layers(
        9999,
        more=f"[space]\ndistances = {list(range(1, 9999))}\nmerges = ['add']\nstrengths = [1.0]",
    )
)
@example(
    layers(
        4, more=f"[space]\ndistances = [1]\nmerges = ['add']\nstrengths = {list(range(1, 5000))}"
    )
)
@example(b"base = 'digits9'\n[proxy]\nepochs = 400000000")
@example(b"base = 'digits9'\n[proxy]\nepochs = " + b"9" * 5000)
@example(b"base = " + b"[" * 5000)
@example(b"base = ['digits9']")
@example(b"base = {}")
@example(b"base = 'digits9'\ndata = 1979-05-27\n[skeleton]\nstem = 1979-05-27")
@example(b"\xff\xfe")
@cases(100)
def test_spaces_in_toml(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    path.write_bytes(raw)
    with case("space", raw):
        space = load_space(path, SPACES)
        space_table(space)
        genome = space.sample(random.Random(0))
        assert genome in space
        assert space.decode(space.encode(genome)) == genome
        plan(genome, space.skeleton)
        drawing(genome, space.skeleton)


@given(
    st.one_of(
        st.dictionaries(
            st.sampled_from(["space", "data", "plugin", "seed", "lag", "study"]), VALUES, max_size=3
        ).map(lambda given: "\n".join(f"{key} = {toml(value)}" for key, value in given.items())),
        st.text(max_size=60),
    ).map(lambda text: text.encode(errors="replace"))
    | st.binary(max_size=60)
)
@example(b"space = '" + b"x" * 3000 + b"'")
@example(b'data = "a\\u0000b"')
@example(b"plugin = " + b"[" * 5000 + b"]" * 5000)
@cases(50)
def test_definitions(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "definition.toml"
    path.write_bytes(raw)
    with case("definition", raw):
        assert isinstance(read_definition(path), dict)


def npz():
    file = io.BytesIO()
    np.savez_compressed(file, images=np.zeros((24, 5, 5), np.uint8), labels=np.arange(24) % 2)
    return file.getvalue()


def picture(kind):
    file = io.BytesIO()
    Image.new("RGB", (9, 9), (200, 20, 20)).save(file, kind)
    return file.getvalue()


@st.composite
def damaged(draw, whole):
    """Bytes with some overwritten, inserted or cut."""
    raw = bytearray(draw(st.sampled_from(whole)))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, max(0, len(raw) - 1)))
        piece = draw(st.binary(max_size=4))
        raw[at : at + draw(st.integers(0, 4))] = piece
    return bytes(raw)


@given(damaged([npz()]))
@cases(30)
def test_damaged_npz(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "fuzzed.npz"
    path.write_bytes(raw)
    with case("npz", raw):
        assert load_data(str(path)).shape == (1, 5, 5)


@given(damaged([picture(kind) for kind in ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")]))
@cases(30)
def test_damaged_pictures(tmp_path_factory, raw):
    folder = tmp_path_factory.getbasetemp() / "fuzzed"
    for name, level in (("a", 0), ("b", 255)):
        if not (folder / name).exists():
            (folder / name).mkdir(parents=True)
            for index in range(8):
                Image.new("L", (9, 9), level).save(folder / name / f"{index}.png")
    (folder / "a" / "0.png").write_bytes(raw)
    with case("picture", raw):
        assert len(load_data(str(folder)).images) == 16

"""Texts and numbers that fuzz tests draw: notations, right and nearly right, and what no one writes."""

import random

from hypothesis import strategies as st

from nas.architecture.merges import MERGES
from tests.conftest import random_genome

NUMBERS = st.one_of(
    st.integers(),
    st.integers(-3, 12),
    st.integers(0, 4).map(lambda n: 10 ** (10**n)),
    st.floats(),
    st.sampled_from([0, -0.0, 1e999, float("nan"), 5e-324, 1.7e308, 2**63, 10_000, 10_001, 65_537]),
)


DIGITS = st.one_of(
    st.integers(0, 12).map(str),
    st.integers(0, 11_000).map(str),
    st.text("0123456789", min_size=1, max_size=30),
    st.sampled_from(
        ["٣", "１２", "²", "₁", "0x1", "1_0", "00001", "-1", "+1", "9" * 5000, "1e3", ""]
    ),
)


STRENGTHS = st.one_of(
    st.floats().map(repr),
    DIGITS,
    st.sampled_from(["1e999", "nan", "-0", "1e-400", "inf", "1_0.5", "٠.٥", "0x1p3", "1e308", ".5", "5."]),
)  # fmt: skip


SKIPS = st.one_of(DIGITS, st.tuples(DIGITS, STRENGTHS).map("@".join), st.text(max_size=4))


TOKENS = st.one_of(
    st.just("-"),
    st.tuples(
        st.sampled_from([*MERGES, "", "ad", "Add", "ádd", "_", "add\x00"]),
        st.lists(SKIPS, max_size=6).map(",".join),
    ).map(lambda pair: f"{pair[0]}({pair[1]})"),
    st.text(max_size=8),
)


REPEATED = st.one_of(TOKENS, st.tuples(TOKENS, DIGITS).map("*".join))


VALID = st.sampled_from(
    ["add(1)*9", "- add(1,2@0.5)*8", "-*28", "concat(1) se(1,2) gate(2@1e-3,3)", "add(1)*300"]
)


STRICT = st.builds(
    lambda seed, layers: random_genome(layers, random.Random(seed), [*MERGES]),
    st.integers(0, 2**32), st.integers(1, 40),
)  # fmt: skip


@st.composite
def mutated(draw, texts, alphabet="()*,@-. 019e[]{}\"'=\n\t#ad+٣\x00\U0001f600"):
    """A text with a few characters replaced, removed, doubled or moved."""
    text = draw(texts)
    rng = random.Random(draw(st.integers(0, 2**32)))
    for _ in range(rng.randint(1, 6)):
        at, end = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        piece = rng.choice([rng.choice(alphabet), text[at:end], "", rng.choice(alphabet) * 40])
        text = text[:at] + piece + text[rng.choice([at, min(at + 1, len(text)), end]) :]
        text = text[:100_000]
    return text


NOTATIONS = st.one_of(
    st.lists(REPEATED, max_size=12).map(" ".join),
    STRICT.map(str),
    mutated(VALID),
    mutated(STRICT.map(str)),
    st.text(max_size=60),
    st.binary(max_size=40).map(lambda raw: raw.decode("latin-1")),
)

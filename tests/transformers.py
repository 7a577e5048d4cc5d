"""Random Transformers, and what they read."""

import torch
from hypothesis import strategies as st

from nas.architecture.merges import MERGES
from nas.architecture.skeletons.transformer import Transformer


@st.composite
def skeletons(draw):
    text = draw(st.booleans())
    patch, heads = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    sides = [patch * draw(st.integers(1, 4)) for _ in range(2)]
    pooling = draw(st.sampled_from(["token", "mean"]))
    free = not text and pooling == "mean"
    return Transformer(
        (draw(st.integers(1, 20)),) if text else (draw(st.sampled_from([1, 3])), *sides),
        draw(st.integers(2, 11)),
        draw(st.integers(1, 4)),
        heads * draw(st.sampled_from([2, 4, 6])),
        heads,
        draw(st.sampled_from([0.5, 1.5, 4.0])),
        patch,
        pooling,
        draw(st.sampled_from(["layer", "rms", "none"])),
        draw(st.sampled_from(["pre", "post", "sandwich"])),
        draw(st.sampled_from([None, True])) if text or free else None,
        draw(st.sampled_from(["learned", "rotary", "none"])),
        draw(st.sampled_from(["gelu", "gelu-tanh"])),
        draw(st.booleans()),
        init=draw(st.sampled_from(["normal", "pytorch"])),
    )


def inputs_of(skeleton, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    if skeleton.text:
        shape = (count, *skeleton.input_shape)
        return torch.randint(0, skeleton.classes, shape, generator=generator)
    return torch.randn(count, *skeleton.input_shape, generator=generator)


def merges_of(skeleton):
    return sorted(name for name in MERGES if not skeleton.lacks(name, 1))

"""What blocks, stems and merges declare; of a user's own it is checked, since ours have tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nas.architecture.merges import Merge, Site
from nas.architecture.parts import Chain, Part, Shape, Vector, strided
from nas.architecture.skeletons.blocks import Block, NormRule, Stem
from nas.errors import brief, called, own_name, refuse, wrong


def branch_of(
    name: str, block: Block, inputs: Shape, width: int, stride: int, bias: bool, norm: NormRule
) -> Chain:
    """A block's branch.

    Raises:
        InputError: it is a user's own, and no chain of parts from the layer's input to its output.
    """
    what = f"block {name!r}"
    chain = called(what, block.branch, inputs, width, stride, bias, norm)
    shape = strided(inputs, width * block.expansion, stride)
    _check_chain(what, block.branch, chain, inputs, shape)
    return chain


def stem_of(
    name: str, stem: Stem, inputs: Shape, width: int, bias: bool, norm: NormRule, activation: bool
) -> Chain:
    """A stem's parts.

    Raises:
        InputError: it is a user's own, and no chain of parts from the pictures to node 0.
    """
    what = f"stem {name!r}"
    chain = called(what, stem.parts, inputs, width, bias, norm, activation)
    _check_chain(what, stem.parts, chain, inputs, strided(inputs, width, stem.stride))
    return chain


def parts_of(name: str, merge: Merge, site: Site) -> dict[str, Part]:
    """A merge's learnt parts.

    Raises:
        InputError: it is a user's own, and no dict of parts.
    """
    what = f"merge {name!r}"
    learnt = called(what, merge.parts, site)
    if own_name(merge.parts):
        if not isinstance(learnt, dict):
            refuse(what, merge.parts, learnt, "a dict of parts by name")
        for key, part in learnt.items():
            _check_part(what, merge.parts, key, part)
            if isinstance(part, Chain):
                _check_chain(what, merge.parts, part, None, None)
    return learnt


def input_fits(name: str, merge: Merge, site: Site) -> bool:
    """Whether those of a merge's parts that read the layer's input give its output's shape."""
    if site.inputs == site.shape:
        return True
    found = parts_of(name, merge, site).values()
    return all(_reads(part) != site.inputs or part.shape == site.shape for part in found)


def _reads(part: Part) -> Shape:
    """The shape that a part is for."""
    while isinstance(part, Chain):
        part = part.steps[0][1]
    return getattr(part, "inputs", part.shape)


def _check_part(what: str, function: Callable[..., Any], name: object, part: object) -> None:
    if not isinstance(part, Part):
        told = f"has {name!r} = {brief(part)}"
        wrong(
            what,
            function,
            f"{told}; a part of nas.extend.parts, declared and not built, is expected",
        )


def _check_chain(
    what: str, function: Callable[..., Any], chain: Any, inputs: Shape | None, shape: Shape | None
) -> None:
    """Whether a user's own chain holds together, from one shape to another; None is any."""
    if own_name(function) is None:
        return
    if not isinstance(chain, Chain) or not chain.steps:
        refuse(what, function, chain, "a parts.Chain of at least one part")
    before = inputs
    for name, part in chain:
        _check_part(what, function, name, part)
        if isinstance(part, Chain):
            _check_chain(what, function, part, before, None)
        reads = before if isinstance(part, Chain | Vector) else getattr(part, "inputs", part.shape)
        if before is not None and reads != before:
            wrong(what, function, f"has {name!r} for shape {reads}, but before it is {before}")
        before = part.shape
    if shape is not None and chain.shape != shape:
        wrong(what, function, f"ends with shape {chain.shape}; {shape} is expected")

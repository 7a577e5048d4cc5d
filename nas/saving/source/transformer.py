"""A Transformer as a module of plain PyTorch: its classes, its pattern, and how its weights are loaded."""

from __future__ import annotations

from typing import Any

from nas.architecture.plan import Plan, plan
from nas.architecture.skeletons.transformer import Transformer
from nas.errors import InputError
from nas.saving.classifier import Trained
from nas.saving.source.borrowed import Borrowed
from nas.saving.source.classes import Call, Classes, Names, Order, Place, Uses
from nas.saving.source.merges import merge_classes
from nas.saving.source.module import OWN, rendered, write_merges
from nas.saving.source.pattern import names_of, pattern_lines
from nas.saving.source.text import called

WIDTH: Order = ("width",)


def source_of(classifier: Trained, weights: str) -> str:
    """The source of a module with the same network.

    Args:
        weights: name of the safetensors file beside it.

    Raises:
        InputError: a merge of a user's own cannot be written; the reason is named.
    """
    skeleton = classifier.skeleton
    assert isinstance(skeleton, Transformer)
    planned, borrowed = plan(classifier.genome, skeleton), Borrowed()
    built = _built(planned, skeleton, borrowed)
    kind, sizes = "Symbols" if skeleton.text else "Pictures", map(str, skeleton.input_shape)
    steps = f"{skeleton.side}, " if skeleton.text else ""
    return rendered(
        "transformer.py.jinja", classifier, weights, planned, borrowed,
        width=skeleton.width,
        layers=skeleton.layers,
        given=kind.lower(),
        inputs=f"{kind} (N, {', '.join(sizes)})",
        logits=f"(N, {steps}{skeleton.classes})",
        **built,
    )  # fmt: skip


def _built(planned: Plan, skeleton: Transformer, borrowed: Borrowed) -> dict[str, Any]:
    """The classes of a module, and where it makes objects of them."""
    merges = merge_classes(planned.layers, borrowed)
    taken = {*borrowed.imports, *borrowed.definitions}
    if clash := sorted(taken & {*OWN, "WIDTH", "LAYERS"}):
        raise InputError(f"a merge's file has the name {clash[0]}, which the module has itself")
    classes = Classes(Names([*OWN, *taken]))
    width = skeleton.width
    places: dict[int, Place] = {
        layer.index: {
            "inputs": width, "width": width, "channels": width, "stride": 1, "skips": len(layer.skips)
        }
        for layer in planned.layers
    }  # fmt: skip
    branches = [(layer.branch, places[layer.index]) for layer in planned.layers]
    after = [(layer.after, places[layer.index]) for layer in planned.layers if layer.after]
    chains: dict[str, tuple[Order, Uses, str]] = {
        "stem": ((), [(planned.stem, {})], "From what is read to h0"),
        "attention": (WIDTH, branches[::2], "The branch F of an odd layer"),
        "mlp": (WIDTH, branches[1::2], "The branch F of an even layer"),
        "head": ((), [(planned.head, {})], "From the last layer to logits"),
    }
    for role, (order, uses, words) in chains.items():
        for part, place in uses:
            classes.collect(role, order, part, place, words)
    for merge in merges:
        merge.collect(classes, places)
    calls: dict[str, Call] = {}
    for role in ("stem", "attention", "mlp"):  # classes are written in the order of their use
        calls[role] = classes.call(role, *chains[role][:2])
    names, site = write_merges(merges, classes, places)
    calls["head"] = classes.call("head", *chains["head"][:2])
    own = {"width": "WIDTH"}
    told = {
        "inputs": "WIDTH",
        "width": "WIDTH",
        "channels": "WIDTH",
        "stride": "1",
        "skips": "len(skips)",
    }
    strengths = any(strength != 1 for layer in planned.layers for _, strength in layer.skips)
    return {
        "classes": classes.texts,
        **{role: call.text("", own) for role, call in calls.items()},
        "after": after and classes.call("after", WIDTH, after).text("        self.after = ", own),
        "site": site and called("            site = Site(", [told[name] for name in site]),
        "strengths": strengths,
        **names_of(planned),
        "pattern": pattern_lines(planned, names, strengths, named=True) if merges else [],
    }

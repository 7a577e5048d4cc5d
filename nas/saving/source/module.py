"""A network as a module of plain PyTorch: its classes, its pattern, and how its weights are loaded."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from nas.architecture.parts import Part
from nas.architecture.plan import Plan, plan
from nas.architecture.skeletons.convolutional import Skeleton
from nas.errors import InputError
from nas.saving.classifier import Trained
from nas.saving.source.borrowed import Borrowed, import_lines
from nas.saving.source.classes import Call, Classes, Names, Order, Place, Uses, structure
from nas.saving.source.formulas import used
from nas.saving.source.merges import MergeClass, merge_classes, site_text
from nas.saving.source.pattern import pattern_lines
from nas.saving.source.text import called, quoted, tuple_of
from nas.saving.source.words import about, class_names
from nas.tasks.table import find_task

BRANCH: Order = ("width", "inputs", "stride")
ADAPTER: Order = ("inputs", "channels", "stride")
OWN = ("Layer", "Network", "Node", "Site", "adapter", "load", "WEIGHTS", "CLASSES", "MEAN", "STD",
       "STAGES", "PATTERN")  # fmt: skip
"""Names that a module has, or may have."""
BETWEEN = {
    "inputs": "source.channels",
    "channels": "target.channels",
    "stride": "target.stride // source.stride",
}
"""An adapter's numbers, by two nodes."""
CHANGES = "stride > 1 or inputs != width"
"""When a layer may have another branch, as ConvNeXt's that halve the sides."""


def source_of(classifier: Trained, weights: str) -> str:
    """The source of a module with the same network.

    Args:
        weights: name of the safetensors file beside it.

    Raises:
        InputError: a merge or a block of a user's own cannot be written; the reason is named.
    """
    skeleton = classifier.skeleton
    if not isinstance(skeleton, Skeleton):
        raise InputError(
            f"{skeleton.title}: only convolutional skeletons, U-Nets and Transformers are written as "
            "source; torch-export, onnx and safetensors have all"
        )
    planned, borrowed = plan(classifier.genome, skeleton), Borrowed()
    built = _built(planned, skeleton, borrowed)
    return rendered(
        "module.py.jinja", classifier, weights, planned, borrowed,
        stages=_stages(planned, skeleton),
        relu=skeleton.relu_after_merge,
        pictures=f"(N, {', '.join(map(str, skeleton.input_shape))})",
        logits=skeleton.classes,
        **built,
    )  # fmt: skip


def rendered(
    name: str, classifier: Trained, weights: str, planned: Plan, borrowed: Borrowed, **values: Any
) -> str:
    """A module from its template, with what all of them have, and no import that it does not need."""
    card = classifier.card
    normalised = bool({*card.mean} - {0.0} or {*card.std} - {1.0})  # texts have no means
    distances = [layer.index - source for layer in planned.layers for source, _ in layer.skips]
    body = _template(name).render(
        weights=quoted(weights),
        class_names=class_names(card.classes) if find_task(card.task).labels else [],
        normalised=normalised,
        mean=_constant("MEAN", card.mean, "of every channel, of pictures from 0 to 255"),
        std=_constant("STD", card.std, ""),
        functions=list(borrowed.definitions.values()),
        longest=max(distances, default=0),
        **values,
    )
    named = {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}
    imports = import_lines(one for one in borrowed.imports.values() if one.bound in named)
    said = about(classifier, planned, normalised)
    return f'"""{said}\n"""\n\nfrom __future__ import annotations\n\n{imports}\n\n{body}'


def _built(planned: Plan, skeleton: Skeleton, borrowed: Borrowed) -> dict[str, Any]:
    """The classes of a module, and where it makes objects of them."""
    merges = merge_classes(planned.layers, borrowed)
    taken = {*borrowed.imports, *borrowed.definitions}
    if clash := sorted(taken & {*OWN}):
        raise InputError(f"a merge's file has the name {clash[0]}, which the module has itself")
    classes, places = Classes(Names([*OWN, *taken])), _places(planned, skeleton)
    adapters = list(_adapters(planned, places))
    branches = [(layer.branch, places[layer.index]) for layer in planned.layers]
    changing, others = split(branches, skeleton.block)
    change = f"{skeleton.block}-change"
    chains: dict[str, tuple[Order, Uses, str]] = {
        "stem": ((), [(planned.stem, {})], "From pictures to h0"),
        change: (BRANCH, changing, "The branch F of a layer that changes the shape"),
        skeleton.block: (BRANCH, others, "The branch F of a layer"),
        "adapter": (ADAPTER, adapters, "A: what fits a skip to a layer"),
        "head": ((), [(planned.head, {})], "From the last layer to logits"),
    }
    classes.share(skeleton.block, BRANCH, others[0][0])
    for role, (order, uses, words) in chains.items():
        for part, place in uses:
            classes.collect(role, order, part, place, words)
    for merge in merges:
        merge.collect(classes, places)
    calls: dict[str, Call] = {}
    names: dict[int, str] = {}
    site: Order = ()
    for role, (order, uses, _) in chains.items():
        if role == "head":  # classes are written in the order of their use
            names, site = write_merges(merges, classes, places)
        if uses:
            calls[role] = classes.call(role, order, uses)
    strengths = any(strength != 1 for layer in planned.layers for _, strength in layer.skips)
    adapter = calls.get("adapter")
    return {
        "classes": classes.texts,
        "stem": calls["stem"].text(""),
        "head": calls["head"].text(""),
        "adapter": adapter and adapter.text("    return ", BETWEEN),
        "strengths": strengths,
        "pattern": pattern_lines(planned, names, strengths) if merges else [],
        "loop": _loop(
            planned, skeleton, calls[skeleton.block], calls.get(change), site, bool(adapter),
            bool(merges),
        ),
    }  # fmt: skip


def split(branches: Uses, block: str) -> tuple[Uses, Uses]:
    """The branches that are built otherwise because they change the shape, and all others.

    Raises:
        InputError: they differ in another way.
    """
    if len({structure(branch) for branch, _ in branches}) == 1:
        return [], branches
    changing = [(b, at) for b, at in branches if at["stride"] > 1 or at["inputs"] != at["width"]]
    others = [use for use in branches if use not in changing]
    if any(len({structure(branch) for branch, _ in uses}) != 1 for uses in (changing, others)):
        raise InputError(f"block {block!r} has other parts in some layers than in others")
    return changing, others


def _places(planned: Plan, skeleton: Skeleton) -> dict[int, Place]:
    """The numbers of every layer."""
    blocks = zip(planned.layers, skeleton.blocks(), strict=True)
    return {
        layer.index: {
            "inputs": planned.shapes[layer.index - 1][0],
            "width": width,
            "channels": layer.shape[0],
            "stride": stride,
            "skips": len(layer.skips),
        }
        for layer, (_, width, stride) in blocks
    }


def _adapters(planned: Plan, places: Mapping[int, Place]) -> Iterator[tuple[Part, Place]]:
    """All adapters, each with the numbers of the nodes that it stands between."""
    total = [1]
    for layer in planned.layers:
        total.append(total[-1] * places[layer.index]["stride"])
        for (source, _), part in zip(layer.skips, layer.adapters, strict=True):
            if part is not None:
                inputs, stride = planned.shapes[source][0], total[-1] // total[source]
                yield part, {"inputs": inputs, "channels": layer.shape[0], "stride": stride}


def write_merges(
    merges: list[MergeClass], classes: Classes, places: Mapping[int, Place]
) -> tuple[dict[int, str], Order]:
    """Writes the merges' classes: the name of every layer's, and what their constructors are told."""
    calls = [merge.calls(classes, places) for merge in merges]
    site = used(text for made in calls for call in made.values() for text in call.arguments)
    if site:
        classes.texts.append(site_text(site))
    names: dict[int, str] = {}
    for merge, made in zip(merges, calls, strict=True):
        name = classes.names.new(merge.name)
        names |= {layer.index: name for layer in merge.layers}
        classes.texts.append(merge.text(name, made, site))
    return names, site


def _loop(
    planned: Plan, skeleton: Skeleton, branch: Call, change: Call | None, site: Order,
    adapted: bool, merged: bool,
) -> str:  # fmt: skip
    """The lines that make all layers."""
    times = skeleton.kind.expansion
    channels = f"{times} * width" if times > 1 else "width"
    own = {"channels": channels, "skips": "len(skips)"}
    reading = bool(change) or "inputs" in branch.variables or "inputs" in site
    lines = []
    if adapted:
        lines.append(f"        nodes = [Node({planned.shapes[0][0]}, 1)]  # h0")
    elif reading:
        lines.append(f"        inputs = {planned.shapes[0][0]}  # channels of h0")
    if merged:
        lines.append(
            "        for (width, stride), (merge, skips) in zip(places, PATTERN, strict=True):"
        )
    else:
        lines.append("        for width, stride in places:")
    if adapted and reading:
        lines.append("            inputs = nodes[-1].channels")
    if adapted:
        lines.append(f"            nodes.append(Node({channels}, nodes[-1].stride * stride))")
    arguments = [branch.text("")]
    if change:
        lines += [f"            if {CHANGES}:", change.text("                branch = ")]
        lines += ["            else:", branch.text("                branch = ")]
        arguments = ["branch"]
    if merged:
        if site:
            told = [own.get(name, name) for name in site]
            lines.append(called("            site = Site(", told))
        arguments += [f"merge({'site' if site else ''}) if merge else None", "skips"]
    if adapted:
        arguments.append("{d: adapter(nodes[-1 - d], nodes[-1]) for d in skips}")
    made = "            self.layers[str(len(self.layers) + 1)] = Layer("
    lines.append(called(made, arguments))
    if reading and not adapted:
        lines.append(f"            inputs = {channels}")
    return "\n".join(lines)


def _stages(planned: Plan, skeleton: Skeleton) -> list[str]:
    lines, first = [], 1
    for stage in skeleton.stages:
        last = first + stage.layers - 1
        numbers = f"({stage.layers}, {stage.width}, {stage.stride}),"
        shape = planned.layers[last - 1].shape
        lines.append(f"    {numbers}  # layers {first} to {last}: {shape}")
        first = last + 1
    return lines


def _constant(name: str, values: Sequence[float], said: str) -> list[str]:
    """The lines of a constant, with what is said of it."""
    comment = f"  # {said}" if said else ""
    lines = [*tuple_of(values).lines(f"{name} = ", comment)]
    return (
        lines
        if len(lines) == 1 or not said
        else [f"# {said}", *tuple_of(values).lines(f"{name} = ")]
    )


@cache
def _template(name: str) -> Template:
    """A template of this folder."""
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    ).from_string(text)

"""A U-Net as a module of plain PyTorch: its levels, its classes, its pattern, and how its weights are loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nas.architecture.map_parts import Identity
from nas.architecture.parts import Chain, Part
from nas.architecture.plan import Plan, plan
from nas.architecture.skeletons.unet import UNet
from nas.errors import InputError
from nas.saving.classifier import Trained
from nas.saving.source.borrowed import Borrowed
from nas.saving.source.classes import Call, Classes, Names, Order, Place, Uses, structure
from nas.saving.source.merges import merge_classes
from nas.saving.source.module import BRANCH, OWN, rendered, split, write_merges
from nas.saving.source.pattern import names_of, pattern_lines
from nas.saving.source.text import Listed, called

ADAPTER: Order = ("inputs", "channels", "stride", "factor")
MORE = ("LEVELS", "SIDES", "PER_LEVEL", "DOWN", "UP", "UpConv", "Upsample")
"""Names that such a module has, or may have, besides."""
BETWEEN = {
    "inputs": "source.channels",
    "channels": "target.channels",
    "stride": "2 ** (target.level - source.level)",
    "factor": "2 ** (source.level - target.level)",
    "sides": "SIDES[target.level]",
}
"""An adapter's numbers, by two nodes."""
DIRECTIONS = {0: "level", 1: "down", -1: "up"}
"""By how many levels a layer is lower than the one before."""


def source_of(classifier: Trained, weights: str) -> str:
    """The source of a module with the same network.

    Args:
        weights: name of the safetensors file beside it.

    Raises:
        InputError: a merge or a block of a user's own cannot be written; the reason is named.
    """
    skeleton = classifier.skeleton
    assert isinstance(skeleton, UNet)
    planned, borrowed = plan(classifier.genome, skeleton), Borrowed()
    channels, *sides = map(str, skeleton.input_shape)
    built = _built(planned, skeleton, borrowed)
    return rendered(
        "unet.py.jinja", classifier, weights, planned, borrowed,
        pictures=f"(N, {', '.join([channels, *sides])})",
        given=classifier.gives,
        result=f"(N, {', '.join([str(skeleton.classes), *sides])})",
        levels=_levels(skeleton),
        sides=_sides(skeleton),
        layers=skeleton.layers,
        per_level=skeleton.per_level,
        relu=skeleton.relu_after_merge,
        start=planned.shapes[0][0],
        channels=_channels(skeleton),
        **built,
    )  # fmt: skip


def _levels(skeleton: UNet) -> list[str]:
    """The lines of a list of widths, with the layers of every level and their shape."""
    lines, length = [], skeleton.per_level
    for level, width in enumerate(skeleton.levels):
        up = skeleton.layers - (level + 1) * length + 1
        firsts = dict.fromkeys((level * length + 1, up))
        layers = [f"{i} to {i + length - 1}" if length > 1 else str(i) for i in firsts]
        word = "layer" if layers == [str(up)] else "layers"
        lines.append(f"    {width},  # {word} {' and '.join(layers)}: {skeleton.shapes[up]}")
    return lines


def _sides(skeleton: UNet) -> list[str]:
    """The lines of a list of the sides of every level's maps."""
    nodes = range(skeleton.per_level, skeleton.layers + 1, skeleton.per_level)
    sides = (
        str(skeleton.shapes[node][1:]) for _, node in zip(skeleton.levels, nodes, strict=False)
    )
    return [*Listed("[", tuple(sides), "]").lines("SIDES = ")]


def _channels(skeleton: UNet) -> str:
    """What a layer's output has, by its width."""
    times = skeleton.kind.expansion
    return f"{times} * width" if times > 1 else "width"


def _built(planned: Plan, skeleton: UNet, borrowed: Borrowed) -> dict[str, Any]:
    """The classes of a module, and where it makes objects of them."""
    merges = merge_classes(planned.layers, borrowed)
    taken = {*borrowed.imports, *borrowed.definitions}
    if clash := sorted(taken & {*OWN, *MORE}):
        raise InputError(f"a merge's file has the name {clash[0]}, which the module has itself")
    classes, places = Classes(Names([*OWN, *MORE, *taken])), _places(planned, skeleton)
    _share_blocks(classes, planned, skeleton, places)
    stem: Uses = [] if isinstance(planned.stem, Identity) else [(planned.stem, {})]
    branches = {way: [*_branches(way, planned, skeleton, places)] for way in DIRECTIONS.values()}
    blocks = _blocks_after(planned, places)
    down, up = ([*_adapters(planned, skeleton, rising)] for rising in (False, True))
    chains: dict[str, tuple[Order, Uses, str]] = {
        "stem": ((), stem, "From pictures to h0"),
        "level": (BRANCH, branches["level"], "A block"),
        "down": (BRANCH, branches["down"], "The branch F of a layer that begins a lower level"),
        "up": (BRANCH, branches["up"], "The branch F of a layer that begins a higher level"),
        "up-block": (BRANCH, blocks, "What follows the merge of a layer that begins a higher level"),
        "adapter": (ADAPTER, down, "A: what fits a skip to a layer"),
        "adapter-up": (ADAPTER, up, "A: what fits a skip to a layer of a higher level"),
        "head": ((), [(planned.head, {})], "From the last layer to the map"),
    }  # fmt: skip
    for role, (order, uses, words) in chains.items():
        for part, place in uses:
            classes.collect(role, order, part, place, words)
    for merge in merges:
        merge.collect(classes, places)
    calls: dict[str, list[Call]] = {}
    for role in ("stem", "level", "down", "up", "up-block", "adapter", "adapter-up"):
        order, uses, _ = chains[role]  # classes are written in the order of their use
        calls[role] = [classes.call(role, order, alike) for alike in _alike(uses)]
    names, site = write_merges(merges, classes, places)
    head = classes.call("head", *chains["head"][:2])
    strengths = any(strength != 1 for layer in planned.layers for _, strength in layer.skips)
    needed = {v for made in calls.values() for call in made for v in call.variables} | {*site}
    return {
        "classes": classes.texts,
        "head": head.text(""),
        "cut": "sides" in needed,
        "reads": "inputs" in site or _read(calls),
        "strengths": strengths,
        **names_of(planned),
        "pattern": pattern_lines(planned, names, strengths, named=True) if merges else [],
        **_texts(calls, site, skeleton, bool(merges)),
    }


def _places(planned: Plan, skeleton: UNet) -> dict[int, Place]:
    """The numbers of every layer."""
    return {
        layer.index: {
            "inputs": planned.shapes[layer.index - 1][0],
            "width": skeleton.levels[skeleton.level(layer.index)],
            "channels": layer.shape[0],
            "stride": skeleton.site(layer.index, len(layer.skips)).stride,
            "sides": layer.shape[1:],
            "skips": len(layer.skips),
        }
        for layer in planned.layers
    }


def _branches(
    way: str, planned: Plan, skeleton: UNet, places: Mapping[int, Place]
) -> Iterator[tuple[Part, Place]]:
    """The branches that stay on a level, or begin a lower or a higher one."""
    for layer in planned.layers:
        steps = skeleton.level(layer.index) - skeleton.level(layer.index - 1)
        if DIRECTIONS[steps] == way:
            pooled = way == "down" and skeleton.down == "pool"
            place = places[layer.index]
            yield layer.branch, {**place, "stride": 1} if pooled else place


def _blocks_after(planned: Plan, places: Mapping[int, Place]) -> list[tuple[Part, Place]]:
    """What follows the merges of layers that begin a higher level."""
    return [
        (layer.after, {**place, "inputs": place["channels"]})
        for layer, place in zip(planned.layers, places.values(), strict=True)
        if isinstance(layer.after, Chain)
    ]


def _share_blocks(
    classes: Classes, planned: Plan, skeleton: UNet, places: Mapping[int, Place]
) -> None:
    """All blocks are of one class, or of two where they differ once they change the channels or sides."""
    blocks = [*_branches("level", planned, skeleton, places)]
    for chain, place in [
        *_branches("down", planned, skeleton, places), *_blocks_after(planned, places),
    ]:  # fmt: skip
        named = dict(chain) if isinstance(chain, Chain) else {}
        blocks.append((named.get("block", chain), place))
    changing, others = split(blocks, skeleton.block)
    for role, uses in ((f"{skeleton.block}-change", changing), (skeleton.block, others)):
        if uses:
            classes.share(role, BRANCH, uses[0][0])


def _adapters(planned: Plan, skeleton: UNet, rising: bool) -> Iterator[tuple[Part, Place]]:
    """The adapters to a higher level, or all others, with the numbers of the nodes they stand between."""
    for layer in planned.layers:
        for (source, _), part in zip(layer.skips, layer.adapters, strict=True):
            lower = skeleton.level(layer.index) - skeleton.level(source)
            if part is not None and (lower < 0) == rising:
                yield (
                    part,
                    {
                        "inputs": planned.shapes[source][0],
                        "channels": layer.shape[0],
                        "stride": 2 ** max(0, lower),
                        "factor": 2 ** max(0, -lower),
                        "sides": layer.shape[1:],
                    },
                )


def _alike(uses: Uses) -> list[Uses]:
    """Parts by what they are built of, those first that keep the channels."""
    found: dict[object, list[tuple[Part, Place]]] = {}
    for part, place in uses:
        found.setdefault(structure(part), []).append((part, place))
    return sorted(
        found.values(), key=lambda alike: alike[0][1].get("inputs") != alike[0][1].get("width")
    )


def _read(calls: Mapping[str, list[Call]]) -> bool:
    """Whether a branch needs the channels that its layer reads."""
    made = [calls[way] for way in DIRECTIONS.values()]
    return any(len(every) > 1 or "inputs" in every[0].variables for every in made)


def _texts(
    calls: Mapping[str, list[Call]], site: Order, skeleton: UNet, merged: bool
) -> dict[str, str]:
    """The lines that make a layer's parts."""
    channels = _channels(skeleton)
    made = {
        way: _either(calls[way], {"stride": stride})
        for way, stride in (("level", "1"), ("down", "2"), ("up", "1"))
    }
    after, own = calls["up-block"][0], {"inputs": channels, "stride": "1"}
    told = {"channels": channels, "stride": "2 if level > before else 1", "skips": "len(skips)"}
    indent = "        " if calls["adapter"] else "    "
    arguments = ["branch"]
    if merged:
        arguments += [f"merge({'site' if site else ''}) if merge else None", "skips"]
    if calls["adapter"] or calls["adapter-up"]:
        arguments.append("{d: adapter(nodes[-1 - d], nodes[-1]) for d in skips}")
    return {
        **made,
        "layer": called("            self.layers[str(index)] = Layer(", [*arguments, "after"]),
        "after": after.text("                after = ", own),
        "stem": "".join(call.text("") for call in calls["stem"]),
        "adapter": "".join(call.text("    return ", BETWEEN) for call in calls["adapter"]),
        "adapter_up": "".join(
            call.text(f"{indent}return ", BETWEEN) for call in calls["adapter-up"]
        ),
        "site": called("            site = Site(", [told.get(n, n) for n in site]) if site else "",
    }


def _either(calls: list[Call], own: Mapping[str, str]) -> str:
    """The lines that make a branch, which may be another one where channels change."""
    if len(calls) == 1:
        return calls[0].text("                branch = ", own)
    keeps, changes = (call.text("                    branch = ", own) for call in calls)
    test = "                if inputs == width:"
    return "\n".join([test, keeps, "                else:", changes])

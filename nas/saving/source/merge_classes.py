"""The classes of a network's merges, one for each merge whose parts are built alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas.architecture.merges import MERGES
from nas.architecture.plan import LayerPlan
from nas.saving.source.borrowed import Borrowed
from nas.saving.source.classes import Call, Classes, Order, Place, structure
from nas.saving.source.formulas import VARIABLES
from nas.saving.source.merges import MergeSource, merge_source
from nas.saving.source.text import check_name, class_text

MERGE: Order = ("channels", "inputs", "stride", "skips")


@dataclass(frozen=True)
class MergeClass:
    """A merge, in all layers in which its parts have one structure."""

    name: str
    source: MergeSource
    layers: list[LayerPlan]

    def collect(self, classes: Classes, places: Mapping[int, Place]) -> None:
        """Tells which parts will be asked for."""
        for layer in self.layers:
            for name, part in layer.learnt:
                check_name(f"merge {layer.merge!r}", name)
                classes.collect(name, MERGE, part, places[layer.index])

    def calls(self, classes: Classes, places: Mapping[int, Place]) -> dict[str, Call]:
        """What makes its parts, by name."""
        return {
            name: classes.call(
                name, MERGE, [(layer.learnt[i][1], places[layer.index]) for layer in self.layers]
            )
            for i, (name, _) in enumerate(self.layers[0].learnt)
        }

    def text(self, name: str, calls: Mapping[str, Call], site: Order) -> str:
        """The class of this name, whose constructor takes a Site where that has any numbers."""
        own = {variable: f"site.{variable}" for variable in VARIABLES}
        lines = [call.text(f"        self.{part} = ", own) for part, call in calls.items()]
        source, arguments = self.source, ["site: Site"] * bool(site)
        return class_text(
            name, "nn.Module", source.about, arguments, lines, source.constants, source.methods
        )


def merge_classes(layers: Sequence[LayerPlan], borrowed: Borrowed) -> list[MergeClass]:
    """All that layers need, in the order of their first layers; they share no layer.

    Raises:
        InputError: a merge of a user's own cannot be written as source.
    """
    found: dict[object, MergeClass] = {}
    for layer in layers:
        if layer.merge:
            key = layer.merge, tuple((name, structure(part)) for name, part in layer.learnt)
            if key not in found:
                names = [name for name, _ in layer.learnt]
                source = merge_source(layer.merge, MERGES[layer.merge], names, borrowed)
                found[key] = MergeClass(type(MERGES[layer.merge]).__name__, source, [])
            found[key].layers.append(layer)
    return list(found.values())


def site_text(site: Order) -> str:
    """The class of what merges know of their layer."""
    words = {
        "inputs": "channels that the layer reads",
        "width": "of the stage",
        "channels": "of the layer's output",
        "stride": "of the layer",
        "skips": "how many",
    }
    fields = "\n".join(f"    {name}: int  # {words[name]}" for name in site)
    return f'class Site(NamedTuple):\n    """Where a merge is placed."""\n\n{fields}'

"""What a user's own file imports, for tables that `--plugin` adds to the framework's.

    from nas.extend import Merge, parts, total

    class Half(Merge):
        def parts(self, site):
            return {"half": parts.Vector(1, 0.5)}

        def forward(self, learnt, branch, skips, previous):
            return learnt.half * branch + total(skips)

    MERGES = {"half": Half()}

A merge declares its learnt parts for a `Site`; a `Block` is a layer's branch, a `Stem` what comes
before the first layer, both made of `parts` and `map_parts`; data are `Raw` arrays, split by `make_data`.
"""

from nas.architecture import map_parts, parts
from nas.architecture.genome import Motif
from nas.architecture.merges import Merge, Site, channel_axis, excitation, per_channel, total
from nas.architecture.skeletons.blocks import Block, Stem
from nas.data.dataset import Data, Raw, make_data

__all__ = [
    "Block",
    "Data",
    "Merge",
    "Motif",
    "Raw",
    "Site",
    "Stem",
    "channel_axis",
    "excitation",
    "make_data",
    "map_parts",
    "parts",
    "per_channel",
    "total",
]

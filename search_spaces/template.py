"""A search space for a data set as a TOML file that explains itself, to be edited."""

from __future__ import annotations

import json

from nas.data.dataset import Data
from nas.data.description import sentences
from nas.data.fitting import check_task
from nas.tasks.table import TASKS
from search_spaces.named import MERGES

ENOUGH = 1000
"""Training images of a proxy; more make it slow."""
SMALL, LARGE = 20, 64
"""Sides in pixels below which pictures are not shrunk, and above which the stem shrinks them."""

TEXT = """\
# A search space for {name}. Use it with: nas search --space {file}
# A key in a line that begins with # is not set. nas spaces {file} shows every key as it is.
#
{told}

# A named set, a folder of pictures by class, or an .npz file; a path begins at this file's folder.
data = {data}

# What is fixed around a pattern.
[skeleton]
input_shape = [{shape}]  # channels, height, width; of pictures of different sizes, the square they become
classes = {classes}
stages = [  # runs of layers of one width; a stride of 2 halves the map
  {{ layers = 3, width = 16 }},
  {{ layers = 3, width = 32, stride = 2 }},
  {{ layers = 3, width = 64, stride = 2 }},
]
stem = "{stem}"  # 7x7 has stride 2 and a pooling, for large pictures
# block = "basic"
# norm = "batch"  # or "layer", or "none"
# adapter = "B"  # how a skip changes shape: B is a 1x1 convolution, A pads with zeros

# What patterns are made of.
[space]
distances = [1, 2, 3]  # how many layers back a skip may start
# sources = ["0"]  # and by name: 0 is the stem, m the mirrored node of a U-Net
merges = [{merges}]
strengths = [0.5, 1.0]  # a skip is multiplied with one of these

# The short training that stands for a long one, of every candidate.
[proxy]
epochs = 6
{images}
{resolution}
batch = {batch}
learning_rate = 0.05
# augment = "none"  # or "crop", or "crop-flip"

# The longer training of the finalists and the hand-made patterns.
[final]
epochs = 18
{images}
{resolution}
batch = {batch}
learning_rate = 0.05
"""


def template(data: Data, file: str) -> str:
    """The text of a TOML file that `load_space` reads.

    Args:
        file: its name, for the command in its first line.

    Raises:
        InputError: data without classes.
    """
    check_task(TASKS["classification"], data)
    side, train = min(data.shape[1:]), len(data.train)
    count = f"images = {ENOUGH}  # of {train}; without this line, all"
    shrink = f"resolution = {max(SMALL // 2, side // 2)}  # pictures are shrunk to this side"
    return TEXT.format(
        name=data.name,
        file=file,
        told="\n".join(f"# {line}" for line in sentences(data)),
        data=json.dumps(data.source if data.source else data.name, ensure_ascii=False),
        shape=", ".join(map(str, data.shape)),
        classes=len(data.classes),
        stem="7x7" if side > LARGE else "3x3",
        merges=", ".join(f'"{name}"' for name in MERGES),
        images=count if train > ENOUGH else f"# images = {train}  # all",
        resolution=shrink
        if SMALL <= side <= LARGE
        else "# resolution = 32  # shrinks the pictures",
        batch=32 if train < ENOUGH else 64,
    )

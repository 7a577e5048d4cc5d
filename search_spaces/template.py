"""A search space for a data set as a TOML file that explains itself, to be edited."""

from __future__ import annotations

import json
from typing import Any

from nas.data.dataset import Data
from nas.data.description import sentences
from nas.data.fitting import check_task
from nas.tasks.task import Outputs, Task
from search_spaces.named import MERGES

ENOUGH: dict[Outputs, int] = {"classes": 1000, "map": 1000, "symbols": 1600}
"""Training examples of a proxy; more make it slow."""
VALIDATED: dict[Outputs, int] = {"map": 500, "symbols": 400}
"""Validation examples of a proxy."""
MORE_EPOCHS = 10
"""How many times as often few examples are seen at most."""
FEW = 256
"""Training examples up to which batches are small, so that there are some."""
SMALL, LARGE = 20, 64
"""Sides in pixels below which pictures are not shrunk, and above which the stem shrinks them."""

HEAD = """\
# A search space for {name}. Use it with: nas search --space {file}
# A key in a line that begins with # is not set. nas spaces {file} shows every key as it is.
#
{told}

# A named set, a folder of pictures or of texts, an .npz or a .txt file; a path begins at this file's folder.
data = {data}

# What is fixed around a pattern.
[skeleton]
"""
CONVOLUTIONAL = """\
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
# sources = ["0"]  # and by name: 0 is the stem
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
TRANSFORMER = """\
family = "transformer"  # attention and MLP in turn, each a layer
input_shape = [{shape}]  # symbols of a sequence
classes = {classes}  # different symbols
blocks = 6  # of two layers each
width = 32
heads = 2
activation = "relu"  # or "gelu", which is slower here
# norm = "layer"  # or "rms", or "none"
# position = "pre"  # where norms are: before the branch, "post" or "sandwich"
# positions = "learned"  # or "rotary", or "none"

# What patterns are made of.
[space]
distances = [1, 2, 4]  # how many layers back a skip may start
# sources = ["0"]  # and by name: 0 is the embedding, m the mirrored node
merges = ["add", "scale", "gate"]
strengths = [0.5, 1.0]  # a skip is multiplied with one of these
period = 4  # a pattern is a motif of so many layers, which is tiled over the depth
learning_rates = [2e-3, 4e-3, 8e-3]  # every pattern has one of these
"""
UNET = """\
family = "unet"  # levels of half the sides each, down and up again
input_shape = [{shape}]  # channels, height, width; of pictures of different sizes, the square they become
classes = {classes}  # channels of the map that comes out
levels = [{levels}]  # widths, from the input's sides down
# per_level = 1  # layers of a level on each way
# block = "basic"
# norm = "batch"  # or "layer", or "none"
# up = "transposed"  # or "nearest", with a 3x3 convolution

# What patterns are made of.
[space]
distances = [1, 2]  # how many layers back a skip may start
sources = ["m"]  # and by name: m is the mirrored level's node, 0 the stem
merges = ["add", "scale", "concat"]
strengths = [0.5, 1.0]  # a skip is multiplied with one of these
learning_rates = [1e-3, 3e-3]  # every pattern has one of these
"""
TRAININGS = """
# The short training that stands for a long one, of every candidate.
[proxy]
epochs = {epochs}
{training}
# The longer training of the finalists and the hand-made patterns.
[final]
epochs = {more_epochs}
{training}"""
"""What follows in the files of both."""
TRAINING = """\
task = "{task}"
{images}
{validation}
{resolution}batch = {batch}
optimizer = "adamw"
schedule = "cosine"
clip = 1.0  # L2 norm of all gradients together
learning_rate = {rate}
warmup = 0.1
weight_decay = 0.1
"""
FAMILIES: dict[Outputs, str] = {
    "classes": CONVOLUTIONAL,
    "symbols": TRANSFORMER + TRAININGS,
    "map": UNET + TRAININGS,
}
"""The rest of a file by what a task's networks give."""


def template(data: Data, task: Task, file: str) -> str:
    """The text of a TOML file that `load_space` reads.

    Args:
        file: its name, for the command in its first line.

    Raises:
        InputError: data from which the task cannot be learned.
    """
    check_task(task, data)
    told = "\n".join(f"# {line}" for line in sentences(data, task))
    source = json.dumps(data.source or data.name, ensure_ascii=False)
    head = HEAD.format(name=data.name, file=file, told=told, data=source)
    values = {
        "shape": ", ".join(map(str, data.shape)),
        "classes": task.width(data.shape, len(data.classes)),
        "images": _images("images", len(data.train), ENOUGH[task.outputs]),
    }
    more = _of_classes(data) if task.outputs == "classes" else _of_others(data, task, values)
    return head + FAMILIES[task.outputs].format(**values, **more)


def _images(key: str, count: int, enough: int) -> str:
    if count > enough:
        return f"{key} = {enough}  # of {count}; without this line, all"
    return f"# {key} = {count}  # all"


def _of_classes(data: Data) -> dict[str, Any]:
    side = min(data.shape[1:])
    shrink = f"resolution = {max(SMALL // 2, side // 2)}  # pictures are shrunk to this side"
    return {
        "stem": "7x7" if side > LARGE else "3x3",
        "merges": ", ".join(f'"{name}"' for name in MERGES),
        "resolution": shrink
        if SMALL <= side <= LARGE
        else "# resolution = 32  # shrinks the pictures",
        "batch": 32 if len(data.train) < ENOUGH["classes"] else 64,
    }


def _of_others(data: Data, task: Task, values: dict[str, Any]) -> dict[str, Any]:
    """What a text or a map needs: AdamW, and more epochs of few examples."""
    text = task.outputs == "symbols"
    large = not text and min(data.shape[1:]) > LARGE
    shrink = f"resolution = {LARGE}  # pictures are shrunk to this side\n"
    training = TRAINING.format(
        task=task.name,
        images=values["images"],
        validation=_images("validation_images", len(data.validation), VALIDATED[task.outputs]),
        resolution=shrink if large and not task.labels else "",
        batch=32 if len(data.train) > FEW else 8,
        rate="4e-3" if text else "3e-3",
    )
    if text:
        training += "calibration_images = 0  # there is no batch norm\n"
    repeated = min(MORE_EPOCHS, -(-ENOUGH[task.outputs] // len(data.train)))
    epochs = repeated if text else 2 * repeated
    levels = "8, 16, 32, 64" if large else "8, 16, 32"
    return {"training": training, "epochs": epochs, "more_epochs": 2 * epochs, "levels": levels}

"""Weights of torchvision's residual networks in compiled genomes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING

from nas.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from nas.network.network import Network


def load_torchvision(network: Network, state_dict: Mapping[str, Tensor]) -> None:
    """Copies a torchvision ResNet's state dict into the compiled genome, in place.

    Works for `torchvision/resnet-50`, -101 and -152, which then give torchvision's logits.

    Raises:
        InputError: another architecture: names or shapes that do not match.
    """
    layers = range(1, network.skeleton.layers + 1)
    stages = [len(list(stage)) for _, stage in groupby(layers, network.skeleton.stage)]
    renamed = {_rename(name, stages): value for name, value in state_dict.items()}
    own = network.state_dict()
    missing = sorted(set(own) - set(renamed))
    extra = sorted(set(renamed) - set(own))
    if missing or extra:
        raise InputError(
            f"not the weights of this network: missing {missing[:3]}, unknown {extra[:3]}"
        )
    for name, value in renamed.items():
        if own[name].shape != value.shape:
            raise InputError(
                f"not the weights of this network: {name} has shape {tuple(value.shape)}, "
                f"here {tuple(own[name].shape)}"
            )
    network.load_state_dict(renamed)


def _rename(name: str, stages: list[int]) -> str:
    """`layer2.0.downsample.1.weight` -> `layers.4.adapters.1.norm.weight`."""
    match = re.fullmatch(r"layer(\d)\.(\d+)\.(.+)", name)
    if match:
        layer = sum(stages[: int(match[1]) - 1]) + int(match[2]) + 1
        rest = re.sub(r"^bn(\d)", r"branch.norm\1", match[3])
        rest = re.sub(r"^conv(\d)", r"branch.conv\1", rest)
        rest = rest.replace("downsample.0", "adapters.1.conv")
        rest = rest.replace("downsample.1", "adapters.1.norm")
        return f"layers.{layer}.{rest}"
    name = re.sub(r"^conv1\.", "stem.conv.", name)
    name = re.sub(r"^bn1\.", "stem.norm.", name)
    return re.sub(r"^fc\.", "head.fc.", name)

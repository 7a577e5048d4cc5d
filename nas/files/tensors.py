"""Tensors and JSON in safetensors files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from nas.errors import InputError, brief
from nas.files.limits import check_bytes


def read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """A file's header and tensors.

    Raises:
        InputError: it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        check_bytes("the file", path.stat().st_size)
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            # copies, for sums over tensors that lie aligned in memory, as a network's own do
            return file.metadata() or {}, {name: file.get_tensor(name).clone() for name in names}
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (OSError, SafetensorError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from None


def check_weights(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Raises InputError unless names, shapes and kinds of numbers are the network's."""
    wanted = network.state_dict()
    problems = [f"{brief(name)[1:-1]} is missing" for name in wanted if name not in tensors]
    problems += [
        f"{brief(name)[1:-1]} is not of this network" for name in tensors if name not in wanted
    ]
    for name in (name for name in wanted if name in tensors):
        expected, found = wanted[name], tensors[name]
        if expected.shape != found.shape:
            problems.append(f"{name} has shape {(*found.shape,)}, not {(*expected.shape,)}")
        elif (expected.is_floating_point(), False) != (
            found.is_floating_point(),
            found.is_complex(),
        ):
            problems.append(f"{name} is {found.dtype}, not {expected.dtype}")
    if problems:
        more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise InputError(f"the weights do not fit the genome: {'; '.join(problems[:3])}{more}")

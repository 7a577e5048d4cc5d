"""Tensors and JSON in safetensors files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import InputError, brief
from nas.files.limits import check_bytes
from nas.files.safe import replacing

if TYPE_CHECKING:
    from torch import Tensor, nn


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], key: str, document: Any, mark: str = ""
) -> None:
    """Replaces a file by these tensors and a document.

    Args:
        key: of the document in the header; one key, so that equal contents are equal files.
        document: JSON values.
        mark: keeps writers of the same file apart.

    Raises:
        InputError: it cannot be written.
    """
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = save(plain, {key: json.dumps(document)})
    with replacing(path, mark) as temporary:
        temporary.write_bytes(content)


def read_tensors(path: Path, key: str) -> tuple[Any, dict[str, Tensor]]:
    """The document under this key of the header, and the tensors.

    Without the key, or where it holds no JSON, the document is None.

    Raises:
        InputError: the file cannot be read.
    """
    header, tensors = _read(path)
    try:
        return json.loads(header[key]), tensors
    except (KeyError, ValueError, RecursionError):
        return None, tensors


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
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

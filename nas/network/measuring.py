"""The shapes and costs of a model's pieces, by one forward pass of each without its values."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from nas.architecture.parts import Source
from nas.architecture.skeletons.wrapped import Cut
from nas.errors import InputError, one_line
from nas.network.cutting import pieces

BATCH = 2
"""Of the inputs that pieces are measured with."""


def measure(source: Source) -> tuple[tuple[Cut, ...], str]:
    """Every piece of a model, and the hash of the weights that no seed changes.

    Raises:
        InputError: the model cannot be made, cut or run.
    """
    return measured(source), weights_of(source)


def measured(source: Source) -> tuple[Cut, ...]:
    """Every piece of a model, run on the meta device, or on the CPU where it cannot run there.

    Raises:
        InputError: the model cannot be made, cut or run.
    """
    found = pieces(source, 0)
    try:
        return _measured(found, source, "meta")
    except InputError:
        raise
    except Exception:  # what has no meta kernel, or looks at values
        return _measured(found, source, "cpu")


def _measured(found: Sequence[nn.Module], source: Source, device: str) -> tuple[Cut, ...]:
    x, cuts = torch.zeros(BATCH, *source.input_shape, device=device), []
    for index, piece in enumerate(found):
        where = f"model {source.model!r}, {_name(index, len(found))}"
        version = x._version
        try:
            out, macs, kept = _run(deepcopy(piece).to(device).eval(), x)
        except Exception as error:
            if device == "meta":
                raise
            said = one_line(f"{type(error).__name__}: {error}")
            raise InputError(f"{where} fails on an input of shape {_text(x)}: {said}") from error
        if not isinstance(out, torch.Tensor) or out.ndim < 2 or len(out) != BATCH:
            raise InputError(f"{where} gives a {type(out).__name__}; one tensor (N, …) is needed")
        params = sum(parameter.numel() for parameter in piece.parameters())
        cuts.append(Cut(tuple(out.shape[1:]), params, macs, kept, x._version != version))
        x = out.detach()
    return tuple(cuts)


def _run(piece: nn.Module, x: Tensor) -> tuple[Tensor, int, int]:
    """The output, and for one input the MACs and the values saved for the backward pass."""
    own = {id(parameter) for parameter in piece.parameters()}
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if id(tensor) not in own:
            saved[id(tensor)] = tensor
        return tensor

    counter = FlopCounterMode(display=False)
    with torch.enable_grad(), saved_tensors_hooks(keep, lambda tensor: tensor), counter:
        out = piece(x)
    kept = sum(tensor.numel() for tensor in saved.values()) // BATCH
    return out, counter.get_total_flops() // (2 * BATCH), kept


def weights_of(source: Source) -> str:
    """Hash of the tensors that are the same whatever the seed; empty where all are drawn or constant."""
    content, trained = hashlib.blake2b(digest_size=8), False
    for one, other in zip(pieces(source, 0), pieces(source, 1), strict=True):
        learnt = dict(one.named_parameters())
        pairs = zip(one.state_dict().items(), other.state_dict().values(), strict=True)
        for (name, tensor), again in pairs:
            if torch.equal(tensor, again):
                trained |= name in learnt and bool((tensor != tensor.flatten()[0]).any())
                raw = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8)
                content.update(name.encode() + raw.numpy().tobytes())
    return content.hexdigest() if trained else ""


def _name(index: int, pieces: int) -> str:
    if index in (0, pieces - 1):
        return "what follows the blocks" if index else "what stands before the blocks"
    return f"block {index}"


def _text(x: Tensor) -> str:
    return "×".join(map(str, x.shape))

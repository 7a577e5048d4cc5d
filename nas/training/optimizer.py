"""The optimizers over flat parameters, and their learning rate.

They are PyTorch's fused ones, or those with a kernel an operation where the device has no fused one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import cos, pi

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from nas.devices.device import say_once
from nas.network.parameters import Flat
from nas.proxy import Proxy

BETA2 = 0.95
"""Second beta of AdamW, of language models since GPT-3 (Brown et al. 2020, appendix B)."""
EPSILON = 1e-8
_UNFUSED = set[str]()
"""Types of devices that have refused a fused optimizer."""


def update(flats: Sequence[Flat], proxy: Proxy, rate: Tensor) -> None:
    """A step of the optimizer in one kernel a decay.

    Args:
        rate: the learning rate, a number on the flats' device.
    """
    by_decay: dict[float, list[Flat]] = {}
    for flat in flats:
        by_decay.setdefault(flat.decay, []).append(flat)
    kind = rate.device.type
    for decay, some in by_decay.items():
        step = _adamw if proxy.optimizer == "adamw" else _sgd
        if kind not in _UNFUSED:
            try:
                step(some, proxy, rate, decay, fused=True)
                continue
            except RuntimeError as error:
                if "fused" not in str(error):
                    raise
                say_once(f"no fused optimizer on {kind}: {str(error).splitlines()[0]}")
                _UNFUSED.add(kind)
        step(some, proxy, rate, decay, fused=False)
    for flat in flats:
        flat.round()


def _sgd(flats: Sequence[Flat], proxy: Proxy, rate: Tensor, decay: float, fused: bool) -> None:
    """SGD with Nesterov momentum (Sutskever et al. 2013)."""
    sgd(
        [f.master for f in flats],
        [f.gradient for f in flats],
        [f.momentum if proxy.momentum else None for f in flats],
        fused=fused,
        foreach=False,
        weight_decay=decay,
        momentum=proxy.momentum,
        lr=rate,  # type: ignore[arg-type]
        dampening=0.0,
        nesterov=proxy.momentum > 0,
        maximize=False,
    )


def _adamw(flats: Sequence[Flat], proxy: Proxy, rate: Tensor, decay: float, fused: bool) -> None:
    """AdamW (Loshchilov & Hutter 2019)."""
    adamw(
        [f.master for f in flats],
        [f.gradient for f in flats],
        [f.momentum for f in flats],
        [f.variance for f in flats],
        [],
        [f.steps for f in flats],
        fused=fused,
        foreach=False,
        amsgrad=False,
        beta1=proxy.momentum,
        beta2=BETA2,
        lr=rate,
        weight_decay=decay,
        eps=EPSILON,
        maximize=False,
    )


def clip(flats: Iterable[Flat], norm: float) -> None:
    """Scales the gradients of one network down to this L2 norm of all together (Pascanu et al. 2013)."""
    gradients = [flat.gradient for flat in flats]
    whole = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
    factor = (norm / (whole + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor)


def learning_rate(proxy: Proxy, step: int, steps: int) -> float:
    """Linear warm-up over the share `warmup` of all steps, then linear or cosine decay to 0."""
    rising = proxy.warmup * steps
    if step < rising:
        return proxy.learning_rate * (step + 1) / (rising + 1)
    left = (steps - step) / max(1.0, steps - rising)
    if proxy.schedule == "cosine":
        return proxy.learning_rate * (1 - cos(pi * left)) / 2
    return proxy.learning_rate * (steps - step) / max(1.0, steps - rising)

"""The optimizer: SGD with Nesterov momentum over flat parameters, and its learning rate."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor
from torch.optim.sgd import sgd

from nas.network.parameters import Flat
from nas.proxy import Proxy


def update(flats: Iterable[Flat], proxy: Proxy, rate: Tensor) -> None:
    """A step of SGD with Nesterov momentum (Sutskever et al. 2013) in one kernel a decay.

    Args:
        rate: the learning rate, a number on the flats' device.
    """
    by_decay: dict[float, list[Flat]] = {}
    for flat in flats:
        by_decay.setdefault(flat.decay, []).append(flat)
    for decay, some in by_decay.items():
        sgd(
            [f.master for f in some],
            [f.gradient for f in some],
            [f.momentum if proxy.momentum else None for f in some],
            fused=True,
            weight_decay=decay,
            momentum=proxy.momentum,
            lr=rate,  # type: ignore[arg-type]
            dampening=0.0,
            nesterov=proxy.momentum > 0,
            maximize=False,
        )
    for flat in flats:
        flat.round()


def learning_rate(proxy: Proxy, step: int, steps: int) -> float:
    """Linear warm-up over the share `warmup` of all steps, then linear decay to 0."""
    rising = proxy.warmup * steps
    if step < rising:
        return proxy.learning_rate * (step + 1) / (rising + 1)
    return proxy.learning_rate * (steps - step) / max(1.0, steps - rising)

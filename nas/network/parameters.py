"""A network's parameters in few long buffers: an update is one kernel, whatever the pattern.

In bf16 the network computes with rounded copies of its weights, and the update changes the fp32
originals (master weights, Micikevicius et al. 2018); norms stay in fp32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nas.network.token_modules import Embedding
from nas.proxy import Proxy

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
NORMS = (nn.BatchNorm2d, nn.LayerNorm, nn.RMSNorm)
"""What stays in fp32, and whose factors are not decayed."""


def is_norm(module: nn.Module) -> bool:
    """Whether a module normalises."""
    return isinstance(module, NORMS)


class Flat:
    """One kind of a network's parameters: values, gradients, the optimizer's moments, end to end."""

    def __init__(
        self,
        named: Mapping[str, nn.Parameter],
        dtype: torch.dtype,
        decay: float,
        adamw: bool = False,
    ) -> None:
        self.names, self.parameters = list(named), list(named.values())
        self.decay = decay
        size = sum(p.numel() for p in self.parameters)
        device = self.parameters[0].device
        self.master = torch.empty(size, device=device)
        self.gradient = torch.zeros(size, device=device)
        self.momentum = torch.zeros(size, device=device)
        self.variance = torch.zeros(size if adamw else 0, device=device)
        """Mean square of the gradients, of AdamW alone."""
        self.steps = torch.zeros((), device=device)
        """That AdamW has made."""
        for view, parameter in zip(self.views(self.master), self.parameters, strict=True):
            view.copy_(parameter.data)
        self.computed = self.master if dtype == torch.float32 else self.master.to(dtype)
        self.bind()

    def views(self, buffer: Tensor) -> Iterator[Tensor]:
        """The parameters' places in a buffer, (K, C, H, W) ones in channels_last."""
        pieces = buffer.split([p.numel() for p in self.parameters])
        for piece, parameter in zip(pieces, self.parameters, strict=True):
            if parameter.ndim == 4:
                k, c, h, w = parameter.shape
                yield piece.view(k, h, w, c).permute(0, 3, 1, 2)
            else:
                yield piece.view(parameter.shape)

    def take(self, gradients: Sequence[Tensor]) -> None:
        """Puts the parameters' gradients end to end."""
        pieces = [(g.permute(0, 2, 3, 1) if g.ndim == 4 else g).reshape(-1) for g in gradients]
        self.gradient.copy_(torch.cat(pieces))

    def round(self) -> None:
        """Renews what the network computes with after an update."""
        if self.computed is not self.master:
            self.computed.copy_(self.master)

    def bind(self) -> None:
        """Lets the network compute with the buffer of its precision."""
        self._point(self.computed)

    def release(self) -> None:
        """Gives the network its fp32 parameters back."""
        self._point(self.master)

    def _point(self, buffer: Tensor) -> None:
        for view, parameter in zip(self.views(buffer), self.parameters, strict=True):
            parameter.data = view


def flatten(network: nn.Module, proxy: Proxy) -> list[Flat]:
    """Binds a network's parameters to buffers: weights (decayed), other vectors, norms.

    Embeddings, positions and class tokens are not decayed: those of minGPT and timm are not either. What
    an own model has frozen is left as it is.
    """
    norms = {
        f"{name}.{part}"
        for name, module in network.named_modules()
        if is_norm(module)
        for part in ("weight", "bias")
    }
    named = {n: p for n, p in network.named_parameters() if p.requires_grad}
    embedded = {id(m.weight) for m in network.modules() if isinstance(m, Embedding)}
    decayed = {n for n, p in named.items() if p.ndim > 1 and id(p) not in embedded}
    kinds = (
        ({n: named[n] for n in named if n in decayed}, DTYPES[proxy.precision], proxy.weight_decay),
        ({n: p for n, p in named.items() if n not in decayed | norms}, DTYPES[proxy.precision], 0.0),
        ({n: p for n, p in named.items() if n in norms - decayed}, torch.float32, 0.0),
    )  # fmt: skip
    adamw = proxy.optimizer == "adamw"
    return [
        Flat(parameters, dtype, decay, adamw) for parameters, dtype, decay in kinds if parameters
    ]


@contextmanager
def in_precision(network: nn.Module, proxy: Proxy) -> Iterator[torch.dtype]:
    """Inside, a network computes in the proxy's precision; its norms stay in fp32.

    A network that is being trained does so already.
    """
    dtype = DTYPES[proxy.precision]
    norms = {id(p) for m in network.modules() if is_norm(m) for p in m.parameters()}
    changed = [(p, p.data) for p in network.parameters() if p.dtype != dtype and id(p) not in norms]
    for parameter, _ in changed:
        parameter.data = parameter.data.to(dtype)
    try:
        yield dtype
    finally:
        for parameter, before in changed:
            parameter.data = before

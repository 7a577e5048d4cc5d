"""Modules of the parts in `nas.architecture.token_parts`. Tokens are (N, T, D)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BASE = 10_000.0
"""Of rotary angles (Su et al. 2021, section 3.2.2)."""


class LayerNorm(nn.LayerNorm):
    """Layer norm that computes in the format of its weights."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(self.weight.dtype)).to(x.dtype)


class RmsNorm(nn.RMSNorm):
    """Root mean square norm that computes in the format of its weights."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(self.weight.dtype)).to(x.dtype)


class Attend(nn.Module):
    """Attention of queries, keys and values (N, T, 3·D), heads side by side in each: (N, T, D)."""

    def __init__(self, heads: int, causal: bool, rotary: bool) -> None:
        super().__init__()
        self.heads, self.causal, self.rotary = heads, causal, rotary

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = x.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (N, heads, T, d)
        if self.rotary:
            q, k = rotated(q), rotated(k)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return out.transpose(1, 2).flatten(2)

    def extra_repr(self) -> str:
        return f"heads={self.heads}, causal={self.causal}, rotary={self.rotary}"


def rotated(x: Tensor) -> Tensor:
    """(…, T, d): the pair of values j and j + d/2 turned by t / BASE^(2j/d) at position t."""
    positions, half = x.shape[-2], x.shape[-1] // 2
    steps = torch.arange(half, device=x.device, dtype=torch.float32) / half
    times = torch.arange(positions, device=x.device, dtype=torch.float32)
    angles = times[:, None] * BASE**-steps
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


class Patches(nn.Conv2d):
    """Squares of pictures (N, C, H, W) as tokens; weights are left to `initialise`."""

    def __init__(self, channels: int, side: int, features: int, bias: bool) -> None:
        super().__init__(channels, features, side, side, bias=bias)

    def reset_parameters(self) -> None: ...

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).flatten(2).transpose(1, 2)


class Embedding(nn.Embedding):
    """A vector for each symbol, of any type of number (N, T); vectors are left to `initialise`."""

    def reset_parameters(self) -> None: ...

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.long())


class Positions(Embedding):
    """Adds a vector at every position."""

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight


class ClassToken(Embedding):
    """Puts one token before all others."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.weight.expand(x.shape[0], 1, -1), x], 1)


class TokenPool(nn.Module):
    """The first token, or the mean of all: (N, D)."""

    def __init__(self, pooling: str) -> None:
        super().__init__()
        self.pooling = pooling

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0] if self.pooling == "token" else x.mean(1)

    def extra_repr(self) -> str:
        return self.pooling

"""How parts of tokens are written, and the table of all parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nas.architecture import parts, token_parts
from nas.saving.source.parts import WRITERS as OTHERS
from nas.saving.source.parts import Argument, Written

ATTEND = '''
class Attend(nn.Module):
    """Attention of (N, T, 3·D), which are queries, keys and values of all heads."""

    def __init__(self, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = x.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return x.transpose(1, 2).flatten(2)
'''
ROTARY = '''
class Rotary(nn.Module):
    """Attention of (N, T, 3·D), whose queries and keys are turned by their position."""

    def __init__(self, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal

    def turned(self, x: Tensor) -> Tensor:
        """Values j and j + d/2 are turned by t / 10000^(2j/d) at position t."""
        a, b = x.chunk(2, -1)
        half = a.shape[-1]
        steps = 10000.0 ** -(torch.arange(half, device=x.device) / half)
        angles = torch.arange(x.shape[-2], device=x.device)[:, None] * steps
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = x.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = self.turned(q), self.turned(k)
        x = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return x.transpose(1, 2).flatten(2)
'''
PATCHES = '''
class Patches(nn.Conv2d):
    """Squares of pictures as tokens (N, T, D)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).flatten(2).transpose(1, 2)
'''
TOKEN = '''
class ClassToken(nn.Embedding):
    """Puts one learnt token before all others."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.weight.expand(x.shape[0], 1, -1), x], 1)
'''
POSITIONS = '''
class Positions(nn.Embedding):
    """Adds a learnt vector at every position."""

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight
'''
FIRST = '''
class First(nn.Module):
    """The first token."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]
'''
MEAN = '''
class Mean(nn.Module):
    """The mean of all tokens."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)
'''


def _project(part: parts.Project) -> Written:
    sizes = Argument(part.inputs[-1], size=True), Argument(part.features, size=True)
    return Written("nn.Linear({})", (*sizes, Argument(part.bias, "bias", True)), "linear layer")


def _layer_norm(part: token_parts.LayerNorm) -> Written:
    more = Argument(part.epsilon, "eps", 1e-5), Argument(part.bias, "bias", True)
    return Written("nn.LayerNorm({})", (Argument(part.shape[-1], size=True), *more), "norm")


def _rms_norm(part: token_parts.RmsNorm) -> Written:
    sizes = Argument(part.shape[-1], size=True), Argument(part.epsilon, "eps")
    return Written("nn.RMSNorm({})", sizes, "norm")


def _tanh_gelu(part: token_parts.TanhGelu) -> Written:
    return Written("nn.GELU({})", (Argument("tanh"),), "GELU")


def _attend(part: token_parts.Attend) -> Written:
    name, helper = ("Rotary", ROTARY) if part.rotary else ("Attend", ATTEND)
    arguments = Argument(part.heads), Argument(part.causal)
    return Written(f"{name}({{}})", arguments, "attention", helper=helper.strip())


def _embedding(part: token_parts.Embedding) -> Written:
    sizes = Argument(part.symbols), Argument(part.features, size=True)
    return Written("nn.Embedding({})", sizes, "embedding")


def _patches(part: token_parts.Patches) -> Written:
    arguments = (
        Argument(part.inputs[0], size=True),
        Argument(part.features, size=True),
        Argument(part.side),
        Argument(part.side),
        Argument(part.bias, "bias", True),
    )
    return Written("Patches({})", arguments, "patches", helper=PATCHES.strip())


def _class_token(part: token_parts.ClassToken) -> Written:
    sizes = Argument(1), Argument(part.shape[1], size=True)
    return Written("ClassToken({})", sizes, "class token", helper=TOKEN.strip())


def _positions(part: token_parts.Positions) -> Written:
    sizes = Argument(part.shape[0]), Argument(part.shape[1], size=True)
    return Written("Positions({})", sizes, "positions", helper=POSITIONS.strip())


def _pool(part: token_parts.TokenPool) -> Written:
    name, helper = ("First", FIRST) if part.pooling == "token" else ("Mean", MEAN)
    words = "first token" if part.pooling == "token" else "mean of all tokens"
    return Written(f"{name}({{}})", (), words, helper=helper.strip())


WRITERS: dict[type, Callable[[Any], Written]] = {
    **OTHERS,
    parts.Project: _project,
    token_parts.LayerNorm: _layer_norm,
    token_parts.RmsNorm: _rms_norm,
    token_parts.TanhGelu: _tanh_gelu,
    token_parts.Attend: _attend,
    token_parts.Embedding: _embedding,
    token_parts.Patches: _patches,
    token_parts.ClassToken: _class_token,
    token_parts.Positions: _positions,
    token_parts.TokenPool: _pool,
}
"""Of every part but `Chain`, which becomes a class."""

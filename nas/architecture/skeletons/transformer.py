"""The Transformer (Vaswani et al. 2017): attention and MLP in turn, each a layer of the genome."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import inf, nextafter
from typing import ClassVar, Literal

from nas.architecture.merges import MERGES, Site
from nas.architecture.notation import MAX_LAYERS
from nas.architecture.parts import Chain, Gelu, Norm, Part, Project, Relu, Shape
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.architecture.token_parts import (
    Attend,
    ClassToken,
    Embedding,
    LayerNorm,
    Patches,
    Positions,
    RmsNorm,
    TanhGelu,
    TokenPool,
)
from nas.errors import InputError, brief, unknown
from nas.tasks.task import Outputs


@dataclass(frozen=True)
class Transformer(AnySkeleton):
    """So many blocks of two layers: the odd ones attend to other tokens, the even ones are MLPs.

    `add(1)` in every layer is the standard network. Pictures are cut into patches, which begin as
    tokens, and get one class (ViT, Dosovitskiy et al. 2021); of a text every symbol is a token, and the
    logits are those of the symbol that follows it (GPT-2, Radford et al. 2019, but with weights of their
    own in the last layer, which GPT-2 shares with its embedding).

    Raises:
        InputError: an unknown name, a number out of range, or options that do not fit each other.
    """

    any_size: ClassVar = False
    input_shape: Shape
    """(C, H, W) of pictures, or (T,) of texts."""
    classes: int
    """Of pictures, or the different symbols of texts."""
    blocks: int
    """Of two layers each."""
    width: int
    """Values of a token, D."""
    heads: int
    mlp_ratio: float = 4.0
    """Width of the MLP's hidden layer, in widths."""
    patch: int = 4
    """Side of a patch in pixels; texts have none."""
    pooling: Literal["token", "mean"] = "token"
    """What a picture's class is read from: a token of its own, or the mean of all tokens."""
    norm: Literal["layer", "rms", "none"] = "layer"
    position: Literal["pre", "post", "sandwich"] = "pre"
    """Where norms are: before the branch, after the merge, or before the branch and at its end."""
    causal: bool | None = None
    """Whether a token attends to those before it alone; None is yes for texts and no for pictures."""
    positions: Literal["learned", "rotary", "none"] = "learned"
    activation: Literal["gelu", "gelu-tanh", "relu"] = "gelu"
    bias: bool = True
    """Whether linear layers and layer norms have one; a class's logits always do, a symbol's never."""
    epsilon: float = 1e-5
    """What norms add to a variance: 1e-5 in GPT-2, 1e-6 in ViT."""
    init: Literal["normal", "pytorch"] = "normal"
    """Weights with deviation 0.02 and biases 0, or PyTorch's defaults; embeddings are always normal."""
    family: Literal["transformer"] = "transformer"

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_shape", tuple(self.input_shape))
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise unknown(name, getattr(self, name), allowed, place="skeleton")
        self._check_numbers()
        if self.width % self.heads:
            raise InputError(
                f"skeleton: width {self.width} must be a multiple of its {self.heads} heads"
            )
        if self.positions == "rotary" and self.width // self.heads % 2:
            raise InputError(
                f"skeleton: rotary positions need heads of an even width, not {self.width // self.heads}"
            )
        if self.text and self.causal is False:
            raise InputError("skeleton: what follows a symbol is learned: causal must be true")
        if self._class_token and self.causal:
            raise InputError(
                "skeleton: the class token is the first and sees no other where attention is causal: "
                "pooling must be 'mean'"
            )

    def _check_numbers(self) -> None:
        if len(self.input_shape) not in (1, 3):
            raise InputError(
                f"skeleton: input_shape is (C, H, W) of pictures or (T,) of texts, "
                f"not {brief(self.input_shape)}"
            )
        for name, most in _MOST.items():
            sizes = self.input_shape if name == "input_shape" else (getattr(self, name),)
            least = 2 if name == "classes" else 1
            for size in sizes:
                if not least <= size <= most:
                    raise InputError(
                        f"skeleton: {name} is {brief(size)}; it must be from {least} to {most}"
                    )
        narrowest, widest = 1 / self.width, _MOST["width"] / self.width
        if not narrowest <= self.mlp_ratio <= widest:
            raise InputError(
                f"skeleton: mlp_ratio is {self.mlp_ratio}; it must be from {narrowest:g} to {widest:g}, for 1 to "
                f"{_MOST['width']} hidden values"
            )
        if not 0 < self.epsilon < 1:
            raise InputError(f"skeleton: epsilon is {self.epsilon}; it must be between 0 and 1")
        if not self.text and any(side % self.patch for side in self.input_shape[1:]):
            height, width = self.input_shape[1:]
            raise InputError(
                f"pictures of {height}×{width} cannot be cut into patches of side {self.patch}: "
                "it must divide both"
            )

    @property
    def text(self) -> bool:
        """Whether inputs are symbols (T,); otherwise they are pictures."""
        return len(self.input_shape) == 1

    @property
    def _class_token(self) -> bool:
        return not self.text and self.pooling == "token"

    @property
    def _causal(self) -> bool:
        return self.text if self.causal is None else self.causal

    @property
    def outputs(self) -> Outputs:
        return "symbols" if self.text else "classes"

    @property
    def hidden(self) -> int:
        """Values between the two linear layers of an MLP."""
        return max(1, int(self.mlp_ratio * self.width))

    @property
    def layers(self) -> int:
        return 2 * self.blocks

    @cached_property
    def tokens(self) -> Shape:
        """(T, D): the shape of every node."""
        return self.stem_part.shape

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        return (self.tokens,) * (1 + self.layers)

    def norm_of(self, shape: Shape) -> Norm | None:
        """The norm for tokens (T, D) or features (D,); None where the skeleton has none."""
        if self.norm == "none":
            return None
        if self.norm == "rms":
            return RmsNorm(shape, self.epsilon)
        return LayerNorm(shape, self.epsilon, self.bias)

    @property
    def stem_part(self) -> Chain:
        first: Part
        if self.text:
            first = Embedding(self.input_shape, self.classes, self.width)
        else:
            first = Patches(self.input_shape, self.patch, self.width, self.bias)
        token = ClassToken(first.shape) if self._class_token else None
        shape = (token or first).shape
        positions = Positions(shape) if self.positions == "learned" else None
        name = "embedding" if self.text else "patches"
        return Chain.of(**{name: first, "token": token, "positions": positions})

    @property
    def head_part(self) -> Chain:
        tokens, normed = self.tokens, self.position != "post"
        if self.text:
            logits = Project(tokens, self.classes, bias=False)
            return Chain.of(norm=self.norm_of(tokens) if normed else None, fc=logits)
        pool = TokenPool(tokens, self.pooling)
        read = tokens if self.pooling == "token" else pool.shape
        norm = self.norm_of(read) if normed else None
        first = {"norm": norm, "pool": pool} if read == tokens else {"pool": pool, "norm": norm}
        return Chain.of(**first, fc=Project(pool.shape, self.classes))

    def branch(self, index: int) -> Chain:
        """Attention where the index is odd, otherwise the MLP."""
        tokens, width = self.tokens, self.width
        before = None if self.position == "post" else self.norm_of(tokens)
        after = self.norm_of(tokens) if self.position == "sandwich" else None
        if index % 2:
            qkv = Project(tokens, 3 * width, self.bias)
            attend = Attend(qkv.shape, self.heads, self._causal, self.positions == "rotary")
            project = Project(attend.shape, width, self.bias)
            return Chain.of(norm=before, qkv=qkv, attend=attend, project=project, norm2=after)
        expand = Project(tokens, self.hidden, self.bias)
        activation = _ACTIVATIONS[self.activation](expand.shape)
        project = Project(expand.shape, width, self.bias)
        return Chain.of(
            norm=before, expand=expand, activation=activation, project=project, norm2=after
        )

    def after(self, index: int) -> Part | None:
        return self.norm_of(self.tokens) if self.position == "post" else None

    def adapter_part(self, source: int, target: int) -> None:
        """None: all nodes have one shape."""

    def site(self, index: int, skips: int) -> Site:
        again = partial(self.branch, index)
        return Site(self.tokens, self.tokens, 1, skips, self.bias, self.norm_of, again)

    def lacks(self, merge: str, index: int) -> str:
        if MERGES[merge].any_shape:
            return ""
        able = [name for name, one in MERGES.items() if one.any_shape]
        return f"merge {merge!r} is for maps (C, H, W), not for tokens; allowed: {', '.join(able)}"

    def mirror(self, index: int) -> int | None:
        """Node 2L - index in the second half of L blocks, and None in the first.

        In U-ViT (Bao et al. 2023) block B reads the output of block L + 1 - B beside that of block B - 1.
        The latter is node 2B - 2, so `m` is in the merge of that layer, and names node 2L + 2 - 2B.
        """
        return 2 * self.blocks - index if index > self.blocks else None

    def layer_name(self, index: int) -> str:
        return "attention" if index % 2 else "MLP"

    def for_data(self, input_shape: Shape, classes: int) -> Transformer:
        """This skeleton with another input shape and number of classes or symbols."""
        return replace(self, input_shape=input_shape, classes=classes)

    def deepened(self, factor: int) -> Transformer:
        """This skeleton with so many times as many blocks."""
        return replace(self, blocks=factor * self.blocks)

    @property
    def widenable(self) -> tuple[int, ...]:
        """Of the MLPs' hidden layers: tokens and heads stay as they are, and steps are fine."""
        return (self.hidden,)

    def widened(self, widths: Sequence[int]) -> Transformer:
        """This skeleton with so many hidden values in its MLPs.

        Raises:
            InputError: more or less than one number, or one that is out of range.
        """
        if len(widths) != 1:
            raise InputError(
                f"a skeleton of {self.title} has one width to change, its MLPs', not {len(widths)}"
            )
        ratio = widths[0] / self.width
        if int(ratio * self.width) < widths[0]:  # the quotient is rounded down
            ratio = nextafter(ratio, inf)
        return replace(self, mlp_ratio=ratio)

    @property
    def title(self) -> str:
        return f"{self.blocks}×{self.width}, {self.heads} heads"

    def describe(self) -> dict[str, str]:
        tokens, _ = self.tokens
        stem = "symbols" if self.text else f"patches of {self.patch}×{self.patch}"
        return {
            "stem": f"{stem}, {tokens} tokens" + ", one for the class" * self._class_token,
            "blocks×width, heads": self.title,
            "norm, position, bias": f"{self.norm}, {self.position}, {self.bias}",
            "attention": "causal" if self._causal else "to all tokens",
            "positions, MLP, weights": f"{self.positions}, {self.hidden} {self.activation}, {self.init}",
        }


_ACTIVATIONS: dict[str, Callable[[Shape], Part]] = {
    "gelu": Gelu,
    "gelu-tanh": TanhGelu,
    "relu": Relu,
}
_CHOICES = {
    "pooling": ("token", "mean"),
    "norm": ("layer", "rms", "none"),
    "position": ("pre", "post", "sandwich"),
    "positions": ("learned", "rotary", "none"),
    "activation": tuple(_ACTIVATIONS),
    "init": ("normal", "pytorch"),
}
_MOST = {
    "input_shape": 1 << 16,
    "classes": 1_000_000,
    "blocks": MAX_LAYERS // 2,
    "width": 1 << 16,
    "heads": 1 << 16,
    "patch": 1 << 16,
}
"""What numbers are at most; beyond, nothing could be trained."""

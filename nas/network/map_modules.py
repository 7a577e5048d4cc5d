"""Modules of the parts in `nas.architecture.map_parts`. Maps are (N, C, H, W)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-6
"""Of ConvNeXt's layer norms (Liu et al. 2022)."""


class ChannelNorm(nn.LayerNorm):
    """Layer norm of every pixel over its channels, computed in the format of its weights."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.to(self.weight.dtype).permute(0, 2, 3, 1)  # (N, H, W, C)
        return super().forward(pixels).permute(0, 3, 1, 2).to(x.dtype)


class PatchConv(nn.Conv2d):
    """Convolution whose stride is its kernel's side; weights are left to `initialise`."""

    def __init__(self, inputs: int, channels: int, side: int, bias: bool) -> None:
        super().__init__(inputs, channels, side, side, bias=bias)

    def reset_parameters(self) -> None: ...

    def forward(self, x: Tensor) -> Tensor:
        side = self.kernel_size[0]
        down, right = -x.shape[2] % side, -x.shape[3] % side
        return super().forward(F.pad(x, (0, right, 0, down)) if down or right else x)


class Upsample(nn.Module):
    """Every pixel as factor × factor equal ones, cut to these sides (H, W)."""

    def __init__(self, factor: int, sides: tuple[int, int]) -> None:
        super().__init__()
        self.factor, self.sides = float(factor), sides

    def forward(self, x: Tensor) -> Tensor:
        height, width = self.sides
        return F.interpolate(x, scale_factor=self.factor, mode="nearest")[:, :, :height, :width]

    def extra_repr(self) -> str:
        return f"factor={self.factor:g}, sides={self.sides}"


class UpConv(nn.ConvTranspose2d):
    """Transposed convolution 2×2 of stride 2, cut to these sides (H, W); weights are left to `initialise`."""

    def __init__(self, inputs: int, channels: int, sides: tuple[int, int], bias: bool) -> None:
        super().__init__(inputs, channels, 2, 2, bias=bias)
        self.sides = sides

    def reset_parameters(self) -> None: ...

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        height, width = self.sides
        return super().forward(x)[:, :, :height, :width]

"""How large an exercise is run: quick on two CPU cores, full as the sheet has it on a GPU."""

from __future__ import annotations

from dataclasses import dataclass

from nas.proxy import Proxy


@dataclass(frozen=True)
class Profile:
    """Budget of a run. Widths shrink, architectures do not."""

    name: str
    width_divisor: int
    """Divides every width of the trained networks."""
    proxy: Proxy
    seeds: int
    law_width: int
    """Width of exercise 1's gradient law at initialisation."""
    law_blocks: tuple[int, ...]
    law_seeds: int
    deep_divisor: int
    """Divides the widths of the network of 1,000 layers."""
    deep_steps: int
    deep_batch: int


PROFILES: dict[str, Profile] = {
    "quick": Profile(
        name="quick",
        width_divisor=8,
        proxy=Proxy(
            epochs=5, images=2000, validation_images=1000, batch=64, learning_rate=0.05,
            precision="fp32",
        ),
        seeds=5,
        law_width=16,
        law_blocks=(2, 4, 8, 14, 20, 28),
        law_seeds=3,
        deep_divisor=16,
        deep_steps=60,
        deep_batch=32,
    ),
    "full": Profile(
        name="full",
        width_divisor=1,
        proxy=Proxy(epochs=20, batch=128, learning_rate=0.1),
        seeds=3,
        law_width=64,
        law_blocks=(2, 4, 8, 14, 20, 28, 56),
        law_seeds=5,
        deep_divisor=1,
        deep_steps=400,
        deep_batch=64,
    ),
}  # fmt: skip

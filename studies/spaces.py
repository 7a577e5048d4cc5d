"""Finding a search space by what the user wrote."""

from __future__ import annotations

from nas.errors import InputError, unknown
from nas.space import SearchSpace
from search_spaces import SPACES, load_space


def find_space(name: str) -> SearchSpace:
    """A named space, or the one of a TOML file.

    Raises:
        InputError: neither.
    """
    if name in SPACES:
        return SPACES[name]
    if name.endswith(".toml"):
        return load_space(name, SPACES)
    raise unknown("space", name, SPACES, place="--space (or a .toml file)")


def check_resolution(space: SearchSpace) -> None:
    """Raises InputError if a proxy shrinks the pictures below what the skeleton needs."""
    channels, height, width = space.skeleton.input_shape
    for proxy in (space.proxy, space.final_proxy):
        side = proxy.resolution
        if side is not None and side > min(height, width):
            raise InputError(
                f"proxy: resolution {side} is larger than the pictures' {height}×{width}"
            )
        if side is not None:
            space.skeleton.for_data((channels, side, side), space.skeleton.classes)

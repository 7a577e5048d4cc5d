"""Finding a search space by what the user wrote."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from baselines import find_baseline
from nas.architecture.genome import Genome
from nas.architecture.layers import NAMES, SOURCES, named
from nas.architecture.plan import check_merges
from nas.architecture.space import SearchSpace
from nas.data.dataset import Data
from nas.errors import InputError, unknown
from nas.own_model import transferred, wrap
from search_spaces import SPACES, load_plugins, load_space, model_file


def find_space(name: str | SearchSpace) -> SearchSpace:
    """A named space, the one of a TOML file, or the space itself.

    Raises:
        InputError: neither.
    """
    if isinstance(name, SearchSpace):
        return name
    if name in SPACES:
        return SPACES[name]
    if name.endswith(".toml"):
        return load_space(name, SPACES)
    raise unknown("space", name, SPACES, place="--space (or a .toml file)")


def plugins_of(space: str | SearchSpace | None) -> dict[Path, str]:
    """The hash of the file whose model a TOML file names, by its path: workers load it, and studies record it."""
    file = model_file(space) if isinstance(space, str) and space.endswith(".toml") else None
    return load_plugins([file]) if file else {}


def starting_point(space: SearchSpace, start: str | None) -> tuple[SearchSpace, Genome | None]:
    """The space to search and the genome to start from.

    A baseline brings its skeleton; the space then has that, and allows what the baseline uses
    besides its own distances, merges and strengths. A notation must lie in the space.

    Raises:
        InputError: an unknown baseline, a malformed notation, or a genome outside the space.
    """
    if start is None:
        return space, None
    if "(" in start or not start.strip(" -*0123456789"):
        genome = Genome.parse(start)
        space.check(genome)
        return space, genome
    baseline = find_baseline(start)
    genome, skeleton = baseline.genome, baseline.skeleton
    skips = [skip for layer in genome.layers for skip in layer.skips]
    merges = [layer.merge for layer in genome.layers if layer.merge]
    starts = {*space.starts, *(skip.distance for skip in skips)}
    space = replace(
        space,
        skeleton=skeleton,
        distances=tuple(sorted(d for d in starts - {*NAMES} if d <= skeleton.layers)),
        sources=tuple(
            name for name in SOURCES if named(name) in starts and skeleton.has(named(name))
        ),
        merges=tuple(dict.fromkeys([*space.merges, *merges])),
        strengths=tuple(sorted({*space.strengths, *(skip.strength for skip in skips)})),
        name=f"{space.name}-on-{start.replace('/', '-')}",
    )
    return space, genome


def on_model(space: SearchSpace, model: str, blocks: str | None, data: Data) -> SearchSpace:
    """The space's distances, merges, strengths and trainings on the blocks of a user's own model.

    Distances that reach further than the model's blocks, and sources by name that they lack, are left
    out; a motif stays one.

    Args:
        blocks: where they are in the model; comma-separated.

    Raises:
        InputError: the model cannot be made or cut, or lacks a merge.
    """
    paths = tuple(blocks.split(",")) if blocks else ()
    skeleton = wrap(model, data.shape, len(data.classes), paths)
    check_merges(space.merges, skeleton)
    return transferred(space, skeleton, f"{space.name}-on-{skeleton.model.rpartition(':')[2]}")


def check_resolution(space: SearchSpace) -> None:
    """Raises InputError if a proxy shrinks the pictures below what the skeleton needs."""
    for proxy in (space.proxy, space.final_proxy):
        side = proxy.resolution
        if side is not None and len(space.skeleton.input_shape) != 3:
            raise InputError(f"proxy: resolution {side} is for pictures")
        channels, height, width = (*space.skeleton.input_shape, 0, 0)[:3]
        if side is not None and side > min(height, width):
            raise InputError(
                f"proxy: resolution {side} is larger than the pictures' {height}×{width}"
            )
        if side is not None:
            space.skeleton.for_data((channels, side, side), space.skeleton.classes)

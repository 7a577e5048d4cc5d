"""Plugins with all tables that they can add to, the named spaces among them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from nas.plugins import installed_plugins, load_plugin
from search_spaces.named import SPACES


def load_plugins(paths: Iterable[str | Path] = ()) -> dict[Path, str]:
    """Loads installed plugins and these; the hash of each by its path.

    Raises:
        InputError: a file that is no plugin, or a name in it that is taken.
    """
    every = (*installed_plugins(), *map(Path, paths))
    return {path: load_plugin(path, SPACES=SPACES) for path in every}

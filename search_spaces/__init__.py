"""The named search spaces: `SPACES["digits9"]`, and spaces from TOML files."""

from nas.plugins import load_plugins
from search_spaces.file import load_space, model_file
from search_spaces.named import SPACES

__all__ = ["SPACES", "load_plugins", "load_space", "model_file"]

"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path

import click

STORAGE = "sqlite:///nas.db"

plugin_option = click.option(
    "--plugin", "plugins", multiple=True, type=click.Path(path_type=Path),
    help="Python file with merges, blocks, data, strategies or scores of your own; repeatable.",
)  # fmt: skip

storage_option = click.option(
    "--storage",
    default=STORAGE,
    show_default=True,
    help="Any Optuna storage URL, or a journal file (.log).",
)

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Where data sets lie or are downloaded to. [default: ~/.cache/skipnas]",
)

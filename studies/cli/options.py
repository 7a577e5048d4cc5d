"""Options that several commands have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import click

from studies.store.url import STORAGE

plugin_option = click.option(
    "--plugin", "plugins", multiple=True, type=click.Path(path_type=Path),
    help="Python file with merges, blocks, data, strategies or scores of your own; repeatable.",
)  # fmt: skip

storage_option = click.option(
    "--storage",
    default=STORAGE,
    show_default=True,
    envvar="NAS_STORAGE",
    show_envvar=True,
    help="Any Optuna storage URL, or a journal file (.log).",
)

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Where data sets lie or are downloaded to. [default: ~/.cache/skipnas]",
)


def means_options(command: Any) -> Any:
    """What a process brings to a study: workers, their device, and what an evaluation may take."""
    for option in (
        click.option("--ray-gpus", type=float, help="GPUs that Ray sets aside for an evaluation, also a fraction. [default: 1, if there are any]"),
        click.option("--ray-cpus", type=float, default=1.0, show_default=True, help="Processors that Ray sets aside for an evaluation."),
        click.option("--ray-address", help="Of a Ray cluster: auto, HOST:PORT or ray://HOST:PORT. [default: starts Ray on this machine]"),
        click.option("--memory-limit", type=Bytes(),
                     help="Memory that an evaluation may allocate, as 2GB or 500MB; more is out of memory."),
        click.option("--time-limit", type=float,
                     help="Seconds that an evaluation may take, above what it may ever need; it has failed after two tries."),
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
        click.option("--workers", type=Count(),
                     help="Processes that evaluate, or ray, or ray:N for N evaluations at once on a Ray cluster; at most the study's --lag. [default: one a core, or one a GPU]"),
    ):  # fmt: skip
        command = option(command)
    return command


class Count(click.ParamType):
    """A number of processes, or ray, or ray:N."""

    name = "workers"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        if isinstance(value, int):
            return value
        if re.fullmatch(r"ray(:[0-9]{1,6})?", value):
            return value
        if not re.fullmatch(r"-?[0-9]{1,6}", value):
            self.fail(f"{value!r} is neither a number of processes nor ray or ray:N")
        return int(value)


class Bytes(click.ParamType):
    """A number of bytes with a unit: 2GB, 500MB, 1.5GiB."""

    name = "size"
    UNITS: ClassVar = {"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}  # fmt: skip

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([A-Za-z]{0,3})", value)
        if found is None or found[2].upper() not in self.UNITS:
            self.fail(f"{value!r} is not a size: a number and a unit, such as 2GB or 500MB")
        return int(float(found[1]) * self.UNITS[found[2].upper()])

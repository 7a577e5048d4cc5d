"""Options under headings, and those that several commands have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import click

from studies.cli.names import with_names
from studies.store.url import STORAGE


class Option(click.Option):
    """An option with a heading, whose default is shown; `{strategies}` in its help is a table's names.

    Args:
        group: the heading in the help of a `GroupedCommand`.
    """

    def __init__(self, *args: Any, group: str = "", **more: Any) -> None:
        more.setdefault("show_default", more.get("default") is not None)
        super().__init__(*args, **more)
        self.group = group

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        return (record[0], with_names(record[1])) if record else None


class GroupedCommand(click.Command):
    """A command whose help has its options under their headings; what has none comes last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        last = ""
        for parameter in self.get_params(ctx):
            last = getattr(parameter, "group", last)
            record = parameter.get_help_record(ctx)
            if record:
                groups.setdefault(last, []).append(record)
        width = max(len(name) for records in groups.values() for name, _ in records)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), text) for name, text in records])


option = partial(click.option, cls=Option)
what = partial(option, group="What to search")
how = partial(option, group="How")
budget = partial(option, group="Budget")
machines = partial(option, group="Machines")
finals = partial(option, group="Finals")
output = partial(option, group="Study and output")

plugin_option = what(
    "--plugin", "plugins", multiple=True, type=click.Path(path_type=Path),
    help="Python file with merges, blocks, data, strategies or scores of your own; repeatable.",
)  # fmt: skip
evaluate_option = what(
    "--evaluate",
    help="FILE.py:FUNCTION: a training of your own, which gets a candidate's network and returns its score, or several by name.",
)  # fmt: skip
storage_option = output(
    "--storage", default=STORAGE, envvar="NAS_STORAGE", show_envvar=True,
    help="Any Optuna storage URL, or a journal file (.log).",
)  # fmt: skip
data_dir_option = what(
    "--data-dir", type=click.Path(path_type=Path),
    help="Where data sets lie or are downloaded to. [default: ~/.cache/skipnas]",
)  # fmt: skip


def each(options: Iterable[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """A decorator that gives a command these options, in this order."""

    def decorate(command: Any) -> Any:
        for add in reversed(tuple(options)):
            command = add(command)
        return command

    return decorate


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


means_options = each((
    machines("--workers", type=Count(),
             help="Processes that evaluate, or ray, or ray:N for N evaluations at once on a Ray cluster; at most the study's --lag. [default: one a core, or one a GPU]"),
    machines("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps."),
    machines("--lockstep", is_flag=True,
             help="On a CUDA GPU, train candidates side by side, their steps as CUDA graphs. Results are the same; how fast it is was not measured yet."),
    machines("--time-limit", type=float,
             help="Seconds that an evaluation may take, above what it may ever need; it has failed after two tries."),
    machines("--memory-limit", type=Bytes(),
             help="Memory that an evaluation may allocate, as 2GB or 500MB; more is out of memory."),
    machines("--ray-address", help="Of a Ray cluster: auto, HOST:PORT or ray://HOST:PORT. [default: starts Ray on this machine]"),
    machines("--ray-cpus", type=float, default=1.0, help="Processors that Ray sets aside for an evaluation."),
    machines("--ray-gpus", type=float, help="GPUs that Ray sets aside for an evaluation, also a fraction. [default: 1, if there are any]"),
))  # fmt: skip
"""What a process brings to a study: workers, their device, and what an evaluation may take."""

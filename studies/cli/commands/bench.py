"""The command `nas bench`."""

from __future__ import annotations

import json

import click

from nas.devices.machine import MAX_WORKERS


@click.command()
@click.option("--space", default="digits27", show_default=True, help="A named space or a file.")
@click.option("--data", help="As for nas search. [default: the space's usual data]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--lockstep", is_flag=True, help="On a CUDA GPU, candidates side by side.")
@click.option(
    "--workers", type=click.IntRange(1, MAX_WORKERS), help="[default: one a core, or one a GPU]"
)
@click.option(
    "--candidates", type=click.IntRange(1, 10_000), default=24, show_default=True,
    help="Random patterns that are trained in a repetition.",
)  # fmt: skip
@click.option(
    "--repetitions", type=click.IntRange(1, 1_000), default=5, show_default=True,
    help="Of every way, in turn.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bench(
    space: str,
    data: str | None,
    device: str,
    lockstep: bool,
    workers: int | None,
    candidates: int,
    repetitions: int,
    as_json: bool,
) -> None:
    """Measure this machine: candidates a minute, beside the usual way, and where the time goes.

    The usual way is an Optuna study around a plain PyTorch loop (eager, fp32, DataLoader, all
    threads) that trains the same patterns for as long on the same images.

    \b
    nas bench
    nas bench --space fashion9 --candidates 8
    """
    from studies.cli.tables import bench_table
    from studies.cli.terminal import make_console
    from studies.speed import bench as measure

    quiet = make_console(stderr=True)
    found = measure(
        space, data, device, workers, candidates, repetitions, lockstep=lockstep,
        on_progress=lambda line: quiet.print(f"[dim]{line} …[/dim]"),
    )  # fmt: skip
    if as_json:
        click.echo(json.dumps(found.record(), indent=2))
    else:
        make_console(highlight=False).print(bench_table(found))

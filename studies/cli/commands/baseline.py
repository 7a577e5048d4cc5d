"""The commands `nas baseline list|show|run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from baselines import BASELINES, find_baseline
from nas.architecture.plan import plan
from nas.errors import InputError
from studies.cli.terminal import WordTable, make_console

if TYPE_CHECKING:
    from baselines.exercises.page import Page
    from baselines.exercises.runner import RunPlan


@click.group()
def baseline() -> None:
    """The five exercises as fixed genomes: list, show, run."""


@baseline.command("list")
def list_baselines() -> None:
    """All baselines with their sizes."""
    make_console().print(baselines_table())


def baselines_table() -> WordTable:
    """A row a baseline."""
    from studies.formatting import count

    table = WordTable(box=None, padding=(0, 1), sheds=("source",))
    for name in ("baseline", "pattern", "source"):
        table.add_column(name)
    for name in ("layers", "params", "MACs"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, found in BASELINES.items():
        planned = plan(found.genome, found.skeleton)
        sizes = (str(len(found.genome)), count(planned.params), count(planned.macs))
        table.add_row(name, Text(str(found.genome)), found.source, *sizes)
    return table


@baseline.command()
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="Write a picture: .png, .svg or .pdf.")
def show(name: str, out: Path | None) -> None:
    """One baseline's layers, parameters and MACs.

    \b
    nas baseline show resnet-56
    nas baseline show cifar/resnet-20 --out resnet-20.png
    """
    from nas.drawing.figure import draw, save
    from studies.cli.tables import drawing

    found = find_baseline(name)
    planned = plan(found.genome, found.skeleton)
    console = make_console()
    console.print(drawing(found.genome, found.skeleton, costs=True))
    console.print(f"{name}: {found.source}", highlight=False)
    console.print(f"{found.genome}", soft_wrap=True, markup=False, highlight=False)
    console.print(f"{planned.params:,} parameters, {planned.macs:,} MACs")
    if out:
        picture = save(draw(found.genome, found.skeleton, name), out)
        console.print(f"Picture: {picture}", soft_wrap=True)


@baseline.command()
@click.argument("exercises", nargs=-1, required=True)
@click.option("--data", default="fashion-mnist", show_default=True, help="As for nas search.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where data sets lie.")
@click.option(
    "--profile",
    default="quick",
    show_default=True,
    help="quick (two CPU cores, some minutes) or full (the sheet's widths and 20 epochs, a GPU).",
)
@click.option("--seeds", type=int, help="Trainings of each network. [default: the profile's]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--workers", type=int, help="Processes. [default: one a core, or one a GPU]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for pages and tables. [default: exercises-DATA-PROFILE]",
)
@click.option("--quiet", "-q", is_flag=True, help="Only where the pages are.")
def run(
    exercises: tuple[str, ...],
    data: str,
    data_dir: Path | None,
    profile: str,
    seeds: int | None,
    device: str,
    workers: int | None,
    out: Path | None,
    quiet: bool,
) -> None:
    """Measure exercises and hold the sheet's expectations against the results.

    Each has a page of its own, an HTML file that needs nothing else.

    EXERCISES are exercise-1 to exercise-5, or all. The same command again goes on where it stopped.

    \b
    nas baseline run all
    nas baseline run exercise-3 exercise-5 --data cifar10 --profile full
    """
    from baselines.exercises.runner import EXERCISES, find_profile, run_exercises
    from nas.data.load import load_data
    from nas.devices.machine import MAX_WORKERS
    from studies.cli.progress import JobProgress

    names = list(EXERCISES) if "all" in exercises else list(dict.fromkeys(exercises))
    if workers is not None and not 1 <= workers <= MAX_WORKERS:
        bound = "at least 1" if workers < 1 else f"at most {MAX_WORKERS}"
        raise InputError(f"--workers {workers}: it must be {bound}")
    found = find_profile(profile, seeds)
    folder = out or Path(f"exercises-{Path(data).name}-{profile}")
    console = make_console()

    def announce(plan: RunPlan) -> None:
        for line in [] if quiet else announced(plan):
            console.print(line, soft_wrap=True, highlight=False, markup=False)

    with JobProgress(console, quiet) as progress:
        pages = run_exercises(
            names, load_data(data, data_dir, side=32), found, folder,
            device=device, workers=workers, on_start=announce, on_progress=progress.update,
        )  # fmt: skip
    if not quiet:
        for page in pages:
            console.print(points_table(page))
    for page in pages:
        console.print(f"{folder / page.exercise}.html", soft_wrap=True, highlight=False)


def announced(plan: RunPlan) -> list[str]:
    """What a run of exercises is going to do, in lines."""
    from studies.formatting import listed, plural

    profile, proxy = plan.profile, plan.profile.proxy
    images = proxy.images or len(plan.data.train)
    jobs = plan.trainings + plan.laws
    laws = f", and {plural(plan.laws, 'measurement')} of gradients at initialisation"
    return [
        f"{listed([name.replace('-', ' ') for name in plan.exercises]).capitalize()}: "
        f"{plural(plan.trainings, 'training')} of {plural(plan.networks, 'network')}"
        f"{laws if plan.laws else ''}.",
        f"On {plan.data.name}, {profile.name} profile: {plural(proxy.epochs, 'epoch')} on {images:,} "
        f"images, widths divided by {profile.width_divisor}, {plural(profile.seeds, 'seed')}; "
        f"{plural(plan.workers, 'worker')} on {listed(list(plan.devices))}.",
        f"Into {plan.out}: {plan.done} of {jobs} are done already, {jobs - plan.done} are left.",
    ]


def points_table(page: Page) -> WordTable:
    """A row a statement of the sheet."""
    table = WordTable(title=page.title)
    for name in ("the sheet expects", "measured", "n", "verdict"):
        table.add_column(name, justify="right" if name == "n" else "left")
    for point in page.points:
        table.add_row(point.expected, point.measured, str(point.n), point.verdict)
    return table

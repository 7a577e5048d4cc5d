"""The command `nas report`."""

from __future__ import annotations

from pathlib import Path

import click

from studies.cli.options import data_dir_option, plugin_option, storage_option
from studies.cli.terminal import make_console


@click.command()
@click.argument("study", required=False)
@storage_option
@click.option("--out", help="File to write, - for standard output. [default: STUDY.html]")
@click.option(
    "--format", "form", default="html", show_default=True,
    help="html (a page to read), csv (a row a trial) or json (all facts).",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace the file that --out names.")
@click.option(
    "--knock-out", is_flag=True,
    help="First measure what each skip of the best pattern is worth: trains a network a skip.",
)  # fmt: skip
@click.option("--data", help="For --knock-out: the study's data, where they lie elsewhere now.")
@data_dir_option
@click.option(
    "--device", default="auto", show_default=True, help="For --knock-out, as for nas search."
)
@click.option("--workers", type=int, help="For --knock-out. [default: one a core, or one a GPU]")
@plugin_option
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
def report(
    study: str | None,
    storage: str,
    out: str | None,
    form: str,
    force: bool,
    knock_out: bool,
    data: str | None,
    data_dir: Path | None,
    device: str,
    workers: int | None,
    plugins: tuple[Path, ...],
    quiet: bool,
) -> None:
    """Explain a study on one page, which needs no network and no other file.

    STUDY may be left out where the storage has one search only.

    \b
    nas report
    nas report digits27-c1e295 --out digits.html
    nas report mine --knock-out
    nas report mine --format json --out - | jq .winner
    """
    import optuna

    from search_spaces import load_plugins
    from studies.report.write import STANDARD_OUTPUT, write_report

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    load_plugins(plugins)
    console = make_console(stderr=out == STANDARD_OUTPUT)
    if not knock_out:
        path = write_report(study, storage, out, form=form, force=force)
    else:
        from studies.cli.progress import JobProgress
        from studies.knockouts.run import KnockoutRequest

        means = KnockoutRequest(data, data_dir, device, workers, plugins)
        with JobProgress(console, quiet) as progress:
            path = write_report(
                study, storage, out, form=form, force=force, knock_out=means,
                on_result=lambda done, total: progress.update(done, total, "knock-outs"),
            )  # fmt: skip
    if path is not None and not quiet:
        console.print(f"Report: {path}", soft_wrap=True, highlight=False)

"""The command `nas compare`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median_high
from typing import TYPE_CHECKING

import click

from nas.drawing.figure import check_picture, save
from nas.errors import InputError
from studies.cli.options import plugin_option, storage_option
from studies.cli.tabular import compare_on_table
from studies.cli.terminal import WordTable, make_console
from studies.formatting import plural

if TYPE_CHECKING:
    from studies.analysis.compare import Comparison, StrategyRuns

CERTAIN = 0.05


@click.command()
@click.argument("studies", nargs=-1, metavar="STUDY STUDY…")
@storage_option
@click.option(
    "--target",
    type=float,
    help="Accuracy to reach, from 0 to 1. [default: what the weakest ends with on average]",
)
@click.option(
    "--out",
    default="comparison.png",
    show_default=True,
    help="Where the picture goes: .png, .svg or .pdf; '' for none.",
)
@click.option(
    "--table",
    help="A table (nas table), by name or as an .npz file: the arguments are strategies then, which search in it. [default: all]",
)
@click.option(
    "--seeds", type=int, default=200, show_default=True, help="Searches of each in a table."
)
@click.option(
    "--evaluations", type=int, default=200, show_default=True, help="Of each search in a table."
)
@click.option("--workers", type=int, help="Processes that search in a table. [default: one a core]")
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="All numbers as JSON.")
def compare(
    studies: tuple[str, ...],
    storage: str,
    target: float | None,
    out: str,
    table: str | None,
    seeds: int,
    evaluations: int,
    workers: int | None,
    plugins: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Hold strategies against each other, over search seeds.

    Studies that differ only in --seed are the repetitions of one contender; the first study's
    contender is what the others are compared with, seed by seed. Names may have wildcards.

    With --table, strategies search in a table of trainings, and are compared by what they miss of its
    best pattern, again with the first.

    \b
    for s in 0 1 2 3 4; do
      nas search --finalists 0 --seed $s --study aging-$s
      nas search --finalists 0 --seed $s --study tpe-$s --strategy tpe
    done
    nas compare 'aging-*' 'tpe-*'
    nas compare --table my.npz --seeds 200 regularized random tpe
    """
    from search_spaces import load_plugins
    from studies.analysis.compare import compare_studies
    from studies.analysis.compare_figure import draw_comparison
    from studies.store.storages import existing_storage, storage_errors

    if target is not None and not 0 < target <= 1:
        raise InputError(f"--target {target}: an accuracy above 0, at most 1, such as 0.97")
    check_picture(out)
    load_plugins(plugins)
    if table:
        compare_on_table(table, studies, seeds, evaluations, workers, out, as_json)
        return
    if not studies:
        raise InputError("nas compare: names studies, or a --table in which strategies search")
    with storage_errors(storage):
        found = compare_studies(existing_storage(storage), studies, target)
    count = max(len(one.seeds) for one in found.contenders)
    title = f"mean ± standard deviation over {count} search seed{'s' if count > 1 else ''}"
    if out:
        save(draw_comparison(found, title), out)
    if as_json:
        print(json.dumps(found.as_json()))
        return
    console = make_console()
    console.print(comparison_table(found))
    for one in found.contenders[1:]:
        console.print(_verdict(one, found.contenders[0].label), highlight=False)
    if len({one.inherits for one in found.contenders}) > 1:
        console.print(
            "With inherit, accuracies hold the training of all ancestors: they are no evidence of "
            "better patterns; training from scratch (nas train, finalists) is."
        )
    if out:
        console.print(f"Picture: {Path(out)}", soft_wrap=True)


def comparison_table(found: Comparison) -> WordTable:
    table = WordTable(
        title=f"Best of {found.evaluations} evaluations by validation accuracy; "
        f"evaluations until {100 * found.target:.2f} %",
    )
    table.add_column("strategy")
    for name in ("n", "mean ± std", "until", "epochs", "− first", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found.contenders:
        count = len(one.curves)
        spread = f"{100 * one.mean:.2f}" + (f" ± {100 * one.std:.2f} %" if count > 1 else " %")
        table.add_row(
            one.label, str(count), spread, _until(one.reached, found.evaluations),
            f"{sum(one.epochs) / count:.0f}",
            "" if one.difference is None else f"{100 * one.difference:+.2f}",
            "" if one.p is None else f"{one.p:.3f}",
        )  # fmt: skip
    return table


def _until(reached: Sequence[int | None], most: int) -> str:
    """Median over all seeds, those that never reached it at the far end; and how many did."""
    middle = median_high(most + 1 if k is None else k for k in reached)
    count = sum(k is not None for k in reached)
    return f"{middle if middle <= most else f'>{most}'} ({count}/{len(reached)})"


def _verdict(one: StrategyRuns, first: str) -> str:
    """The answer in words."""
    if one.difference is None:
        return f"{one.label}: no seed in common with {first}."
    side = "above" if one.difference > 0 else "below"
    text = f"{one.label} ends {abs(100 * one.difference):.2f} points {side} {first}"
    if one.bounds is None or one.p is None:
        return f"{text}; {plural(one.pairs, 'seed')} cannot tell."
    low, high = (100 * bound for bound in one.bounds)
    sure = "" if one.p < CERTAIN else ": not decided"
    return (
        f"{text} (95 % interval {low:+.2f} to {high:+.2f}, p = {one.p:.3f}, n = {one.pairs}){sure}."
    )

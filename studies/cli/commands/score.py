"""The command `nas score`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import track
from rich.text import Text

from nas.architecture.genome import Genome
from nas.errors import InputError, brief
from studies.cli.options import data_dir_option, option, plugin_option, storage_option
from studies.cli.terminal import WordTable, make_console

if TYPE_CHECKING:
    from nas.architecture.space import SearchSpace
    from nas.data.dataset import Data
    from nas.statistics import Correlation

SPACE = "digits27"
Scored = list[tuple[Genome, dict[str, float]]]


# A notation may begin with -, and its letters are no short options.
@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("genomes", nargs=-1, metavar="[GENOME]...")
@click.option(
    "--study",
    help="Score this study's trials instead, and rank them beside accuracy, or its own score.",
)
@storage_option
@click.option("--space", help=f"A named space (nas spaces) or a .toml file. [default: {SPACE}]")
@click.option("--data", help="As for nas search. [default: the study's, or the space's usual data]")
@data_dir_option
@option("--score", "names", multiple=True, help="{scores}; repeatable. [default: all]")
@click.option(
    "--seed", type=click.IntRange(min=0),
    help="Of weights and batches. [default: the study's, or 0]",
)  # fmt: skip
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="All numbers as JSON.")
def score(
    genomes: tuple[str, ...],
    study: str | None,
    storage: str,
    space: str | None,
    data: str | None,
    data_dir: Path | None,
    names: tuple[str, ...],
    seed: int | None,
    plugins: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Score networks at initialisation, at no cost of training; larger is better.

    Scores look at the network on a batch or two, but for params, macs and skips, which are controls
    and only count. With --study, every score is held against
    the accuracies that the trials reached: Spearman's rank correlation, and the same given the
    number of skips, which is near 0 for a score that only counts them.

    \b
    nas score "add(1)*9" "-*9" "concat(1,2)*9"
    nas score "add(1)*9" --space fashion9 --score synflow --score naswot
    nas score --study digits27-c1e295
    """
    from nas.predictors.zero_cost import SCORES, check_score
    from search_spaces import load_plugins

    load_plugins(plugins)
    for name in names:
        check_score(name, "--score")
    wanted = list(dict.fromkeys(names)) or list(SCORES)
    if study and (genomes or space or seed is not None):
        raise InputError(
            f"--study {study}: its trials have their space and seed; "
            "GENOME, --space and --seed are for patterns of your own"
        )
    if study:
        _study(study, storage, data, data_dir, wanted, as_json)
        return
    if not genomes:
        raise InputError("a GENOME is needed, such as 'add(1)*9', or --study NAME")
    parsed = [Genome.parse(text) for text in genomes]
    found, images = _space(space or SPACE, data, data_dir, plugins)
    scored = _scored(parsed, found, images, seed or 0, wanted)
    if as_json:
        from nas.files.settings import finite

        rows = [{"genome": str(genome), **finite(values)} for genome, values in scored]
        print(json.dumps({"space": found.name, "data": images.name, "scores": rows}))
    else:
        make_console().print(scores_table(scored, wanted))


def _space(
    name: str, data: str | None, data_dir: Path | None, plugins: tuple[Path, ...]
) -> tuple[SearchSpace, Data]:
    """A space fitted to its data, as a search on a CPU has it."""
    from studies.search.request import SearchRequest, prepare_settings

    request = SearchRequest(space=name, data=data, data_dir=data_dir, plugins=plugins, device="cpu")
    settings, _ = prepare_settings(request)
    return settings.space, settings.data


def _study(
    name: str,
    storage: str,
    data: str | None,
    data_dir: Path | None,
    wanted: Sequence[str],
    as_json: bool,
) -> None:
    from nas.files.settings import finite
    from nas.statistics import correlate
    from studies.formatting import Score
    from studies.search.settings import recorded_data, recorded_space
    from studies.store.storages import existing_storage, storage_errors
    from studies.store.store import Store

    with storage_errors(storage):
        store = Store.load_search(existing_storage(storage), name)
        settings, notes, trials = store.searched(), store.notes(), store.trials()
    # Divergence is the pattern's own; full memory or a lost process says nothing of it.
    told = [t for t in trials if t.complete and t.attrs.get("status") in ("ok", "diverged")]
    if len(told) < 3:
        raise InputError(f"study {name!r} has {len(told)} completed trials; at least 3 are needed")
    space, images = recorded_space(settings), recorded_data(settings, notes, data, data_dir)
    scored = _scored([t.genome for t in told], space, images, settings["seed"], wanted)
    score = Score.of(settings["objectives"])
    values_told = [score.sign * trial.attrs["accuracy"] for trial in told]
    skips = [sum(len(layer.skips) for layer in trial.genome.layers) for trial in told]
    found = {
        one: correlate([values[one] for _, values in scored], values_told, skips) for one in wanted
    }
    if as_json:
        rows = [
            {"number": trial.number, "genome": str(genome), score.key: value} | finite(values)
            for trial, value, (genome, values) in zip(told, values_told, scored, strict=True)
        ]
        correlations = {one: asdict(correlation) for one, correlation in found.items()}
        print(json.dumps({"study": name, "correlations": correlations, "trials": rows}))
    else:
        make_console().print(
            correlation_table(found, f"{name}: scores and validation {score.name}")
        )


def _scored(
    genomes: Sequence[Genome], space: SearchSpace, data: Data, seed: int, wanted: Sequence[str]
) -> Scored:
    """On the CPU, as a screen scores."""
    from nas.architecture.plan import plan
    from nas.files.limits import check_bytes
    from nas.predictors.zero_cost import score as value
    from nas.training.memory import training_bytes

    for genome in genomes:
        needed = training_bytes(plan(genome, space.skeleton), space.proxy, space.skeleton)
        check_bytes(brief(str(genome)), needed)

    def all_of(genome: Genome) -> dict[str, float]:
        skeleton, proxy = space.skeleton, space.proxy
        return {one: value(genome, skeleton, proxy, seed, data, one, "cpu") for one in wanted}

    shown = make_console(stderr=True)
    steps = track(
        genomes, "scoring", console=shown, transient=True, disable=not shown.is_terminal
    )  # fmt: skip
    return [(genome, all_of(genome)) for genome in steps]


def scores_table(scored: Scored, wanted: Sequence[str]) -> WordTable:
    from studies.formatting import count

    table = WordTable(box=None, padding=(0, 1))
    table.add_column("genome")
    for name in wanted:
        table.add_column(name, justify="right", no_wrap=True)
    for genome, values in scored:
        cells = (
            "–" if not isfinite(values[name]) else count(values[name])
            if name in ("params", "macs", "skips") else f"{values[name]:.4g}"
            for name in wanted
        )  # fmt: skip
        table.add_row(Text(str(genome)), *cells)
    return table


def correlation_table(found: Mapping[str, Correlation], title: str) -> WordTable:
    """A row a score: rank correlation with accuracy (or the user's own score), alone and given the number of skips."""
    n = next(iter(found.values())).n
    table = WordTable(
        title=f"{title}, n = {n}",
        caption="rank correlation with its 95 % interval (bootstrap); – where it is not defined",
    )  # fmt: skip
    table.add_column("score", no_wrap=True)
    for name in ("Spearman's ρ", "ρ given skips", "not finite"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, one in found.items():
        table.add_row(
            name, _with_bounds(one.rho, one.bounds), _with_bounds(one.partial, one.partial_bounds),
            str(one.infinite or ""),
        )  # fmt: skip
    return table


def _with_bounds(value: float | None, bounds: tuple[float, float] | None) -> str:
    if value is None or bounds is None:
        return "–"
    return f"{value:+.2f} ({bounds[0]:+.2f} to {bounds[1]:+.2f})"

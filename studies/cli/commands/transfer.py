"""The command `nas transfer`."""

from __future__ import annotations

import json
from typing import Any

import click

from studies.cli.options import (
    GroupedCommand,
    data_dir_option,
    each,
    finals,
    means_options,
    output,
    plugin_option,
    storage_option,
    what,
)

OPTIONS = (
    what("--layers", type=int, help="Stretch all patterns and the skeleton to so many layers."),
    what("--epochs", type=int, help="Train for so many epochs."),
    what("--match", help="params or macs: widen the references until they cost what the winner costs, within 1 %."),
    what("--data", help="Other data, as for nas search."),
    data_dir_option,
    what("--images", type=int, help="Training images. [default: the finalists']"),
    what("--resolution", type=int, help="Shrink pictures to this side. [default: the finalists']"),
    plugin_option,
    finals("--tuning-seeds", type=int, default=2, help="Fresh seeds at each learning rate, on the validation part."),
    finals("--seeds", type=int, default=16, help="Fresh seeds of the test."),
    means_options,
    storage_option,
    output("--json", "as_json", is_flag=True, help="One JSON object."),
)  # fmt: skip


@click.command(cls=GroupedCommand)
@click.argument("study")
@each(OPTIONS)
def transfer(study: str, as_json: bool, **options: Any) -> None:
    """Whether a search's winner stays one: deeper, trained longer, at equal size, or on other data.

    The winner and all references that fit the space are tuned in the new setting at every learning rate,
    on validation images. The winner, ResNet's pattern and the best reference there are tested over fresh
    seeds. The report has the result, too.

    \b
    nas transfer digits27-c1e295 --layers 54
    nas transfer digits27-c1e295 --epochs 20
    nas transfer digits27-c1e295 --match params
    nas transfer digits27-c1e295 --data fashion-mnist --images 1000 --resolution 14
    """
    import optuna

    from studies.cli.interrupt import Interrupt
    from studies.cli.progress import JobProgress
    from studies.cli.tables import finalists_table, tuning_table
    from studies.cli.terminal import make_console
    from studies.transfer.run import TransferRequest, run_transfer

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    console = make_console()
    request = TransferRequest(study=study, **options)
    with (
        Interrupt("Finishing what runs; Ctrl-C again stops it now.") as stop,
        JobProgress(console, as_json) as progress,
    ):
        found = run_transfer(
            request, lambda what, done, total: progress.update(done, total, what), stop
        )
    if found is None:
        raise KeyboardInterrupt
    if as_json:
        rows = [
            {"name": row.name, "notation": str(row.genome), "accuracies": [*row.accuracies],
             "params": row.params, "macs": row.macs, "difference": row.difference, "p": row.p,
             "ahead": row.ahead, "ahead_p": row.ahead_p}
            for row in found.finalists
        ]  # fmt: skip
        print(json.dumps({"setting": found.label, "finalists": found.score.named(rows)}))
        return
    console.print(f"Study {study}, {found.label}:", highlight=False)
    console.print(tuning_table(found.tuned, found.score))
    console.print(finalists_table(found.finalists, found.score))

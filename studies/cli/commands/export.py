"""The command `nas export`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from nas.errors import InputError
from nas.tasks.table import find_task
from search_spaces import load_plugins
from studies.cli.options import plugin_option, storage_option
from studies.cli.terminal import make_console
from studies.retraining.pattern import find_pattern
from studies.retraining.trained import trained_weights

if TYPE_CHECKING:
    from nas.saving.classifier import Trained
from studies.cli.commands.train import EXIT_FAILED, NOTATIONS

FLOAT_BYTES = 4
GIVES = {"restored": "restored pictures"}
"""What a network gives, in words, where these are not its name for other programs."""


@click.command(context_settings=NOTATIONS)
@click.argument("source")
@click.option("--format", "formats", multiple=True,
              help="safetensors, python, onnx, torch-export or all; repeatable. [default: all that "
              "are installed]")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path),
              help="Folder to write to. [default: the source's, or here]")  # fmt: skip
@click.option("--space", help="A notation's skeleton: a named space or a .toml file.")
@click.option("--baseline", help="A notation's skeleton: a baseline's.")
@click.option("--seed", type=int, default=0, show_default=True, help="A notation's weights.")
@storage_option
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="A JSON line for every file.")
def export(source: str, formats: tuple[str, ...], out: Path | None, as_json: bool,
           **options: Any) -> None:  # fmt: skip
    """Write a network for other programs, and check each file in a fresh process.

    SOURCE is a folder or file that nas train wrote, best:STUDY or trial:STUDY/NUMBER of which
    trained/ holds a training, or a notation with --space or --baseline, whose initial weights are
    exported. The programs take batches of any size, float32 (N, C, H, W) from 0 to 255, whose
    normalisation is part of them, or symbols of texts, int64 (N, T). Python's is a module of plain PyTorch, to read and to change.

    \b
    nas export trained/digits27-c1e295-trial92-8d0f26
    nas export best:digits27-c1e295 --format python --out deploy
    nas export network.safetensors --format onnx --out deploy
    """
    from nas.plugins import installed_plugins
    from nas.saving.exports import FORMATS, available, check_available
    from nas.saving.exports import export as write
    from studies.cli.json_lines import line

    wanted = _formats(formats, list(FORMATS), [name for name in FORMATS if available(name)])
    for name in wanted:
        check_available(name)
    plugins = (*installed_plugins(), *options["plugins"])
    network, folder, stem = _network(source, **options)
    folder = out or folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder}: {error.strerror}") from None
    console = make_console()
    if not as_json:
        for text in _described(network):
            console.print(text, soft_wrap=True, highlight=False, markup=False)
    failed = False
    for name in wanted:
        try:
            done = write(network, name, folder, stem, plugins)
        except InputError as error:
            if formats or name != "python":
                raise
            if not as_json:
                console.print(Text(f"Python: {error}", "yellow"), soft_wrap=True)
            continue
        failed = failed or not done.equal
        if as_json:
            line("exported", format=name, path=str(done.path), difference=done.difference,
                 tolerance=done.tolerance, equal=done.equal)  # fmt: skip
            continue
        text = f"{done.path}: in a fresh process, {_gives(network)} differ by {done.difference:.2g} at most"
        if not done.equal:
            text += f", above the tolerance of {done.tolerance:.2g}: the file was removed"
        console.print(Text(text, "" if done.equal else "red"), soft_wrap=True)
    if not formats and not available("onnx") and not as_json:
        console.print(f"For ONNX: pip install {' '.join(FORMATS['onnx'].packages)}")
    if failed:
        sys.exit(EXIT_FAILED)


def _described(network: Trained) -> list[str]:
    training, skeleton = network.card.training, network.skeleton
    task = find_task(network.card.task)
    score, scored = training.get(f"test_{task.score}"), "initial weights, not trained"
    if isinstance(score, int | float):
        scored = f"test {task.label} {task.show(task.sign * score)}"
    elif training:
        scored = f"trained, test {task.label} not known"
    shape = {"classes": (), "symbols": skeleton.input_shape, "map": skeleton.input_shape[1:]}
    given = [skeleton.classes, *shape[task.outputs]]
    given = given[::-1] if task.outputs == "symbols" else given
    form = "int64 {} from 0" if task.outputs == "symbols" else "float32 {} from 0 to 255"
    return [
        f"{network.genome} ({scored})",
        f"{network.takes.capitalize()}: {form.format(_batch(skeleton.input_shape))}; "
        f"{_gives(network)}: {_batch(given)}.",
        network.preprocessing_words,
    ]


def _gives(network: Trained) -> str:
    return GIVES.get(network.gives, network.gives)


def _batch(shape: Sequence[int]) -> str:
    """The shape of a batch."""
    return f"(N, {', '.join(map(str, shape))})"


def _formats(asked: tuple[str, ...], every: list[str], installed: list[str]) -> list[str]:
    from nas.errors import unknown

    for name in asked:
        if name not in (*every, "all"):
            raise unknown("format", name, (*every, "all"), place="--format")
    if "all" in asked:
        return every
    return list(dict.fromkeys(asked)) or installed


def _network(
    source: str,
    space: str | None,
    baseline: str | None,
    seed: int,
    storage: str,
    plugins: tuple[Path, ...],
) -> tuple[Trained, Path, str]:
    """The network of a source, the folder its exports go to, and their name."""
    from nas.saving.network_file import find_weights, load_network

    loaded = {path.name: digest for path, digest in load_plugins(plugins).items()}
    path = Path(source)
    if source.startswith(("best:", "trial:")):
        pattern = find_pattern(source, space, baseline, storage, loaded)
        path, space, baseline = trained_weights(source, pattern), None, None
    if path.exists() or source.endswith(".safetensors") or "/" in source:
        if space or baseline:
            raise InputError(f"{source}: a saved network has its skeleton; leave out --space")
        file = find_weights(path)
        return load_network(file, plugins), file.parent, file.stem
    if "(" not in source and source.strip(" -*0123456789"):
        raise InputError(f"{source}: no such folder or file, nor the notation of a pattern")
    from nas.architecture.plan import plan
    from nas.files.limits import check_bytes
    from nas.network.compile import compile_network
    from nas.saving.uses import usable

    pattern = find_pattern(source, space, baseline, "", loaded)
    check_bytes("the network", FLOAT_BYTES * plan(pattern.genome, pattern.skeleton).params)
    network = compile_network(pattern.genome, pattern.skeleton, seed)
    return usable(network).eval(), Path(), "untrained"

"""`wrap`: a model of a user's own as a skeleton, whose blocks are a genome's layers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.architecture.layers import named
from nas.architecture.skeletons.wrapped import MODELS, Wrapped, wrapped
from nas.architecture.space import SearchSpace
from nas.errors import InputError, brief, unknown
from nas.plugins import load_plugin

if TYPE_CHECKING:
    from torch import nn


def wrap(
    model: str | Callable[..., nn.Module] | nn.Module,
    input_shape: Sequence[int],
    classes: int,
    blocks: str | Sequence[str] = (),
) -> Wrapped:
    """A skeleton whose layers are the blocks of a model; `-` in every layer is the model as it was.

    Args:
        model: a function that makes it, as `my_model.py:make` or itself; a name in MODELS; or a
            module, which only this process has, so that no search's workers can make it again.
        input_shape: of one input, (C, H, W) of a picture.
        blocks: where the list of blocks is in the model: `features`, a part as `features[1:16]`, or
            several with a star for any name, `stages.*.blocks`. None is its longest list.

    Raises:
        InputError: the model cannot be made or cut, or no skip fits its blocks.
    """
    paths = tuple(blocks.split(",")) if isinstance(blocks, str) and blocks else tuple(blocks)
    return wrapped(_name(model), paths, tuple(input_shape), classes)


def named_model(text: str) -> tuple[str, Path | None]:
    """The name of `FILE.py:FUNCTION` and its file, or a name in MODELS and no file."""
    file, colon, function = text.rpartition(":")
    return (f"{Path(file).name}:{function}", Path(file)) if colon else (text, None)


def find_model(text: str) -> str:
    """The name in MODELS of what a user wrote, after its file has been loaded.

    Raises:
        InputError: no such file, or no such function in it.
    """
    name, file = named_model(text)
    if file and (file.exists() or name not in MODELS):
        load_plugin(file)
    if name not in MODELS:
        known = [one for one in MODELS if not file or one.startswith(f"{file.name}:")]
        raise unknown("function" if file else "model", text, known, place="--model")
    return name


def _name(model: Any) -> str:
    """The name of a model in MODELS, where it is put if it is not there."""
    if isinstance(model, str):
        return find_model(model)
    if not callable(model):
        raise InputError(f"{brief(model)} is no model, and no function that makes one")
    function: Any = (
        vars(model).get("__init__") if isinstance(model, type) else inspect.unwrap(model)
    )
    code = getattr(function, "__code__", None)
    if code is not None:
        name = f"{Path(code.co_filename).name}:{model.__qualname__}"
        MODELS[name] = model
        return name
    name = f"a {type(model).__name__} of this process, {id(model):x}"
    MODELS[name] = lambda: deepcopy(model)
    return name


def transferred(space: SearchSpace, skeleton: Wrapped, name: str) -> SearchSpace:
    """The same choices on a model: without distances that reach further than its layers and sources that
    it does not have, and with a motif that is no longer than they are."""
    return replace(
        space,
        skeleton=skeleton,
        distances=tuple(d for d in space.distances if d <= skeleton.layers),
        sources=tuple(one for one in space.sources if skeleton.has(named(one))),
        period=min(space.period, skeleton.layers) if space.period else None,
        name=name,
    )

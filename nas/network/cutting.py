"""A model of a user's own, cut at its blocks: what stands before them, each block, what follows.

The forward pass around the blocks is traced (torch.fx); blocks are left whole, whatever they do
inside. Piece i reads the output of piece i - 1 and nothing else.
"""

from __future__ import annotations

import inspect
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache, partial
from typing import Any

import torch
from torch import fx, nn

from nas.architecture.parts import Source
from nas.architecture.skeletons.wrapped import MODELS
from nas.errors import InputError, brief, called, one_line, refuse

SLICED = re.compile(r"(.*?)(?:\[(-?\d*):(-?\d*)\])?")


def make(source: Source, seed: int) -> nn.Module:
    """The model with the weights that it has under this seed; the global random state stays as it is.

    A function with parameters `input_shape` or `classes` is given these.

    Raises:
        InputError: its file is not loaded, or it makes no module.
    """
    what, maker = f"model {source.model!r}", _maker(source)
    known = {"input_shape": source.input_shape, "classes": source.classes}
    wanted = inspect.signature(maker).parameters
    given = {name: value for name, value in known.items() if name in wanted}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = called(what, partial(maker, **given))
    if not isinstance(model, nn.Module):
        refuse(what, maker, model, "a torch.nn.Module")
    return model


def _maker(source: Source) -> Callable[..., Any]:
    if source.model not in MODELS:
        raise InputError(
            f"model {source.model!r} is not loaded: name its file with --model or --plugin"
        )
    return MODELS[source.model]


def pieces(source: Source, seed: int) -> tuple[nn.Module, ...]:
    """The stem, every block and the head, to be copied.

    Raises:
        InputError: the model cannot be made or cut so; the message has the place.
    """
    return _pieces(_maker(source), source, seed)


@lru_cache(maxsize=2)
def _pieces(maker: Callable[..., Any], source: Source, seed: int) -> tuple[nn.Module, ...]:
    """What `pieces` gives, until another function has the model's name."""
    model = make(source, seed)
    if isinstance(model, nn.ModuleList | nn.ModuleDict):  # has no forward pass of its own
        model = nn.Sequential(OrderedDict(model.named_children()))
    paths = block_paths(model, source.blocks)
    try:
        graph = _trace(model, paths)
    except Exception as error:
        said = one_line(f"{type(error).__name__}: {error}")
        raise InputError(
            f"model {source.model!r}: what it does around its blocks cannot be traced: {said}"
        ) from error
    found = tuple(_cut(model, graph, paths))
    seen = [id(parameter) for piece in found for parameter in piece.parameters()]
    if len(seen) != len(set(seen)):
        raise InputError(f"model {source.model!r}: blocks share a parameter; each needs its own")
    return found


def block_paths(model: nn.Module, blocks: Sequence[str]) -> list[str]:
    """The paths of all blocks in order.

    Args:
        blocks: paths of lists of them: `features`, a part of one as `features[1:16]`, or several
            with a star for any name, `stages.*.blocks`. None is the longest list that lies in no other.

    Raises:
        InputError: there is no such list.
    """
    lists = dict(_lists(model))
    if not blocks:
        outer = {n: p for n, p in lists.items() if not any(_within(n, other) for other in lists)}
        most = max(map(len, outer.values()), default=0)
        longest = [name for name, paths in outer.items() if len(paths) == most]
        if len(longest) != 1 or most < 2:
            raise InputError(
                f"which blocks? name their list, such as blocks={next(iter(lists), 'layers')!r}; "
                f"lists: {', '.join(map(brief, lists)) or 'none'}"
            )
        return outer[longest[0]]
    found: list[str] = []
    for spec in blocks:
        match = SLICED.fullmatch(spec)
        assert match
        start, end = (int(number) if number else None for number in (match[2], match[3]))
        hits = [paths[start:end] for name, paths in lists.items() if _matches(name, match[1])]
        if not any(hits):
            raise InputError(
                f"blocks {spec!r}: no nn.Sequential, ModuleList or ModuleDict of that name with such "
                f"blocks; lists: {', '.join(map(brief, lists)) or 'none'}"
            )
        found += [path for paths in hits for path in paths]
    return found


def _lists(model: nn.Module) -> Iterator[tuple[str, list[str]]]:
    """The path of every list of modules in the model, and those of its modules."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict):
            children = [f"{name}.{child}".lstrip(".") for child, _ in module.named_children()]
            if children:
                yield name, children


def _within(name: str, other: str) -> bool:
    return name != other and (not other or name.startswith(f"{other}."))


def _matches(name: str, pattern: str) -> bool:
    names, patterns = name.split("."), pattern.split(".")
    return len(names) == len(patterns) and all(map(fnmatchcase, names, patterns))


def _trace(model: nn.Module, paths: Sequence[str]) -> fx.Graph:
    """The forward pass, in which everything but what holds the blocks is one call."""
    around = {path.rpartition(".")[0] for path in paths}
    around |= {name[:end] for name in around for end in _dots(name)}

    class Tracer(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return module_qualified_name not in around

    _, *more = inspect.signature(model.forward).parameters.values()
    fixed = {one.name: one.default for one in more if one.default is not one.empty}
    return Tracer().trace(model, concrete_args=fixed or None)


def _dots(name: str) -> Iterator[int]:
    return (place for place, letter in enumerate(name) if letter == ".")


def _cut(model: nn.Module, graph: fx.Graph, paths: Sequence[str]) -> Iterator[nn.Module]:
    """A module for every piece."""
    image = next(node for node in graph.nodes if node.op == "placeholder")
    (answer,) = next(node for node in graph.nodes if node.op == "output").args
    ends: list[Any] = []
    for path in paths:
        calls = [n for n in graph.nodes if n.op == "call_module" and n.target == path]
        if len(calls) != 1:
            raise InputError(f"block {path!r} is called {len(calls)} times; once is needed")
        ends += calls
    begin = next((arg for arg in ends[0].args if isinstance(arg, fx.Node)), None)
    names = ["what stands before the blocks", *(f"block {p!r}" for p in paths), "what follows the blocks"]  # fmt: skip
    starts, stops = [image, begin, *ends], [begin, *ends, answer]
    for name, start, stop in zip(names, starts, stops, strict=True):
        if not isinstance(start, fx.Node) or not isinstance(stop, fx.Node):
            raise InputError(f"{name} passes on {brief(stop)}; one tensor is needed")
        needed = _needed(name, image, start, stop)
        part, copies = fx.Graph(), {}
        copies[start] = part.placeholder("x")
        for node in graph.nodes:
            if node in needed:
                copies[node] = part.node_copy(node, copies.__getitem__)
        part.output(copies[stop])
        yield fx.GraphModule(model, part)


def _needed(name: str, image: fx.Node, start: fx.Node, stop: fx.Node) -> set[fx.Node]:
    """All that leads from one node to another."""
    found: set[fx.Node] = set()
    waiting, reads = [stop], stop is start
    while waiting:
        node = waiting.pop()
        if node is start:
            reads = True
        elif node is image:
            raise InputError(f"{name} reads more than the block before it")
        elif node not in found:
            found.add(node)
            waiting += node.all_input_nodes
    if not reads:
        raise InputError(f"{name} does not read the block before it: are they in another order?")
    return found

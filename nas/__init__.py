"""Search for skip-connection patterns: genomes, their networks, and the evidence about them.

Importing this package does not import torch; `compile_network`, `evaluate` and what else needs it
are loaded on first use.
"""

from collections.abc import Callable
from importlib import import_module

from nas.architecture.genome import Genome, Motif
from nas.architecture.layers import Layer, Skip
from nas.architecture.plan import Plan, plan
from nas.architecture.skeletons.convolutional import Skeleton, Stage
from nas.architecture.skeletons.wrapped import Wrapped
from nas.architecture.space import SearchSpace
from nas.errors import InputError
from nas.proxy import Proxy

_LAZY = {
    "compile_network": "nas.network.compile",
    "Network": "nas.network.network",
    "Data": "nas.data.dataset",
    "load_data": "nas.data.load",
    "Evaluation": "nas.evaluation.result",
    "evaluate": "nas.evaluation.evaluate",
    "Training": "nas.evaluation.own",
    "returns": "nas.evaluation.own_scores",
    "score": "nas.predictors.zero_cost",
    "Classifier": "nas.saving.classifier",
    "wrap": "nas.own_model",
    "Table": "nas.tables.table",
    "load_network": "nas.saving.network_file",
    "save_network": "nas.saving.network_file",
}

__all__ = [
    "Genome",
    "InputError",
    "Layer",
    "Motif",
    "Plan",
    "Proxy",
    "SearchSpace",
    "Skeleton",
    "Skip",
    "Stage",
    "plan",
    *_LAZY,
]


def _drawn(drawing: str) -> Callable[[object], str]:
    """A method that draws its object in a notebook; what is searched need not know how."""

    def html(drawn: object) -> str:
        return getattr(import_module("nas.drawing.html"), drawing)(drawn)

    return html


Genome._repr_html_ = _drawn("genome_html")  # type: ignore[attr-defined]
Plan._repr_html_ = _drawn("plan_html")  # type: ignore[attr-defined]
Wrapped.measure = lambda source: import_module("nas.network.measuring").measure(source)


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'nas' has no attribute {name!r}")

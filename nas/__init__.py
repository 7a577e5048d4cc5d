"""Search for skip-connection patterns: genomes, their networks, and the evidence about them.

Importing this package does not import torch; `compile_network`, `evaluate` and what else needs it
are loaded on first use.
"""

from importlib import import_module

from nas.errors import InputError
from nas.genome import Genome, Layer, Skip
from nas.plan import Plan, plan
from nas.proxy import Proxy
from nas.skeleton import Skeleton, Stage
from nas.space import SearchSpace

_LAZY = {
    "compile_network": "nas.network",
    "Network": "nas.network",
    "Data": "nas.data",
    "load_data": "nas.data",
    "Evaluation": "nas.evaluation",
    "evaluate": "nas.evaluation",
    "score": "nas.scores",
    "Classifier": "nas.saved",
    "load_network": "nas.saved",
    "save_network": "nas.saved",
}

__all__ = [
    "Genome",
    "InputError",
    "Layer",
    "Plan",
    "Proxy",
    "SearchSpace",
    "Skeleton",
    "Skip",
    "Stage",
    "plan",
    *_LAZY,
]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'nas' has no attribute {name!r}")

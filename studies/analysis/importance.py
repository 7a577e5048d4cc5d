"""How much each gene decides accuracy (PED-ANOVA, Watanabe et al. 2023), with its noise level."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.architecture.space import SearchSpace
from studies.store.trial import Trial, candidates

LEAST = 50
"""Candidates below which nothing is said."""
TOP = 5
"""The best trials that PED-ANOVA should have at least (Optuna's advice)."""
SHUFFLES = 60


@dataclass(frozen=True)
class GeneShare:
    name: str
    layer: int | None
    """Of the pattern that is searched, from 1; None for the learning rate."""
    distance: int | None
    """None for the layer's merge."""
    share: float
    """Of the importance of all genes."""
    noise: float
    """What it stays below in 95 % of studies whose accuracies were shuffled."""


@dataclass(frozen=True)
class Importance:
    genes: tuple[GeneShare, ...]
    """The most important first; empty where `why` says why there are none."""
    layers: tuple[float, ...]
    """Sum of the genes' shares by layer of the pattern that is searched, the first layer first."""
    candidates: int
    quantile: float
    """The best share of candidates, whose genes are compared with those of all."""
    why: str = ""


def importance(trials: Sequence[Trial], space: SearchSpace) -> Importance:
    """Importance for accuracy of every gene over completed candidates of the space.

    The noise level says what chance alone would give a gene: the accuracies are dealt anew to the
    candidates, again and again.
    """
    found = [t for t in candidates(trials, space) if t.complete and t.genes]
    accuracies = np.array([t.attrs["accuracy"] for t in found])
    quantile = max(0.1, TOP / max(1, len(found)))
    if not space.genes:
        return Importance((), (), len(found), quantile, "The space has no genes to choose.")
    if len(found) < LEAST:
        why = f"Too few candidates for a statement: {len(found)}, of at least {LEAST}."
        return Importance((), (), len(found), quantile, why)
    if np.ptp(accuracies) == 0:
        why = "All candidates have the same score, so no gene decided anything."
        return Importance((), (), len(found), quantile, why)
    measure = _Measure(found, space, quantile)
    values = measure(accuracies)
    whole = sum(values.values())
    if whole == 0:
        why = "The best candidates have the same genes as all others."
        return Importance((), (), len(found), quantile, why)
    rng = np.random.default_rng(0)
    shuffled = [measure(rng.permutation(accuracies)) for _ in range(SHUFFLES)]
    genes = []
    for gene in space.genes:
        chance = [shuffle[gene.name] for shuffle in shuffled]
        noise = float(np.quantile(chance, 0.95, method="higher"))
        share = values[gene.name] / whole
        genes.append(GeneShare(gene.name, gene.layer, gene.distance, share, noise / whole))
    layers = [0.0] * len(space.sites)
    for found_gene in genes:
        if found_gene.layer is not None:
            layers[found_gene.layer - 1] += found_gene.share
    order = sorted(range(len(genes)), key=lambda i: (-genes[i].share, i))
    return Importance(tuple(genes[i] for i in order), tuple(layers), len(found), quantile)


class _Measure:
    """Optuna's PED-ANOVA over fixed genes, for any accuracies of the trials."""

    def __init__(self, found: Sequence[Trial], space: SearchSpace, quantile: float) -> None:
        import optuna
        from optuna.distributions import BaseDistribution, CategoricalDistribution
        from optuna.importance import PedAnovaImportanceEvaluator
        from optuna.trial import create_trial

        genes: dict[str, BaseDistribution] = {
            gene.name: CategoricalDistribution(gene.choices) for gene in space.genes
        }
        told = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # nobody asked for this study
        self.study = optuna.create_study()
        optuna.logging.set_verbosity(told)
        self.study.add_trials(
            [create_trial(value=0.0, params=dict(t.genes), distributions=genes) for t in found]
        )
        for trial in self.study.get_trials(deepcopy=False):
            trial.distributions = (
                genes  # the same objects in all trials compare a hundredfold faster
            )
        self.evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile)

    def __call__(self, accuracies: np.ndarray) -> dict[str, float]:
        """Importance by gene, of any sum. With a target, low values count as good: hence the minus."""
        from optuna.importance import get_param_importances

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return get_param_importances(
                self.study,
                evaluator=self.evaluator,
                target=lambda trial: -float(accuracies[trial.number]),
                normalize=False,
            )

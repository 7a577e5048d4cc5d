"""The five exercises as fixed genomes, and what each measures."""

from baselines.table import BASELINES, Baseline, find_baseline
from baselines.weights import load_torchvision

__all__ = ["BASELINES", "Baseline", "find_baseline", "load_torchvision"]

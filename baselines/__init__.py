"""The five exercises as fixed genomes, and what each measures."""

from baselines.networks import BASELINES, Baseline, find_baseline
from baselines.torchvision import load_torchvision

__all__ = ["BASELINES", "Baseline", "find_baseline", "load_torchvision"]

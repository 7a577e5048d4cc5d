"""The five exercises as fixed genomes, and what each measures.

It may import `nas` and `search_spaces`. To add a network, yield it in `networks.py`.
"""

from baselines.networks import BASELINES, Baseline, find_baseline
from baselines.torchvision import load_torchvision

__all__ = ["BASELINES", "Baseline", "find_baseline", "load_torchvision"]

"""Scores that stand for a training: those of networks at initialisation.

It may import networks and data. To add one, write a function in `zero_cost.py` and name it in SCORES.
"""

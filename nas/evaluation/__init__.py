"""A candidate's evaluation: its training, what it recorded, its latency, inherited weights, jobs for workers.

It may import training, predictors and all below.
"""

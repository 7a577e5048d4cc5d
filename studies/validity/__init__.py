"""How far a proxy can be trusted: whether its ranking of patterns repeats, and survives a longer training.

It may import the store, the finals' trainings, and a search's settings and workers.
"""

"""Tables of trained patterns: they are built, described, and searched over many seeds.

It may import the store, the finals' trainings, a search's settings and workers, and validity's facts.
"""

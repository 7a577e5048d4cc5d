"""How the next candidate follows from the history: evolution over genes (DEAP), local search, a model
of the results, and random search.

It may import `nas.architecture`. To add a strategy, write how it breeds in `evolution.py`, or in a file
of its own, and name it in STRATEGIES of `propose.py`.
"""

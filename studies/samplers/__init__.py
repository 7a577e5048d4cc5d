"""Optuna's samplers as strategies, and its pruners, each made anew for every decision.

It may import the store. To add one, name it in SAMPLERS of `strategies.py` or PRUNERS of `pruners.py`.
"""

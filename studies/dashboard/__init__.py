"""Optuna's dashboard over a storage, with a picture and a note for each study and trial.

It may import the search.
"""

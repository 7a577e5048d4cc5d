"""A study in an Optuna storage: its settings, its trials, who works on it.

It may import `nas` alone. To support another kind of storage, write a class with the methods of
`Trials`; the one of `calls.py` works with all that Optuna has.
"""

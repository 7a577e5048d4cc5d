"""Pages of our own beside Optuna's dashboard: searches, patterns side by side, what can be started.

It may import the catalogue. A new page is a function in `site.py` with a template of its name.
"""

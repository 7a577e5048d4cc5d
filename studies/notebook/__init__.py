"""A study in Python: as a pandas table, and as an object that shows itself in a notebook.

It may import the search.
"""

"""The winner of a search in another setting: deeper, longer trained, at equal size, on other data.

It may import the finals, a search's settings and workers, and the store.
"""

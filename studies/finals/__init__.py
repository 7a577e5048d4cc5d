"""The best, again: trainings beside a search, its contenders, and its finalists with their table.

It may import the store.
"""

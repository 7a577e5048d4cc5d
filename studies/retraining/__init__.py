"""Which pattern is to be trained to the end, and with what.

It may import the search.
"""

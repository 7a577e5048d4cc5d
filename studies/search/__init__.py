"""A search: what is asked, its settings, the loop, what is known of the study, and who helps with it.

It may import store, samplers and finals. To add an objective, write a line in `objectives.py`; a new
option of `nas search` is a field of `SearchRequest` and, if it decides results, of `SearchSettings`.
"""

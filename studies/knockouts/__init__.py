"""What each skip of a pattern is worth: the pattern trained again without it, or its network with it removed.

It may import the search.
"""

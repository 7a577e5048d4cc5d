"""Tables: every pattern of a space, trained, so that strategies are judged in seconds.

It may import evaluation and all below. To add a table that comes with the program, put its file here
(`nas table build`); its name is the file's.
"""

"""Pictures with classes or masks, and texts: named sets, folders, files, how they are split, and which
tasks they fit.

It may import `nas.architecture` and the floors below. To add a set, write a function that returns
`Raw`, or a text, and name it in SOURCES of `load.py`.
"""

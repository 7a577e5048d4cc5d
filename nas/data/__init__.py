"""Images and labels: the named sets, folders of pictures, .npz files, and how they are split.

It may import `nas.architecture` and the floors below. To add a set, write a function that returns
`Raw` and name it in SOURCES of `load.py`.
"""

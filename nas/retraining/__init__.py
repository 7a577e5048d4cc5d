"""The long training of one pattern: its settings, checkpoints and curves.

It may import all of `nas`.
"""

"""The machine: the device of a run and its kind, its processors, and its memory.

It may import kernels, as a device's kind names which of them it runs.
"""

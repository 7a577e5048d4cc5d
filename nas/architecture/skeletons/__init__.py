"""What is fixed around a genome: input, stem, stages, kind of block, adapters, head.

`skeleton.py` is what all of them answer. To add a family, write a frozen dataclass over `AnySkeleton` in a
file here, and name it in FAMILIES; new kinds of parts get their modules in `nas/network/modules.py`.
"""

"""What is searched: genomes, their parts, merges and blocks, plans and search spaces, in plain integers.

No file here imports torch. It may import `nas.errors`, `nas.tasks`, `nas.proxy` and `nas.files`.

To add a merge, write a class in `merges.py` and name it in MERGES; a block or a stem is a function in
`skeletons/blocks.py` and a line in BLOCKS or STEMS; a skeleton is a file in `skeletons/`.
"""

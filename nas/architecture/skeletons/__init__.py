"""What is fixed around a genome: input, stem, stages, kind of block, adapters, head.

To add a kind of skeleton, write a file here that gives the shapes of all nodes, the adapters between
them and the head.
"""

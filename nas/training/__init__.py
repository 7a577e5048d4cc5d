"""Short trainings: batches, the optimizer, several networks in lockstep, and their scores.

It may import networks, data, kernels and devices. Whatever changes a result raises the number in
`version.py`.
"""

"""A plan becomes a `torch.nn.Module`: modules of its parts, their initial weights, their flat parameters.

It may import `nas.architecture`. A new kind of part gets its module in `modules.py`.
"""

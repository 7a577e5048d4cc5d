"""Kernels of our own for small networks on one core, in C, and how networks use them.

PyTorch's are made for large maps; at 8×8 and 14×14 pixels their fixed costs and the norms, ReLUs and
sums between them take as long as the arithmetic. `build.py` compiles `kernels.c` when the package is
installed, `library.py` loads it, `functions.py` are its differentiable functions, and `fused.py`
puts them in the place of a network's modules while it is trained or scored.
"""

"""Kernels of our own for small networks on one core, in C, and how networks use them.

PyTorch's are made for large maps; at 8×8 and 14×14 pixels their fixed costs, and the norms, ReLUs and
sums between them, take longer than the arithmetic. `build.py` compiles `kernels.c` when the package is
installed, `library.py` loads it, and `program.py` turns a network into steps for it.
"""

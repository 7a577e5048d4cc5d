"""A network as a module of plain PyTorch, written as one would write it by hand.

To add a kind of part, give it an entry of `WRITERS` in `parts.py` or `token_parts.py`. Merges need none: what their
`forward` says is written in.
"""

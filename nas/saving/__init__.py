"""Trained networks in files: saved and loaded again, and exported to Python, ONNX and torch.export.

It may import training, plugins and all below. To add a format, write a function in `exports.py` and
name it in FORMATS.
"""

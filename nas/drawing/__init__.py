"""Patterns as pictures: lines of text, SVG, HTML tables, matplotlib figures and small glyphs.

It may import `nas.architecture`. A merge says its own colour.
"""

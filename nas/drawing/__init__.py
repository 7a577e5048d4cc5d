"""Patterns as pictures: lines of text, SVG, HTML tables, matplotlib figures and small glyphs.

It may import `nas.architecture`. A merge says its own colour. HTML pages share `page.css`, and draw
their figures on a `canvas`, lines and outliers with `series`.
"""

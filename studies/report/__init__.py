"""A study explained to a colleague: `write_report` makes one self-contained page, or its figures.

It may import the analysis, the dashboard, and all below. The plain numbers come from
`studies.analysis.facts`; a new figure is a function in `figures.py`, its place on the page a block
of `page.html`.
"""

from __future__ import annotations


def __getattr__(name: str) -> object:
    if name == "write_report":
        from studies.report.write import write_report

        return write_report
    raise AttributeError(f"module 'studies.report' has no attribute {name!r}")
